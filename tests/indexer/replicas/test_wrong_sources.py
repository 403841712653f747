"""Sources that are damaged, hostile, or that go backwards: the follower serves what it has."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.replicas.folder_source import FolderOfCollections
from indexer.replicas.follower import Follower, read_status
from indexer.replicas.replica import Replica
from retrieval.errors import AttendexError, CorruptCollection, SourceUnavailable, StorageError
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import MANIFEST, decode_manifest, encode_manifest, read_manifest, seal, unseal
from tests.indexer.conftest import Bench
from tests.indexer.faults import Faulty
from tests.indexer.writing.test_sharded_writer import state


@pytest.fixture
def copy(bench: Bench) -> Path:
    """Make a collection with the document `a`, and return the path of its copy."""
    bench.add(bench.document("a"))
    (bench.folder / "copies").mkdir()
    path = bench.folder / "copies" / bench.path.name
    with Follower(path.parent, FolderOfCollections(bench.path)) as follower:
        follower.poll()
    return path


def update(bench: Bench, copy: Path, files: Faulty | None = None) -> bool:
    return Replica(copy, FolderOfCollections(bench.path), files=files).update()


class Named(FolderOfCollections):
    """A source that gives further names to its collection."""

    names: tuple[str, ...] = ()

    def versions(self) -> dict[str, str]:
        return dict.fromkeys(self.names, "1") | super().versions()


@pytest.mark.parametrize("name", ["..", "../evil", "", ".follow.lock", "a/b", "a\0b", "new\nline"])
def test_a_name_never_leads_out_of_the_folder(bench: Bench, copy: Path, name: str) -> None:
    shutil.rmtree(copy)
    before = {path for path in bench.folder.rglob("*") if copy.parent not in path.parents}
    source = Named(bench.path)
    source.names = (name,)
    with (
        Follower(copy.parent, source) as follower,
        pytest.raises(SourceUnavailable, match="cannot be the name of a collection"),
    ):
        follower.poll()
    assert state(copy) == {"a": "text of a"}  # its neighbour is followed
    assert {path for path in bench.folder.rglob("*") if copy.parent not in path.parents} == before


@pytest.mark.parametrize(
    "record",
    [
        {"name": "../../outside", "size_bytes": 1, "sha256": "0" * 64},
        {"name": "vectors.npy", "size_bytes": 1, "sha256": "../" + "0" * 61},
        {"name": "vectors.npy", "size_bytes": -2, "sha256": "0" * 64},
    ],
)
def test_a_hostile_manifest_is_refused(bench: Bench, copy: Path, record: dict[str, object]) -> None:
    body = unseal((bench.path / MANIFEST).read_bytes(), bench.path / MANIFEST)
    body["segments"][0]["files"][0] = record
    (bench.path / MANIFEST).write_bytes(seal(body))
    with pytest.raises(CorruptCollection, match="not a manifest"):
        update(bench, copy)
    assert state(copy) == {"a": "text of a"}


def test_a_generation_that_does_not_fit_is_not_fetched(bench: Bench, copy: Path) -> None:
    manifest = decode_manifest((bench.path / MANIFEST).read_bytes(), bench.path / MANIFEST)
    [segment] = manifest.segments
    large = replace(segment, name="larger", files=(FileRecord("vectors.npy", 1 << 60, "0" * 64),))
    changed = replace(manifest, generation=2, segments=(segment, large))
    (bench.path / MANIFEST).write_bytes(encode_manifest(changed))
    with pytest.raises(StorageError, match=r"1,152,921,504,606,846,976 bytes are to be fetched.*make room"):
        update(bench, copy)
    assert state(copy) == {"a": "text of a"}


def test_a_full_disk_leaves_the_old_generation(bench: Bench, copy: Path) -> None:
    bench.add(bench.document("b"))

    def full(step: str, path: Path) -> None:
        if step == "write" and "vectors.npy" in path.name:
            raise StorageError(os.strerror(errno.ENOSPC), path=path)

    with pytest.raises(StorageError, match="No space left"):
        update(bench, copy, files=Faulty(full))
    assert state(copy) == {"a": "text of a"}
    assert not list(copy.rglob("*.attendex-tmp"))
    assert update(bench, copy)
    assert state(copy) == {"a": "text of a", "b": "text of b"}


def test_a_pipe_does_not_keep_the_follower_waiting(bench: Bench, copy: Path) -> None:
    bench.add(bench.document("b"))
    vectors = bench.path / "segments" / read_manifest(bench.path).segments[-1].name / "vectors.npy"
    vectors.unlink()
    os.mkfifo(vectors)
    with pytest.raises(SourceUnavailable, match="is not a regular file"):
        update(bench, copy)
    (bench.path / MANIFEST).unlink()
    os.mkfifo(bench.path / MANIFEST)
    with pytest.raises(AttendexError):
        update(bench, copy)
    assert state(copy) == {"a": "text of a"}


def test_a_link_gives_no_other_bytes(bench: Bench, copy: Path) -> None:
    secret = bench.folder / "secret"
    bench.add(bench.document("b"))
    vectors = bench.path / "segments" / read_manifest(bench.path).segments[-1].name / "vectors.npy"
    secret.write_bytes(b"s" * vectors.stat().st_size)
    vectors.unlink()
    vectors.symlink_to(secret)
    with pytest.raises(SourceUnavailable, match="differs from its digest"):
        update(bench, copy)
    assert not [path for path in copy.rglob("*") if path.is_file() and path.read_bytes() == secret.read_bytes()]


def test_a_source_that_goes_backwards_is_followed(bench: Bench, copy: Path) -> None:
    """It was restored from a backup, and then changed otherwise."""
    shutil.copytree(bench.path, bench.folder / "backup")
    for name in ("b", "c"):
        bench.add(bench.document(name))
        update(bench, copy)
    shutil.rmtree(bench.path)
    shutil.copytree(bench.folder / "backup", bench.path)
    assert update(bench, copy)
    assert (read_manifest(copy).generation, state(copy)) == (1, {"a": "text of a"})
    for name in ("x", "y", "z"):
        bench.add(bench.document(name))
        assert update(bench, copy)
        assert state(copy) == state(bench.path)


class Changing(FolderOfCollections):
    """A source that is replaced after its manifest was read."""

    def read(self, name: str, path: Path) -> bytes:
        data = super().read(name, path)
        shutil.rmtree(self._path)
        return data


def test_a_source_replaced_while_it_is_read(bench: Bench, copy: Path) -> None:
    bench.add(bench.document("b"))
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        Replica(copy, Changing(bench.path)).update()
    assert state(copy) == {"a": "text of a"}
    bench.add(bench.document("c"))
    assert update(bench, copy)
    assert state(copy) == {"c": "text of c"}


def test_a_copy_that_was_removed_is_fetched_again(bench: Bench, copy: Path) -> None:
    with Follower(copy.parent, FolderOfCollections(bench.path)) as follower:
        shutil.rmtree(copy)
        follower.poll()
        assert state(copy) == {"a": "text of a"}


def test_a_damaged_copy_does_not_stop_the_others(bench: Bench, copy: Path) -> None:
    source = bench.folder / "source"
    shutil.copytree(bench.path, source / "first")
    shutil.copytree(bench.path, source / "second")
    with Follower(copy.parent, FolderOfCollections(source)) as follower:
        follower.poll()
    shutil.rmtree(copy.parent / "first" / "generations")
    (copy.parent / "first" / "generations").write_text("no folder")
    bench.add(bench.document("b"))
    for name in ("first", "second"):
        shutil.rmtree(source / name)
        shutil.copytree(bench.path, source / name)
    with Follower(copy.parent, FolderOfCollections(source)) as follower:
        with pytest.raises(SourceUnavailable):
            follower.poll()
        assert state(copy.parent / "second") == state(bench.path)
        status = read_status(copy.parent)
        assert status is not None
        assert status.collections["first"].error
        assert not status.collections["second"].error
