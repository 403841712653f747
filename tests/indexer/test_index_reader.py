"""Open generations: shared where they are the same, independent where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from indexer.maintenance.background_merge import merge_collection
from retrieval.errors import CorruptCollection, FilterError, NotACollection
from retrieval.index.collection.index_reader import manifest_stamp, open_index_reader


def texts(reader: Any) -> dict[str, str]:
    return {each.id: each.text for each in reader.documents(np.flatnonzero(reader.live_documents))}


def test_a_later_generation_shares_the_segments_of_an_earlier_one(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(8)))
    old = open_index_reader(bench.path)
    with bench.writer() as writer:
        writer.delete(["d0"])
        bench.put(writer, [bench.document("e")])
        writer.commit()
    new = open_index_reader(bench.path, previous=old)
    assert new.segments[0].vectors is old.segments[0].vectors
    assert new.segments[0].index is old.segments[0].index
    assert texts(old) == {f"d{n}": f"text of d{n}" for n in range(8)}
    old.close()
    assert texts(new) == {**{f"d{n}": f"text of d{n}" for n in range(1, 8)}, "e": "text of e"}
    assert (new.find("d0"), new.find("e")) == (None, 8)
    again = open_index_reader(bench.path, previous=new)
    assert again.segments == new.segments
    merge_collection(bench.path, fully=True)
    merged = open_index_reader(bench.path, previous=new)
    assert texts(merged) == texts(new)
    assert len(merged.segments) == 1


def test_damage_is_seen_in_what_is_not_shared(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(8)))
    old = open_index_reader(bench.path)
    with bench.writer() as writer:
        writer.delete(["d0"])
        writer.commit()
    deletions = next((bench.path / "deletions").iterdir())
    deletions.write_bytes(deletions.read_bytes()[:-1] + b"\xff")
    with pytest.raises(CorruptCollection, match=deletions.name):
        open_index_reader(bench.path, previous=old)
    assert len(texts(old)) == 8


def test_the_stamp_changes_with_each_commit(bench: Any) -> None:
    assert manifest_stamp(bench.path) is None
    seen = set()
    for number in range(5):
        bench.add(bench.document(f"d{number}"))
        assert manifest_stamp(bench.path) == manifest_stamp(bench.path)
        seen.add(manifest_stamp(bench.path))
    assert len(seen) == 5


def test_what_is_remembered_of_a_page_is_what_a_fresh_reader_sees(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}", year=n) for n in range(6)))
    with open_index_reader(bench.path) as reader:
        first, again = reader.documents([4, 0, 4, 2]), reader.documents([2, 4, 5])
        assert [each.id for each in first] == ["d4", "d0", "d4", "d2"]
        assert (again[0], again[1]) == (first[3], first[0])
        passages = reader.passages([3, 1]) + reader.passages([1, 3])
        assert passages[:2] == passages[:1:-1]
    bench.add(bench.document("d4", text="changed", year=9))
    with open_index_reader(bench.path, previous=reader) as newer, open_index_reader(bench.path) as fresh:
        rows = [newer.find(f"d{n}") for n in range(6)]
        assert newer.documents(rows) == fresh.documents(rows)
        assert newer.documents(rows)[4].text == "changed"


def test_an_empty_collection_can_be_opened(bench: Any) -> None:
    with bench.writer() as writer:
        assert writer.commit() == 1
    with open_index_reader(bench.path) as reader:
        assert (reader.rows, len(reader.live_documents), reader.find("a")) == (0, 0, None)
        assert reader.documents([]) == []
        assert reader.vectors.search(bench.vectors([bench.document("a")]), 3)[0].rows.tolist() == []


def test_fields_and_generations_that_are_not_there(bench: Any) -> None:
    bench.add(bench.document("a", year=1))
    with (
        open_index_reader(bench.path) as reader,
        pytest.raises(FilterError, match=r"no field 'yaer' .*\(fields: year\)"),
    ):
        reader.column("yaer")
    with pytest.raises(NotACollection, match=r"generation 9 is not kept \(kept: 1\)"):
        open_index_reader(bench.path, 9)
    with open_index_reader(bench.path, 1) as reader:
        assert reader.find("\ud800") is None
