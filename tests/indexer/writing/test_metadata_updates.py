"""New metadata of stored documents: nothing else is written again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from indexer.maintenance import background_merge
from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.backup import restore_backup, save_backup
from indexer.maintenance.rollback import roll_back
from indexer.maintenance.verify import verify
from indexer.writing.garbage import Retention
from indexer.writing.writer import Writer
from retrieval.errors import CorruptCollection, SchemaError
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.storage.manifest import Manifest, read_manifest
from retrieval.types import Document

FIELDS = ("year", "topic", "tags")


def update(bench: Any, *documents: Document) -> int:
    """Give stored documents the metadata of others with their ids."""
    with bench.writer() as writer:
        put(writer, documents)
        return int(writer.commit())


def put(writer: Writer, documents: Sequence[Document]) -> None:
    stored = writer.stored([each.id for each in documents])
    writer.update_metadata([replace(stored[each.id], metadata=each.metadata, given=each.given) for each in documents])


def metadata(reader: IndexReader) -> dict[str, dict[str, Any]]:
    return {each.id: dict(each.metadata) for each in reader.documents(np.flatnonzero(reader.live_documents))}


def without_updates(manifest: Manifest) -> list[Any]:
    return [replace(each, updates=()) for each in manifest.segments]


def test_only_the_metadata_are_written(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}", year=n, topic="a") for n in range(4)))
    before = read_manifest(bench.path)
    with open_index_reader(bench.path) as earlier:
        assert earlier.documents([1])[0].metadata == {"year": 1, "topic": "a"}  # now cached
        assert update(bench, bench.document("d1", year=7, color="red"), bench.document("d3")) == 2
        after = read_manifest(bench.path)
        assert (without_updates(after), after.lexical, after.next_key) == (
            list(before.segments),
            before.lexical,
            before.next_key,
        )
        with open_index_reader(bench.path, previous=earlier) as reader:
            assert metadata(reader) == {
                "d0": {"year": 0, "topic": "a"},
                "d1": {"year": 7, "color": "red"},
                "d2": {"year": 2, "topic": "a"},
                "d3": {},
            }
            assert reader.column("color").to_pylist() == [None, "red", None, None]
            assert reader.column("topic").to_pylist() == ["a", None, "a", None]
            assert np.flatnonzero(reader.matching_documents("year = 7 OR topic EXISTS")).tolist() == [0, 1, 2]
            assert reader.documents([1])[0].metadata == {"year": 7, "color": "red"}
        assert metadata(earlier)["d1"] == {"year": 1, "topic": "a"}
    assert verify(bench.path).ok


def test_a_document_of_the_same_text_is_updated_and_not_added(bench: Any) -> None:
    bench.add(bench.document("a", year=1), bench.document("b", year=1), bench.document("c", year=1))
    documents = [bench.document("a", year=2), bench.document("b", year=1), bench.document("c", "other", year=2)]
    with bench.writer() as writer:
        assert writer.unchanged(documents) == [True, True, False]
        bench.put(writer, documents[2:])
        writer.commit()
    assert (writer.counts.updated, writer.counts.unchanged, writer.counts.added) == (1, 1, 1)
    with bench.writer() as writer:
        assert writer.unchanged(documents) == [True] * 3
        assert writer.counts.unchanged == 3
    with open_index_reader(bench.path) as reader:
        assert metadata(reader) == {"a": {"year": 2}, "b": {"year": 1}, "c": {"year": 2}}


def test_a_document_that_waits_to_be_written_is_not_updated(bench: Any) -> None:
    bench.add(bench.document("a", year=1))
    with bench.writer() as writer:
        assert writer.unchanged([bench.document("a", "other", year=2)]) == [False]
        assert writer.unchanged([bench.document("a", year=3)]) == [False]
        bench.put(writer, [bench.document("a", "other", year=2)])
        bench.put(writer, [bench.document("a", year=3)])
        writer.commit()
    with open_index_reader(bench.path) as reader:
        assert reader.documents([reader.find("a")])[0] == bench.document("a", year=3)


def test_documents_of_the_same_writer_are_updated(bench: Any) -> None:
    with bench.writer() as writer:
        bench.put(writer, [bench.document("a", year=1), bench.document("b", year=1)])
        put(writer, [bench.document("a", year=2)])
        bench.put(writer, [bench.document("c", year=1)])
        put(writer, [bench.document("a", topic="x"), bench.document("c", topic="y")])
        writer.commit()
    with open_index_reader(bench.path) as reader:
        assert metadata(reader) == {"a": {"topic": "x"}, "b": {"year": 1}, "c": {"topic": "y"}}


def test_metadata_that_fit_no_field_change_nothing(bench: Any) -> None:
    bench.add(bench.document("a", year=1), bench.document("b", year=1))
    with bench.writer() as writer:
        with pytest.raises(SchemaError, match="year"):
            put(writer, [bench.document("a", year=2), bench.document("b", year="late")])
        assert writer.commit() == 1


def test_each_file_of_updates_is_more_than_twice_as_large_as_the_next(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}", year=0) for n in range(40)))
    for year in range(1, 40):
        update(bench, bench.document(f"d{year}", year=year))
        sizes = [each.documents for each in read_manifest(bench.path).segments[0].updates]
        assert all(size > 2 * after for size, after in pairwise(sizes))
    with open_index_reader(bench.path) as reader:
        assert reader.column("year").to_pylist() == list(range(40))


def test_a_merge_writes_the_metadata_into_its_segment(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}", year=n) for n in range(3)))
    bench.add(bench.document("e"))  # a segment without fields
    update(bench, bench.document("d1", topic="a"), bench.document("e", year=9))
    with open_index_reader(bench.path) as reader:
        expected = metadata(reader)
    merge_collection(bench.path, fully=True)
    assert [each.updates for each in read_manifest(bench.path).segments] == [()]
    with open_index_reader(bench.path) as reader:
        assert metadata(reader) == expected
    assert verify(bench.path).ok


def merged_while(bench: Any, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Merge two segments fully, while another writer works after they were read."""
    merge_segments = background_merge.merge_segments

    def slow(*arguments: Any) -> Any:
        monkeypatch.setattr(background_merge, "merge_segments", merge_segments)
        record = merge_segments(*arguments)
        work()
        return record

    monkeypatch.setattr(background_merge, "merge_segments", slow)
    merge_collection(bench.path, fully=True, retention=Retention(9))


def test_a_merge_does_not_lose_metadata_that_are_written_meanwhile(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(*(bench.document(f"d{n}", year=n) for n in range(4)))
    bench.add(*(bench.document(f"d{n}", year=n) for n in range(4, 8)))
    update(bench, bench.document("d2", year=20), bench.document("d5", year=50))
    with bench.writer() as writer:
        writer.delete(["d1"])
        writer.commit()

    def work() -> None:
        with bench.writer() as writer:
            put(writer, [bench.document("d5", year=51), bench.document("d6", topic="new")])
            writer.delete(["d3"])
            writer.commit()

    merged_while(bench, monkeypatch, work)
    with open_index_reader(bench.path) as reader:
        assert len(reader.segments) == 1
        years = {f"d{n}": {"year": year} for n, year in ((0, 0), (2, 20), (4, 4), (5, 51), (7, 7))}
        assert metadata(reader) == {**years, "d6": {"topic": "new"}}
    assert verify(bench.path).ok


def test_a_merge_does_not_undo_a_rollback(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(bench.document("a", year=1))
    bench.add(bench.document("b", year=1))
    update(bench, bench.document("a", year=2))
    merged_while(bench, monkeypatch, lambda: roll_back(bench.path, retention=Retention(9)))
    with open_index_reader(bench.path) as reader:
        assert len(reader.segments) == 1
        assert metadata(reader) == {"a": {"year": 1}, "b": {"year": 1}}


def test_a_backup_has_the_updates(bench: Any) -> None:
    bench.add(bench.document("a", year=1))
    update(bench, bench.document("a", year=2))
    save_backup(bench.path, bench.folder / "backup.tar.zst")
    restore_backup(bench.folder / "backup.tar.zst", bench.folder / "restored")
    with open_index_reader(bench.folder / "restored") as reader:
        assert metadata(reader) == {"a": {"year": 2}}


def test_damage_is_found(bench: Any) -> None:
    bench.add(bench.document("a", year=1))
    update(bench, bench.document("a", year=2))
    [path] = (bench.path / "updates").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptCollection, match="updates"):
        open_index_reader(bench.path)
    assert not verify(bench.path).ok


@pytest.mark.parametrize("seed", range(6))
def test_any_history_shows_the_last_metadata(bench: Any, seed: int) -> None:
    dice = random.Random(seed)
    known: dict[str, dict[str, Any]] = {}
    kept: list[dict[str, dict[str, Any]]] = []
    for _ in range(12):
        work = dice.choice(["add", "update", "update", "delete", "merge", "roll back"])
        ids = dice.sample([f"d{n}" for n in range(20)], 6)
        documents = [bench.document(each, **some_metadata(dice)) for each in ids]
        if work == "add":
            bench.add(*documents)
            known = {**known, **{each.id: dict(each.metadata) for each in documents}}
        elif work == "update":
            chosen = [each for each in documents if each.id in known]
            update(bench, *chosen)
            known = {**known, **{each.id: dict(each.metadata) for each in chosen}}
        elif work == "delete" and known:
            with bench.writer() as writer:
                writer.delete(ids)
                writer.commit()
            known = {id_: each for id_, each in known.items() if id_ not in ids}
        elif work == "merge" and kept:
            merge_collection(bench.path, fully=dice.random() < 0.5)
        elif work == "roll back" and len(kept) > 1 and kept[-1] == known != kept[-2]:
            known = kept[-2] if roll_back(bench.path) else known
        if not known:
            continue
        kept.append(known)
        with open_index_reader(bench.path) as reader:
            assert metadata(reader) == known
            for field in reader.schema:
                found = {id_ for id_, each in known.items() if field in each}
                assert set(reader.ids(np.flatnonzero(reader.matching_documents(f"{field} EXISTS")))) == found
            assert reader.lexical is not None
            matching = reader.lexical.matches(ParsedQuery("text"))
            assert np.array_equal(matching, reader.live)
    assert verify(bench.path).ok


def some_metadata(dice: random.Random) -> dict[str, Any]:
    values: dict[str, Any] = {"year": float(dice.randint(1, 9)), "topic": dice.choice("abc"), "tags": ("x", "y")}
    return {name: values[name] for name in dice.sample(FIELDS, dice.randint(0, 3))}
