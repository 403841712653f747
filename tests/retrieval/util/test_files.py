"""The primitives: files that appear whole, errors that name their file, one holder of a lock."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from retrieval.errors import CollectionLocked, StorageError
from retrieval.util.files import (
    Files,
    lock_is_held,
    locked,
    remove_tree,
    storage_errors,
    sync_path,
    take_lock,
    write_file,
    writing,
)
from retrieval.util.temporaries import replace_atomically


def test_replacing_leaves_the_new_bytes_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    for data in (b"one", b"a longer one"):
        replace_atomically(target, data)
        assert target.read_bytes() == data
        assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert target.stat().st_mode & 0o444  # another user may serve it


class Full(Files):
    """A disk without space."""

    def write(self, descriptor: int, path: Path, data: bytes | memoryview) -> int:  # noqa: ARG002
        with storage_errors(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_bytes_and_names_the_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    replace_atomically(target, b"old")
    with pytest.raises(StorageError, match=r"\.file\.[0-9a-f]+\.attendex-tmp: No space left on device"):
        replace_atomically(target, b"new", Full())
    assert target.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_new_file_must_be_new(tmp_path: Path) -> None:
    write_file(Files(), tmp_path / "file", b"one")
    with pytest.raises(StorageError, match="File exists"):
        write_file(Files(), tmp_path / "file", b"two")


def test_large_and_small_writes_and_seeking(tmp_path: Path) -> None:
    with writing(Files(), tmp_path / "file") as file:
        for piece in (b"head", bytes(3 << 20), b"tail"):
            file.write(piece)
        assert file.tell() == (3 << 20) + 8
        file.seek(0)
        file.write(b"HEAD")
    data = (tmp_path / "file").read_bytes()
    assert (data[:4], data[-4:], len(data)) == (b"HEAD", b"tail", (3 << 20) + 8)


def test_removing_a_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "inner" / "file").write_text("gone")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "precious")
    remove_tree(Files(), tmp_path / "tree")
    assert [each.name for each in tmp_path.rglob("*")] == ["precious", "file"]


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not lock_is_held(path)
    with locked(path):
        assert lock_is_held(path)
        with pytest.raises(CollectionLocked, match=f"held by process {os.getpid()} on .* since 20"):
            take_lock(path)
    assert not lock_is_held(path)
    take_lock(path).release()


def test_waiting_for_the_lock(tmp_path: Path) -> None:
    first = take_lock(tmp_path / "lock")
    threading.Timer(0.2, first.release).start()
    take_lock(tmp_path / "lock", wait_s=10).release()


def test_what_a_dead_holder_wrote_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text('{"pid": 1, "host": "elsewhere", "since": "2020"}')
    take_lock(tmp_path / "lock").release()


def test_a_system_without_fcntl_is_told_so() -> None:
    program = "import sys; sys.modules['fcntl'] = None; import retrieval.util.files"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ImportError: Attendex locks files with fcntl, which Windows lacks" in ended.stderr


def test_a_refused_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        sync_path(tmp_path / "missing")
    sync_path(tmp_path)
