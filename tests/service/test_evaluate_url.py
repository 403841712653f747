"""Figures over HTTP are those of the process, to the last digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval.metrics.files import read_run
from service.cli import app
from tests.service.conftest import Served

QUERIES = {
    "q1": "aspirin and stroke",
    "q2": "an aeroplane's propeller",
    "q3": "sleepy animals",
    "q4": "size of a document",
}
QRELS = {"q1": {"aspirin": 2, "heat": 1}, "q2": {"wing": 1}, "q3": {"cat/1": 1}, "q4": {"heat": 1}}


@pytest.fixture
def task(tmp_path: Path) -> list[str]:
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps({"_id": q, "text": text}) for q, text in QUERIES.items()))
    (tmp_path / "qrels.json").write_text(json.dumps(QRELS))
    return ["--queries", str(tmp_path / "q.jsonl"), "--qrels", str(tmp_path / "qrels.json"), "--json"]


def evaluated(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)  # type: ignore[no-any-return]


def test_figures_and_stamps_are_the_same(small: Served, task: list[str]) -> None:
    inside = evaluated(str(small.root / "small"), *task)
    for outside in (
        evaluated("--url", small.url, "--collection", "small", *task),
        evaluated(f"{small.url}/small", *task),
        evaluated(f"{small.url}/v1/collections/small", *task),
    ):
        assert {**outside, "seconds": 0} == {**inside, "seconds": 0}


def test_runs_have_the_same_order_and_name(small: Served, task: list[str], tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside.run", tmp_path / "outside.run"
    evaluated(str(small.root / "small"), *task, "--mode", "dense", "--run-out", str(inside))
    evaluated(f"{small.url}/small:dense", *task, "--run-out", str(outside))
    first, second = read_run(inside), read_run(outside)
    assert first.name == second.name
    for query, ranking in first.rankings.items():
        assert second.rankings[query].ids == ranking.ids
        assert second.rankings[query].scores == pytest.approx(ranking.scores, abs=1e-5)  # batches differ in rounding


def test_a_collection_that_is_not_there_is_named(small: Served, task: list[str]) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--url", small.url, "--collection", "none", *task])
    assert result.exit_code == 1
    assert "none" in result.output
