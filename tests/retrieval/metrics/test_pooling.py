"""Pools of several runs, pool files, and judging sessions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import BadJudgments
from retrieval.metrics.files import write_text
from retrieval.metrics.pooling import (
    JudgingSession,
    PooledDocument,
    fill_pool,
    pool_documents,
    pool_lines,
    read_pool,
)
from retrieval.metrics.runs import Qrels, Topic, make_run
from retrieval.types import Document

POOL = tuple(PooledDocument("q1", f"d{i}", "a question", f"title {i}", f"text {i}") for i in range(3))


@given(st.lists(st.sampled_from(["0", "1", "2", "3", "undo", "skip"]), max_size=30))
def test_what_is_judged_and_what_is_left_make_the_pool(steps: list[str]) -> None:
    judging = JudgingSession(POOL, Qrels("before", {"q0": {"x": 1}}))
    grades: list[str] = []
    for step in steps:
        if step == "undo":
            assert judging.undo() == bool(grades)
            grades = grades[:-1]
        elif judging.current is not None:
            judging.skip() if step == "skip" else judging.grade(int(step))
            grades += [] if step == "skip" else [step]
    found = judging.qrels().judgments
    assert found["q0"] == {"x": 1}
    assert sorted(found.get("q1", {}).values()) == sorted(map(int, grades))
    assert judging.remaining + len(found.get("q1", {})) == len(POOL)


def test_pools_join_runs_without_their_order_and_without_what_is_judged() -> None:
    topics = [Topic("q1", "one"), Topic("q2", "two")]
    a = make_run("a", {"q1": {f"d{i}": 50.0 - i for i in range(30)}})
    b = make_run("b", {"q1": {"d29": 2.0, "new": 1.0}})
    pools = pool_documents([a, b], topics, 5, judged=Qrels("q", {"q1": {"d0": 1}}))
    assert set(pools) == {"q1"}
    assert set(pools["q1"]) == {"d1", "d2", "d3", "d4", "d29", "new"}
    assert pools == pool_documents([b, a], topics, 5, judged=Qrels("q", {"q1": {"d0": 1}}))


def test_pools_survive_being_written(tmp_path: Path) -> None:
    pool = fill_pool({"q1": ["d1"]}, [Topic("q1", "one\ttwo")], {"d1": Document("d1", "  text\n\nmore ", "a\ntitle")})
    write_text(tmp_path / "pool.tsv", pool_lines(pool))
    assert read_pool(tmp_path / "pool.tsv") == (PooledDocument("q1", "d1", "one two", "a title", "text more"),)


def test_other_files_are_no_pools(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q 0 d 1\n")
    with pytest.raises(BadJudgments, match="not a pool"):
        read_pool(tmp_path / "qrels")
