"""Open generations: shared where they are the same, independent where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from indexer.maintenance.background_merge import merge_collection
from retrieval.errors import CorruptCollection, FilterError, NotACollection
from retrieval.index.collection.snapshot import manifest_stamp, open_snapshot


def texts(snapshot: Any) -> dict[str, str]:
    return {each.id: each.text for each in snapshot.documents(np.flatnonzero(snapshot.live_documents))}


def test_a_later_generation_shares_the_segments_of_an_earlier_one(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(8)))
    old = open_snapshot(bench.path)
    with bench.writer() as writer:
        writer.delete(["d0"])
        bench.put(writer, [bench.document("e")])
        writer.commit()
    new = open_snapshot(bench.path, previous=old)
    assert new.segments[0].vectors is old.segments[0].vectors
    assert new.segments[0].index is old.segments[0].index
    assert texts(old) == {f"d{n}": f"text of d{n}" for n in range(8)}
    old.close()
    assert texts(new) == {**{f"d{n}": f"text of d{n}" for n in range(1, 8)}, "e": "text of e"}
    assert (new.find("d0"), new.find("e")) == (None, 8)
    again = open_snapshot(bench.path, previous=new)
    assert again.segments == new.segments
    merge_collection(bench.path, fully=True)
    merged = open_snapshot(bench.path, previous=new)
    assert texts(merged) == texts(new)
    assert len(merged.segments) == 1


def test_damage_is_seen_in_what_is_not_shared(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(8)))
    old = open_snapshot(bench.path)
    with bench.writer() as writer:
        writer.delete(["d0"])
        writer.commit()
    deletions = next((bench.path / "deletions").iterdir())
    deletions.write_bytes(deletions.read_bytes()[:-1] + b"\xff")
    with pytest.raises(CorruptCollection, match=deletions.name):
        open_snapshot(bench.path, previous=old)
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
    with open_snapshot(bench.path) as snapshot:
        first, again = snapshot.documents([4, 0, 4, 2]), snapshot.documents([2, 4, 5])
        assert [each.id for each in first] == ["d4", "d0", "d4", "d2"]
        assert (again[0], again[1]) == (first[3], first[0])
        passages = snapshot.passages([3, 1]) + snapshot.passages([1, 3])
        assert passages[:2] == passages[:1:-1]
    bench.add(bench.document("d4", text="changed", year=9))
    with open_snapshot(bench.path, previous=snapshot) as newer, open_snapshot(bench.path) as fresh:
        rows = [newer.find(f"d{n}") for n in range(6)]
        assert newer.documents(rows) == fresh.documents(rows)
        assert newer.documents(rows)[4].text == "changed"


def test_an_empty_collection_can_be_opened(bench: Any) -> None:
    with bench.writer() as writer:
        assert writer.commit() == 1
    with open_snapshot(bench.path) as snapshot:
        assert (snapshot.rows, len(snapshot.live_documents), snapshot.find("a")) == (0, 0, None)
        assert snapshot.documents([]) == []
        assert snapshot.vectors.search(bench.vectors([bench.document("a")]), 3)[0].rows.tolist() == []


def test_fields_and_generations_that_are_not_there(bench: Any) -> None:
    bench.add(bench.document("a", year=1))
    with open_snapshot(bench.path) as snapshot, pytest.raises(FilterError, match=r"no field 'yaer' .*\(fields: year\)"):
        snapshot.column("yaer")
    with pytest.raises(NotACollection, match=r"generation 9 is not kept \(kept: 1\)"):
        open_snapshot(bench.path, 9)
    with open_snapshot(bench.path, 1) as snapshot:
        assert snapshot.find("\ud800") is None
