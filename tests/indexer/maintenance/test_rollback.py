"""Results do not depend on history: a collection ranks like a fresh build."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.rollback import log_entries, roll_back
from indexer.maintenance.verify import verify
from indexer.writing.garbage import Retention
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.segment_merge import MergePolicy
from retrieval.errors import NotACollection
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.storage.manifest import read_manifest

WORDS = ("apple", "pear", "plum", "run", "running", "red", "green", "苹果")
NAMES = st.sampled_from([f"d{n}" for n in range(8)])
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
MANY = Retention(count=100)


@dataclass(frozen=True)
class Add:
    documents: tuple[tuple[str, str], ...]
    limit: int


@dataclass(frozen=True)
class Delete:
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Merge:
    fully: bool


@dataclass(frozen=True)
class RollBack:
    steps: int


ADDS = st.builds(
    Add, st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=6).map(tuple), st.sampled_from([1, 3, 100])
)
STEPS = st.one_of(
    ADDS,
    ADDS,
    st.builds(Delete, st.lists(NAMES, min_size=1, max_size=3).map(tuple)),
    st.builds(Merge, st.booleans()),
    st.builds(RollBack, st.integers(1, 4)),
)
POLICY = MergePolicy(fanout=3, floor_passages=2)


class History:
    """A collection and, by generation, what it should hold."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.states: dict[int, dict[str, str]] = {}

    def write(self, state: dict[str, str], limit: int, added: Any = (), deleted: Any = ()) -> None:
        with self.bench.writer(
            limits=SegmentLimits(limit, merged_passages=20), policy=POLICY, retention=MANY
        ) as writer:
            for name, text in added:
                self.bench.put(writer, [self.bench.document(name, text)])
            writer.delete(deleted)
            self.states[writer.commit()] = state

    def take(self, step: Add | Delete | Merge | RollBack) -> None:
        now = self.states[max(self.states)] if self.states else {}
        if isinstance(step, Add):
            self.write({**now, **dict(step.documents)}, step.limit, step.documents)
        elif isinstance(step, Delete):
            self.write({each: text for each, text in now.items() if each not in step.ids}, 100, deleted=step.ids)
        elif not self.states:
            return
        elif isinstance(step, Merge):
            report = merge_collection(self.bench.path, fully=step.fully, policy=POLICY, retention=MANY)
            self.states |= dict.fromkeys(range(max(self.states) + 1, report.generation + 1), now)  # one for each merge
        else:
            target = max(1, max(self.states) - step.steps)
            self.states[roll_back(self.bench.path, target, retention=MANY)] = self.states[target]


def ranking(reader: IndexReader, rows: Any, scores: Any) -> list[tuple[str, float]]:
    """Documents by their best passage, ties by id."""
    best: dict[str, float] = {}
    names = reader.ids(reader.document_of[rows])
    for name, score in zip(names, scores.tolist(), strict=True):
        best[name] = max(score, best.get(name, -9.0))
    return sorted(best.items(), key=lambda item: (-round(item[1], 4), item[0]))


def rankings(bench: Any, path: Path) -> list[list[tuple[str, float]]]:
    with open_index_reader(path) as reader:
        queries = bench.vectors([bench.document("q", word) for word in WORDS])
        dense = reader.vectors.search(queries, max(1, reader.rows), allowed=reader.live)
        assert reader.lexical is not None
        words = [reader.lexical.search(ParsedQuery(word), max(1, reader.rows), allowed=reader.live) for word in WORDS]
        return [ranking(reader, each.rows, each.scores) for each in (*dense, *words)]


@given(st.lists(STEPS, min_size=1, max_size=7))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_results_do_not_depend_on_history(bench: Any, steps: list[Any]) -> None:
    for name in ("collection", "fresh"):
        shutil.rmtree(bench.folder / name, ignore_errors=True)
    history = History(bench)
    for step in [Add((("d0", "apple"),), 100), *steps]:
        history.take(step)
    wanted = history.states[max(history.states)]
    fresh = type(bench)(bench.folder / "fresh", bench.settings)
    fresh.folder.mkdir()
    fresh.add(*(bench.document(*each) for each in wanted.items()))
    for mine, new in zip(rankings(bench, bench.path), rankings(bench, fresh.path), strict=True):
        assert [name for name, _ in mine] == [name for name, _ in new]
        np.testing.assert_allclose([score for _, score in mine], [score for _, score in new], atol=1e-5)
    assert verify(bench.path).ok
    assert verify(bench.path).orphans == ()


def test_the_log_tells_what_happened(bench: Any) -> None:
    bench.add(bench.document("a"))
    bench.add(bench.document("b"))
    roll_back(bench.path)
    entries = log_entries(bench.path)
    assert [(each.generation, each.documents, each.current) for each in entries] == [
        (3, 1, True),
        (2, 2, False),
        (1, 1, False),
    ]
    assert entries[0].cause == "rollback to generation 1"


def test_a_rollback_can_be_rolled_back(bench: Any) -> None:
    bench.add(bench.document("a"))
    bench.add(bench.document("b"))
    assert roll_back(bench.path, 1) == 3
    assert read_manifest(bench.path).documents == 1
    assert roll_back(bench.path, 2) == 4
    assert read_manifest(bench.path).documents == 2
    with pytest.raises(NotACollection, match=r"generation 1 is not kept \(kept: 2, 3, 4\)"):
        roll_back(bench.path, 1)


def test_a_damaged_current_generation_is_rolled_back(bench: Any) -> None:
    bench.add(bench.document("a"))
    bench.add(bench.document("b"))
    (bench.path / "manifest.json").write_text("{}")
    assert roll_back(bench.path, 1) == 3
    assert verify(bench.path).ok


def test_generations_are_kept_by_count_and_by_age(bench: Any) -> None:
    for number in range(5):
        bench.add(bench.document(f"d{number}"))
    assert [each.generation for each in log_entries(bench.path)] == [5, 4, 3]
    with bench.writer(retention=Retention(count=1, age_s=3600)) as writer:
        bench.put(writer, [bench.document("x")])
        writer.commit()
    assert [each.generation for each in log_entries(bench.path)] == [6, 5, 4, 3]
    with bench.writer(retention=Retention(count=1)) as writer:
        bench.put(writer, [bench.document("y")])
        writer.commit()
    assert [each.generation for each in log_entries(bench.path)] == [7]


def size_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def test_deleted_text_leaves_the_disk(bench: Any) -> None:
    bench.add(*(bench.document(f"gone{n}", f"secretword{n} " * 50, place=f"secretplace{n}") for n in range(40)))
    before = size_of(bench.path)
    with bench.writer() as writer:
        writer.delete([f"gone{n}" for n in range(2, 40)])
        writer.commit()
    merge_collection(bench.path, fully=True, retention=Retention(1))
    everything = b"".join(each.read_bytes() for each in bench.path.rglob("*") if each.is_file())
    for gone in (b"secretword7", b"secretplace7", b"gone17"):
        assert gone not in everything
    assert b"secretword1" in everything
    assert size_of(bench.path) < before / 2


def test_deleted_words_leave_the_disk_too(bench: Any) -> None:
    bench.add(*(bench.document(f"d{n}", f"uniqueword{n}") for n in range(10)))
    with bench.writer() as writer:
        writer.delete(["d0", "d1", "d2", "d3"])  # enough for the segment to be merged at once, and not for the words
        writer.commit()
    merge_collection(bench.path, fully=True, retention=Retention(1))
    everything = b"".join(each.read_bytes() for each in bench.path.rglob("*") if each.is_file())
    assert b"uniqueword3" not in everything
    assert b"uniqueword4" in everything
    assert merge_collection(bench.path, fully=True).merges == 0


def test_merging_does_not_lose_what_is_written_meanwhile(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(4)))
    bench.add(*(bench.document(f"d{n}") for n in range(4, 8)))
    import indexer.maintenance.background_merge as compact

    merge_segments = compact.merge_segments

    def slow(*arguments: Any) -> Any:
        record = merge_segments(*arguments)
        with bench.writer(policy=MergePolicy(dead_share=1.0)) as writer:
            writer.delete(["d1"])
            bench.put(writer, [bench.document("d5", "new"), bench.document("e")])
            writer.commit()
        return record

    monkeypatch.setattr(compact, "merge_segments", slow)
    with open_index_reader(bench.path) as reader:
        monkeypatch.setattr(compact._Merger, "step", once(compact._Merger.step))
        report = merge_collection(bench.path, fully=True)
        assert reader.manifest.documents == 8
        assert len(reader.documents(np.arange(8))) == 8
    assert report.merges == 2  # the words, too
    with open_index_reader(bench.path) as reader:
        found = {each.id: each.text for each in reader.documents(np.flatnonzero(reader.live_documents))}
    kept = {f"d{n}": f"text of d{n}" for n in (0, 2, 3, 4, 6, 7)}
    assert found == {**kept, "d5": "new", "e": "text of e"}
    assert verify(bench.path).ok


def test_a_merge_that_came_too_late_is_not_counted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(4)))
    bench.add(*(bench.document(f"d{n}") for n in range(4, 8)))
    import indexer.maintenance.background_merge as compact

    merge_segments = compact.merge_segments

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(compact, "merge_segments", merge_segments)
        record = merge_segments(*arguments)
        roll_back(bench.path)
        return record

    monkeypatch.setattr(compact, "merge_segments", overtaken)
    report = merge_collection(bench.path, policy=MergePolicy(fanout=2, floor_passages=100))
    assert (report.merges, report.generation, report.segments) == (0, 3, 1)


def test_a_collector_spares_a_merge_that_begins_while_it_looks(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(*(bench.document(f"d{n}") for n in range(4)))
    bench.add(*(bench.document(f"d{n}") for n in range(4, 8)))
    import indexer.maintenance.background_merge as compact
    import indexer.writing.garbage as collect

    lock_is_held, merge_segments = collect.lock_is_held, compact.merge_segments
    made, merging = Event(), ThreadPoolExecutor(1)
    merges: list[Any] = []

    def merge_and_tell(*arguments: Any) -> Any:
        record = merge_segments(*arguments)
        made.set()
        return record

    def begin_after_a_look(path: Path) -> bool:
        held = lock_is_held(path)
        if path.name == collect.MERGE_LOCK and not merges:
            merges.append(merging.submit(merge_collection, bench.path, fully=True))
            made.wait()
        return held

    monkeypatch.setattr(compact, "merge_segments", merge_and_tell)
    monkeypatch.setattr(collect, "lock_is_held", begin_after_a_look)
    with bench.writer():
        pass  # collects garbage
    assert merges[0].result().merges == 1
    merging.shutdown()
    assert verify(bench.path).ok


def once(step: Any) -> Any:
    """Return a step that merges once and then stops."""
    merges = iter([True])
    return lambda merger, plan: step(merger, plan) if next(merges, False) else None
