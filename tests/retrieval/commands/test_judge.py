"""A person's way through a pool, by keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval.metrics.files import read_qrels, write_text
from retrieval.metrics.pooling import (
    PooledDocument,
    pool_lines,
)
from service.cli import app

POOL = tuple(PooledDocument("q1", f"d{i}", "a question", f"title {i}", f"text {i}") for i in range(3))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    write_text(tmp_path / "pool.tsv", pool_lines(POOL))
    return tmp_path / "pool.tsv"


def press(pool: Path, keys: str, out: str = "qrels.txt") -> str:
    result = CliRunner().invoke(app, ["judge", str(pool), "--out", str(pool.with_name(out))], input=keys)
    assert result.exit_code == 0, result.output
    return result.output


def judged(pool: Path) -> dict[str, dict[str, int]]:
    return {query: dict(documents) for query, documents in read_qrels(pool.with_name("qrels.txt")).judgments.items()}


def test_keys_grade_undo_and_leave_for_later(pool: Path) -> None:
    output = press(pool, "3su20")
    assert judged(pool) == {"q1": {"d0": 2, "d2": 0}}
    assert "a question" in output
    assert "title 0" in output


def test_judging_goes_on_where_it_stopped(pool: Path) -> None:
    assert "1 of 3 judged" in press(pool, "1q")
    assert "title 0" not in press(pool, "q")
    assert "3 of 3 judged" in press(pool, "02")
    assert judged(pool) == {"q1": {"d0": 1, "d1": 0, "d2": 2}}
    assert "3 of 3 judged" in press(pool, "")


def test_a_key_that_means_nothing_is_explained(pool: Path) -> None:
    assert "keys: 0 not relevant" in press(pool, "x9q")
    assert "keys: 0 not relevant" in press(pool, "²q")


def test_undo_takes_back_what_was_saved(pool: Path) -> None:
    press(pool, "12uq")
    assert judged(pool) == {"q1": {"d0": 1}}


@pytest.mark.parametrize("name", ["qrels.txt", "qrels.tsv", "qrels.json"])
def test_the_only_judgment_can_be_taken_back(pool: Path, name: str) -> None:
    press(pool, "2uq", name)
    assert not pool.with_name(name).exists()
    assert "1 of 3 judged" in press(pool, "2q", name)
