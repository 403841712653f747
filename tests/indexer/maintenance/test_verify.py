"""Damage of every kind is found, and its place named; what is whole passes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.maintenance import verify as module
from indexer.maintenance.verify import Verification, verify
from indexer.writing.commit import publish
from indexer.writing.garbage import COLLECTION_ENTRIES
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.record_files import name_digests, write_record_files
from indexer.writing.sync_state import SYNC_FILES
from indexer.writing.sync_status import SYNC_STATUS
from retrieval.errors import CorruptCollection, NotACollection
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.collection.judgments import judge
from retrieval.index.collection.originals import Original, change_originals
from retrieval.index.collection.standing_queries import StandingQuery, change_standing
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.storage.sharded_manifest import SHARDS
from retrieval.types import Passage
from retrieval.util.files import Files
from retrieval.util.temporaries import replacing, temporary_path

# Every entry of a collection that holds data; the others are locks, which are empty.  The record of the last
# synchronization is a cache without digests: a wrong bit in it costs one more reading of an item, and no document.  Its
# result is for monitors alone.
# Only a collection of several shards has a folder of them; each is verified as a collection.
WITH_CONTENT = {each for each in COLLECTION_ENTRIES if "lock" not in each} - {*SYNC_FILES, SYNC_STATUS, SHARDS}


@pytest.fixture
def damaged(bench: Any) -> Any:
    """Make a collection of three generations, an interrupted build and the files that no generation names."""
    others = (bench.document(f"a{number}") for number in range(8))
    bench.add(bench.document("a", year=1), bench.document("b", "a text that becomes two passages"), *others)
    bench.add(bench.document("c"), bench.document("b"))
    with bench.writer() as writer:
        writer.delete(["c"])
        writer.update_metadata([replace(writer.stored(["a"])["a"], metadata={"year": 2})])
        writer.commit()
    with suppress(KeyboardInterrupt), bench.writer(limits=SegmentLimits(passages=1)) as writer:
        bench.put(writer, [bench.document("d")])
        raise KeyboardInterrupt
    judge(bench.path, "größe", "b", 3)
    query = StandingQuery("new", "cats", "", "", None, "2026-01-01", generation=1, next_key=0)
    change_standing(bench.path, lambda _: {"new": query})
    write_record_files(bench.path, name_digests(["rows.jsonl", "folder/rows.jsonl"]))
    keep_original(bench, b"the bytes of a file")
    assert {path.relative_to(bench.path).parts[0] for path in data_files(bench)} == WITH_CONTENT
    return bench


def keep_original(bench: Any, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    (bench.folder / "source.txt").write_bytes(data)
    original = Original("source.txt", digest, len(data), "text", ("a",))
    change_originals(bench.path, lambda _: (original,), [(bench.folder / "source.txt", digest)])


def data_files(bench: Any) -> list[Path]:
    """Every file that holds anything."""
    return sorted(each for each in bench.path.rglob("*") if each.is_file() and each.stat().st_size)


def problems(verification: Verification) -> str:
    return "\n".join(problem for check in verification.checks for problem in check.problems)


def test_a_whole_collection_passes(damaged: Any) -> None:
    found = verify(damaged.path)
    assert found.ok, problems(found)
    assert found.orphans == ()
    assert {each.name: each.examined for each in found.checks}["manifests"] == 4


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_any_flipped_bit_is_found(damaged: Any) -> None:
    dice = random.Random(5)
    for path in data_files(damaged):
        for bit in {0, path.stat().st_size * 8 - 1, *(dice.randrange(path.stat().st_size * 8) for _ in range(2))}:
            flip(path, bit)
            found = verify(damaged.path)
            assert not found.ok, f"bit {bit} of {path}"
            assert path.name in problems(found)
            flip(path, bit)
    assert verify(damaged.path).ok


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:-7], lambda _: b""]
)
def test_any_file_of_another_size_is_found(damaged: Any, change: Callable[[bytes], bytes]) -> None:
    for path in data_files(damaged):
        data = path.read_bytes()
        path.write_bytes(change(data))
        assert path.name in problems(verify(damaged.path)), path
        path.write_bytes(data)
    assert verify(damaged.path).ok


@pytest.mark.slow
def test_every_flipped_bit_is_found(bench: Any) -> None:
    bench.add(bench.document("a", year=1))
    judge(bench.path, "q", "a", 1)
    write_record_files(bench.path, name_digests(["rows.jsonl"]))
    tried = 0
    for path in data_files(bench):
        for bit in range(path.stat().st_size * 8):
            flip(path, bit)
            assert not verify(bench.path, sample=0).ok, f"bit {bit} of {path}"
            flip(path, bit)
            tried += 1
    assert tried > 50_000


def test_a_flipped_bit_in_what_is_served_is_refused_on_opening(bench: Any) -> None:
    bench.add(bench.document("a", year=1))
    named = read_manifest(bench.path).paths()
    for path in [bench.path / "manifest.json", *(bench.path / each for each in named if each.parts[0] == "segments")]:
        flip(path, 8 * (path.stat().st_size // 2))
        with pytest.raises(CorruptCollection, match=path.name):
            open_index_reader(bench.path)
        flip(path, 8 * (path.stat().st_size // 2))
    open_index_reader(bench.path).close()


@pytest.mark.parametrize("change", ["truncated", "longer", "gone"])
def test_files_of_another_size_are_found_and_refused(bench: Any, change: str) -> None:
    bench.add(bench.document("a", year=1))
    for name in read_manifest(bench.path).paths():
        path = bench.path / name
        data = path.read_bytes()
        if change == "gone":
            path.unlink()
        else:
            path.write_bytes(data[:-1] if change == "truncated" else data + b"x")
        with pytest.raises(CorruptCollection, match=path.name):
            open_index_reader(bench.path)
        assert path.name in problems(verify(bench.path))
        path.write_bytes(data)
    assert verify(bench.path).ok


@pytest.mark.parametrize("step", ["read_manifest", "_check_files", "_run_checks", "open_segments"])
def test_writers_that_go_on_meanwhile_do_no_damage(bench: Any, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """So many commits come before a step that no verified generation is kept."""
    for number in range(4):
        bench.add(bench.document("a", f"version {number}"))
    original = getattr(module, step)

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(module, step, original)
        for number in range(4):
            bench.add(bench.document("a", f"later version {number}"))
        return original(*arguments)

    monkeypatch.setattr(module, step, late)
    found = verify(bench.path)
    assert found.ok, problems(found)
    assert found.generation in (4, 8)
    assert found.orphans == ()


def test_damage_is_found_beside_writers_too(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(bench.document("a"))
    (path,) = bench.path.glob("segments/*/documents.arrow")
    check_files = module._check_files

    def late(*arguments: Any) -> Any:
        for number in range(4):
            bench.add(bench.document(f"b{number}"))
        flip(path, 8 * (path.stat().st_size // 2))
        return check_files(*arguments)

    monkeypatch.setattr(module, "_check_files", late)
    assert str(path) in problems(verify(bench.path))


def test_orphans_are_listed_and_do_no_harm(bench: Any) -> None:
    bench.add(bench.document("a"))
    (bench.path / "segments" / "000009-ffffffff").mkdir()
    left = temporary_path(bench.path / "manifest.json")
    left.write_text("left by a process that died")
    found = verify(bench.path)
    assert found.ok
    assert found.orphans == (left.name, "segments/000009-ffffffff")


def test_files_that_no_writer_made_are_no_orphans_and_stay(bench: Any) -> None:
    bench.add(bench.document("a"))
    (bench.path / "notes.txt").write_text("not ours")
    with replacing(bench.path / "judgments.json", Files()) as file:
        file.write(b'{"version": 1, "judgments": []}')
        bench.add(bench.document("b"))
        assert verify(bench.path).orphans == ()
    assert (bench.path / "notes.txt").read_text() == "not ours"
    assert (bench.path / "judgments.json").exists()


def test_passages_beyond_their_text_are_found(bench: Any) -> None:
    document = bench.document("a", "short")
    with bench.writer() as writer:
        writer.add([document], [[Passage(0, 50)]], bench.vectors([document]))
        writer.commit()
    assert "passage row 0 is [0, 50) of 5 characters" in problems(verify(bench.path))


def test_vectors_of_another_length_are_found(bench: Any) -> None:
    document = bench.document("a")
    with bench.writer() as writer:
        writer.add([document], [bench.cut(document)], bench.vectors([document]) / 2)
        writer.commit()
    assert "the vector of passage row 0 has length 0.4999" in problems(verify(bench.path))


def test_two_live_documents_of_one_id_are_found(bench: Any) -> None:
    bench.add(bench.document("a"))
    bench.add(bench.document("a", "again"))
    manifest = read_manifest(bench.path)
    segments = tuple(replace(each, deletions=None) for each in manifest.segments)
    old = read_manifest(bench.path, 1).segments
    publish(bench.path, replace(manifest, generation=3, segments=(*old, *segments)), Files())
    assert "document 'a' (row 0) is stored twice" in problems(verify(bench.path))


def test_words_that_are_missing_are_found(bench: Any) -> None:
    bench.add(bench.document("a"))
    words = read_manifest(bench.path).lexical
    bench.add(bench.document("b"))
    publish(bench.path, replace(read_manifest(bench.path), generation=3, lexical=words), Files())
    assert "passage row 1 (key 1) is not in the lexical index" in problems(verify(bench.path))


class Liar:
    """An encoder that gives other vectors than the one that made the collection."""

    dimension = 8

    def encode_passages(self, texts: Any) -> Any:
        vectors = np.zeros((len(texts), 8), np.float32)
        vectors[:, 0] = 1
        return vectors


def test_canaries_tell_another_encoder(bench: Any) -> None:
    bench.add(bench.document("a"))
    assert "the encoder has the right files but gives different vectors" in problems(verify(bench.path, encoder=Liar()))  # type: ignore[arg-type]


def test_what_is_no_collection_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(NotACollection):
        verify(tmp_path)
