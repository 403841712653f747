"""Temporaries: what a dead process left is removed, what a process works on is not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retrieval.errors import StorageError
from retrieval.util.files import Files
from retrieval.util.temporaries import (
    is_abandoned,
    is_temporary,
    replace_atomically,
    replacing,
    sweep,
    temporaries,
    temporary_folder,
    temporary_path,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from retrieval.util.files import Files
from retrieval.util.temporaries import replacing, temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder, replacing(Path(sys.argv[2]), Files()) as file:
    (folder / "large").write_bytes(bytes(1000))
    file.write(bytes(1000)); file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_use(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "copy", tmp_path / "file"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(temporaries(tmp_path)) == 2
    assert all(map(is_abandoned, temporaries(tmp_path)))
    with temporary_folder(tmp_path / "copy") as folder:
        assert temporaries(tmp_path, "copy") == [folder]
        assert folder.stat().st_mode & 0o077 == 0
    assert sweep(tmp_path) == []
    assert names(tmp_path) == []


def test_what_a_process_works_on_stays(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "copy") as folder, replacing(tmp_path / "file", Files()) as file:
        assert sweep(tmp_path) == []
        assert folder.is_dir()
        assert len(temporaries(tmp_path)) == 2
        file.write(b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert names(tmp_path) == ["file"]


def test_only_the_names_of_temporaries_are_swept(tmp_path: Path) -> None:
    kept = ["notes.txt", ".file.20260130", ".file.0a1b2c3d", "file.0a1b2c3d.attendex-tmp", ".x.attendex-tmp"]
    for name in kept:
        (tmp_path / name).write_text("mine")
        assert not is_temporary(name)
    temporary_path(tmp_path / "other").write_text("left")
    assert sweep(tmp_path, "file") == []
    assert len(names(tmp_path)) == len(kept) + 1
    sweep(tmp_path)
    assert names(tmp_path) == sorted(kept)
    assert temporaries(tmp_path / "missing") == []


def test_a_link_with_such_a_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    temporary_path(tmp_path / "copy").symlink_to(tmp_path / "precious")
    assert sweep(tmp_path) == []
    assert (tmp_path / "precious" / "file").read_text() == "kept"


def test_a_folder_may_be_renamed_to_its_target(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "copy", private=False) as folder:
        folder.rename(tmp_path / "copy")
    assert names(tmp_path) == ["copy"]


@contextmanager
def sweeping(folder: Path) -> Iterator[None]:
    """Sweep the folder again and again in another thread while the block runs."""
    stop = threading.Event()

    def sweep_on() -> None:
        while not stop.is_set():
            sweep(folder)

    thread = threading.Thread(target=sweep_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_files_are_replaced_beside_a_sweeper(tmp_path: Path) -> None:
    with sweeping(tmp_path):
        for number in range(300):
            replace_atomically(tmp_path / "file", b"%d" % number)
    assert (tmp_path / "file").read_bytes() == b"299"
    assert names(tmp_path) == ["file"]


def test_folders_are_made_beside_a_sweeper(tmp_path: Path) -> None:
    with sweeping(tmp_path):
        for number in range(300):
            with temporary_folder(tmp_path / "copy") as folder:
                (folder / "file").write_text(str(number))
                assert (folder / "file").read_text() == str(number)
    assert names(tmp_path) == []


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    replace_atomically(tmp_path / "file", b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file", Files()):
        raise ZeroDivisionError
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]
    with pytest.raises(StorageError):
        replace_atomically(tmp_path / "no" / "file", b"new")
