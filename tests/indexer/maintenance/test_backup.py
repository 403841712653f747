"""Backups: what goes in comes out, and nothing else can."""

from __future__ import annotations

import io
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from indexer.maintenance.backup import restore_backup, save_backup
from indexer.maintenance.sharded_verify import verify_collection
from indexer.maintenance.verify import verify
from retrieval.errors import CorruptCollection, InputError, StorageError
from retrieval.index.collection.judgments import judge, read_judgments
from retrieval.index.storage.manifest import read_manifest
from tests.indexer.faults import grown, state
from tests.indexer.writing.test_sharded_writer import build, documents
from tests.indexer.writing.test_sharded_writer import state as sharded_state

Members = list[tuple[tarfile.TarInfo, bytes]]


def members_of(archive: Path) -> Members:
    with pa.input_stream(str(archive), compression="zstd") as unpacked:
        data = io.BytesIO(unpacked.read())
    with tarfile.open(fileobj=data) as tar:
        return [(each, tar.extractfile(each).read()) for each in tar]  # type: ignore[union-attr]


def write_archive(path: Path, members: Members) -> Path:
    with pa.output_stream(str(path), compression="zstd") as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return path


def test_what_goes_in_comes_out(bench: Any) -> None:
    grown(bench)
    saved = save_backup(bench.path, bench.folder / "backup.tar.zst")
    bench.add(bench.document("later"))
    restored = restore_backup(bench.folder / "backup.tar.zst", bench.folder / "copy")
    assert saved == restored
    assert saved.generation == 3
    was = {**(state(bench.path) or {})}
    del was["later"]
    assert state(bench.folder / "copy") == was
    assert verify(bench.folder / "copy").ok
    assert verify(bench.folder / "copy").orphans == ()


def test_an_older_generation_can_be_saved(bench: Any) -> None:
    bench.add(bench.document("a"))
    bench.add(bench.document("b"))
    save_backup(bench.path, bench.folder / "one.tar.zst", 1)
    restore_backup(bench.folder / "one.tar.zst", bench.folder / "copy")
    assert state(bench.folder / "copy") == {"a": "text of a"}


def test_a_restored_collection_can_be_changed(bench: Any) -> None:
    grown(bench)
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    other = type(bench)(bench.folder / "other", bench.settings)
    other.folder.mkdir()
    restore_backup(bench.folder / "backup.tar.zst", other.path)
    other.add(other.document("new"))
    assert state(other.path) == {**(state(bench.path) or {}), "new": "text of new"}


def test_a_directory_with_something_in_it_is_left_alone(bench: Any) -> None:
    grown(bench)
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    with pytest.raises(InputError, match="exists already"):
        restore_backup(bench.folder / "backup.tar.zst", bench.path)
    (bench.folder / "empty").mkdir()
    restore_backup(bench.folder / "backup.tar.zst", bench.folder / "empty")


def test_a_damaged_collection_makes_no_backup(bench: Any) -> None:
    grown(bench)
    vectors = bench.path / next(each for each in read_manifest(bench.path).paths() if each.name == "vectors.npy")
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    with pytest.raises(CorruptCollection, match=r"vectors\.npy"):
        save_backup(bench.path, bench.folder / "backup.tar.zst")
    assert [each.name for each in bench.folder.iterdir()] == ["collection"]


def link(members: Members) -> None:
    member = tarfile.TarInfo(members[2][0].name)
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[2] = (member, b"")


def hard_link(members: Members) -> None:
    member = tarfile.TarInfo(members[2][0].name)
    member.type, member.linkname = tarfile.LNKTYPE, members[1][0].name
    members[2] = (member, b"")


def traversal(members: Members) -> None:
    member = tarfile.TarInfo("../outside.txt")
    members.insert(1, (member, b""))


def absolute(members: Members) -> None:
    member = tarfile.TarInfo("/tmp/outside.txt")
    members.append((member, b""))


def twice(members: Members) -> None:
    members.append(members[1])


def missing(members: Members) -> None:
    members.pop()


def no_manifest(members: Members) -> None:
    members.pop(0)


def another_byte(members: Members) -> None:
    member, data = members[1]
    members[1] = (member, data[:-1] + bytes([data[-1] ^ 1]))


def longer(members: Members) -> None:
    member, data = members[1]
    member.size += 1
    members[1] = (member, data + b"x")


def manifest_bit(members: Members) -> None:
    member, data = members[0]
    members[0] = (member, data.replace(b'"generation": 3', b'"generation": 4'))


@pytest.mark.parametrize(
    "change",
    [link, hard_link, traversal, absolute, twice, missing, no_manifest, another_byte, longer, manifest_bit],
)
def test_a_changed_archive_is_refused(bench: Any, change: Callable[[Members], None]) -> None:
    grown(bench)
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    members = members_of(bench.folder / "backup.tar.zst")
    change(members)
    archive = write_archive(bench.folder / "changed.tar.zst", members)
    with pytest.raises(CorruptCollection, match=r"changed\.tar\.zst"):
        restore_backup(archive, bench.folder / "copy")
    assert sorted(each.name for each in bench.folder.iterdir()) == ["backup.tar.zst", "changed.tar.zst", "collection"]


def test_what_is_not_an_archive_is_refused(bench: Any) -> None:
    grown(bench)
    archive = bench.folder / "backup.tar.zst"
    save_backup(bench.path, archive)
    data = archive.read_bytes()
    for content in (b"", b"no archive", data[: len(data) // 2], data[:20] + bytes(20) + data[40:]):
        archive.write_bytes(content)
        with pytest.raises(CorruptCollection, match=r"backup\.tar\.zst"):
            restore_backup(archive, bench.folder / "copy")
        assert not (bench.folder / "copy").exists()


def test_judgments_are_saved_with_any_generation(bench: Any) -> None:
    grown(bench)
    judge(bench.path, "größe", "a", 3)
    judge(bench.path, "size", "b", 0)
    for generation in (None, 2):
        archive, copy = bench.folder / f"{generation}.tar.zst", bench.folder / f"copy {generation}"
        assert save_backup(bench.path, archive, generation).judgments == 2
        assert restore_backup(archive, copy).judgments == 2
        assert read_judgments(copy) == read_judgments(bench.path)
        assert verify(copy).ok
        assert verify(copy).orphans == ()


def test_damaged_judgments_are_neither_saved_nor_restored(bench: Any) -> None:
    grown(bench)
    judge(bench.path, "size", "a", 3)
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    for damage in (b"{", b'{"judgments": [{"query": 1}]}', b"[" * 100_000):
        members = members_of(bench.folder / "backup.tar.zst")
        members[-1] = (tarfile.TarInfo("judgments.json"), damage)
        members[-1][0].size = len(damage)
        with pytest.raises(CorruptCollection, match=r"changed\.tar\.zst"):
            restore_backup(write_archive(bench.folder / "changed.tar.zst", members), bench.folder / "copy")
        (bench.path / "judgments.json").write_bytes(damage)
        with pytest.raises(CorruptCollection, match=r"not a (file of judgments|sealed JSON document)"):
            save_backup(bench.path, bench.folder / "other.tar.zst")
    assert sorted(each.name for each in bench.folder.iterdir()) == ["backup.tar.zst", "changed.tar.zst", "collection"]


BOMB_BYTES = 256 << 20


def manifest_bomb(members: Members) -> None:
    members[0] = (tarfile.TarInfo("manifest.json"), bytes(BOMB_BYTES))


def judgments_bomb(members: Members) -> None:
    members.append((tarfile.TarInfo("judgments.json"), b" " * BOMB_BYTES))


def header_bomb(members: Members) -> None:
    member = tarfile.TarInfo("manifest.json")
    member.type = tarfile.XHDTYPE
    members.insert(0, (member, b"19 path=manifest.js\n" * (BOMB_BYTES // 20)))


def name_bomb(members: Members) -> None:
    member = tarfile.TarInfo("name")
    member.type = tarfile.GNUTYPE_LONGNAME
    members.insert(1, (member, b"n" * BOMB_BYTES))


@pytest.mark.parametrize("change", [manifest_bomb, judgments_bomb, header_bomb, name_bomb])
def test_a_small_backup_cannot_fill_the_memory(bench: Any, change: Callable[[Members], None]) -> None:
    grown(bench)
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    members = members_of(bench.folder / "backup.tar.zst")
    change(members)
    for member, data in members:
        member.size = len(data)
    archive = write_archive(bench.folder / "bomb.tar.zst", members)
    assert archive.stat().st_size < 1 << 20
    del members
    tracemalloc.start()
    with pytest.raises(CorruptCollection, match=r"bomb\.tar\.zst"):
        restore_backup(archive, bench.folder / "copy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    assert sorted(each.name for each in bench.folder.iterdir()) == ["backup.tar.zst", "bomb.tar.zst", "collection"]


def test_a_backup_that_needs_more_space_than_is_free_is_refused(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    grown(bench)
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    usage = shutil.disk_usage(bench.folder)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StorageError, match="and 100 are free"):
        restore_backup(bench.folder / "backup.tar.zst", bench.folder / "copy")
    assert sorted(each.name for each in bench.folder.iterdir()) == ["backup.tar.zst", "collection"]


def test_a_sharded_collection_comes_out_whole(bench: Any) -> None:
    build(bench, documents(bench))
    build(bench, documents(bench, 8, "new"), deletes=("d9",))
    saved = save_backup(bench.path, bench.folder / "backup.tar.zst")
    save_backup(bench.path, bench.folder / "older.tar.zst", 1)
    names = [member.name for member, _ in members_of(bench.folder / "backup.tar.zst")]
    assert names[:4] == ["manifest.json", *(f"shards/000{n}/manifest.json" for n in range(3))]
    assert restore_backup(bench.folder / "backup.tar.zst", bench.folder / "copy") == saved
    assert (saved.generation, saved.documents) == (2, 13)
    assert sharded_state(bench.folder / "copy") == sharded_state(bench.path)
    verified = verify_collection(bench.folder / "copy")
    assert verified.ok
    assert verified.orphans == ()
    restore_backup(bench.folder / "older.tar.zst", bench.folder / "older")
    assert sharded_state(bench.folder / "older") == {f"d{n}": f"text {n}" for n in range(14)}
    restored = type(bench)(bench.folder / "other", bench.settings)
    restored.folder.mkdir()
    restore_backup(bench.folder / "backup.tar.zst", restored.path)
    build(restored, [bench.document("other", "other")])
    assert sharded_state(restored.path) == {**(sharded_state(bench.path) or {}), "other": "other"}


def test_the_manifests_of_shards_must_be_those_that_are_named(bench: Any) -> None:
    build(bench, documents(bench))
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    members = members_of(bench.folder / "backup.tar.zst")
    member = tarfile.TarInfo(members[1][0].name)
    member.size = len(members[0][1])
    swapped = [members[0], (member, members[0][1]), *members[2:]]
    for bad, problem in (
        ([members[0], *members[2:]], "lacks shards/0000/manifest.json"),
        (swapped, "another generation of shard 0000"),
        (members[:-1], "lacks"),
    ):
        with pytest.raises(CorruptCollection, match=problem):
            restore_backup(write_archive(bench.folder / "bad.tar.zst", bad), bench.folder / "copy")
        assert not (bench.folder / "copy").exists()
