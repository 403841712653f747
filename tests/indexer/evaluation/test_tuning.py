"""Tuning measures what would run, and writes only what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indexer.building.pipeline import BuildSettings, build_collection
from indexer.evaluation.sweep import parse_grid, sweep
from indexer.evaluation.tuning import CollectionObjective, current_settings, tune_collection, write_tuned
from indexer.maintenance.change_settings import SettingsChange, change_settings
from indexer.maintenance.linked_copy import linked_copy
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.storage.settings import ChunkSettings
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import EvaluationTask, make_task
from retrieval.metrics.tuning import TuningResult
from retrieval.search.evaluated.systems import ask_system, deep, open_system, parse_system
from retrieval.search.searcher import open_searcher
from retrieval.types import Mode, SearchRequest
from service.cli import app

ANIMALS = "cat dog horse cow sheep goat hen duck goose pig frog owl".split()  # noqa: SIM905
PLACES = "barn kitchen river".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "animals.jsonl"
    rows = [
        {"id": f"{animal}-{place}", "title": f"The {animal}", "text": f"In the {place} lives an old {animal}."}
        for animal in ANIMALS
        for place in PLACES
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("built") / "animals"
    build_collection([source], into, BuildSettings(chunking=ChunkSettings("whole")))
    return into


@pytest.fixture
def collection(built: Path) -> Iterator[Path]:
    """Yield a copy that a test may change."""
    with linked_copy(built) as copy:
        yield copy


def task() -> EvaluationTask:
    topics = tuple(Topic(animal, f"{animal} that swims") for animal in ANIMALS)
    return make_task("animals", topics, Qrels("q", {animal: {f"{animal}-river": 1} for animal in ANIMALS}))


def tuned(collection: Path, **chosen: Any) -> TuningResult:
    defaults = current_settings(read_manifest(collection))
    return TuningResult(defaults, {**defaults, **chosen}, 12, 0.5, 0.6, 0.05, 0.15, 0.001, 0.04, (), 3)


def test_what_is_measured_is_what_runs_after_it_was_written(collection: Path) -> None:
    settings = {"weight": 0.2, "feedback": 0.4, "k1": 0.6, "b": 0.25, "stop_words": "none", "title_weight": 3.0}
    with CollectionObjective(collection, task(), "RR@10", None) as bench:
        measured = bench.measure(settings).tolist()
        before = bench.measure(current_settings(read_manifest(collection))).tolist()
    assert read_manifest(collection).generation == 1
    assert write_tuned(collection, tuned(collection, **settings)) == 2
    assert current_settings(read_manifest(collection)) == settings
    with CollectionObjective(collection, task(), "RR@10", None) as bench:
        assert bench.measure(settings).tolist() == measured
        first = {"weight": 0.7, "feedback": 0.0, "k1": 1.5, "b": 0.75, "stop_words": "language", "title_weight": 1.0}
        assert bench.measure(first).tolist() == before


def test_a_sweep_measures_what_would_run(built: Path) -> None:
    grid = parse_grid("k1=0.6,3 b=0,0.75 title_weight=1,4")
    topics = tuple(Topic(animal, f"barn barn barn {animal}") for animal in ANIMALS)
    places = EvaluationTask("places", topics, task().qrels)
    template = SearchRequest("", mode=Mode.LEXICAL)
    points = sweep(built, places, "RR@10", grid, template)
    expected = product((0.6, 3.0), (0.0, 0.75), (1.0, 4.0))
    assert [tuple(point.settings.values()) for point in points] == list(expected)
    for point in points:
        with linked_copy(built) as copy:
            change_settings(copy, SettingsChange(point.settings))
            with open_system(parse_system(f"{copy}:lexical")) as system:
                run = ask_system(system, deep(SearchRequest("", mode=Mode.LEXICAL), 10), places.topics).run
        assert point.mean == pytest.approx(evaluate(run, places.qrels, "RR@10").aggregates["RR@10"])
    assert len({point.mean for point in points}) > 1
    assert read_manifest(built).generation == 1


def test_the_command_shows_a_map(built: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": a, "text": f"{a} that swims"}) for a in ANIMALS)
    )
    (tmp_path / "qrels.txt").write_text("".join(f"{a} 0 {a}-river 1\n" for a in ANIMALS))
    data = ["--queries", str(tmp_path / "queries.jsonl"), "--qrels", str(tmp_path / "qrels.txt")]

    def invoke(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["sweep", str(built), *data, *arguments])
        return result.exit_code, result.output

    code, output = invoke("--grid", "weight=0.2,0.8 feedback=0,0.4", "--measure", "RR@10")
    assert code == 0, output
    assert "weight ↓  feedback →" in output
    assert "best RR@10" in output
    found = json.loads(invoke("--grid", "k1=1,2", "--mode", "lexical", "--json")[1])
    assert [point["settings"] for point in found["points"]] == [{"k1": 1.0}, {"k1": 2.0}]
    for grid, says in (
        ("wieght=1", "unknown setting 'wieght'; did you mean weight?"),
        ("k1=low", "'k1=low' has values that are no numbers"),
        ("", "the grid has 0 settings"),
        ("k1=-1", "k1 is -1.0; give a number from 0 to 100"),
        (" ".join(f"{name}={','.join(map(str, range(1, 12)))}" for name in ("k1", "short", "rrf_k")), "1,331 points"),
    ):
        code, output = invoke("--grid", grid)
        assert (code, says in " ".join(output.split())) == (1, True), output


def test_searches_use_what_was_written(collection: Path) -> None:
    write_tuned(collection, tuned(collection, weight=0.25))
    with open_searcher(collection) as searcher:
        result = searcher.search(SearchRequest("an old goose"))
        assert result.weight == 0.25
        assert "tuned" in result.weight_reason
    with open_system(parse_system(str(collection))) as system:
        measured = ask_system(system, deep(SearchRequest(""), 10), task().topics)
    assert measured.provenance is not None
    assert measured.provenance.generation == 2


def test_a_search_over_few_queries_keeps_the_defaults(collection: Path) -> None:
    found = tune_collection(collection, task(), "RR@10")
    assert found.queries == 12
    assert found.defaults == current_settings(read_manifest(collection))
    assert read_manifest(collection).generation == 1
    assert [each.name for each in collection.parent.iterdir()] == ["animals"]


def test_the_command_says_what_it_did(collection: Path, tmp_path: Path) -> None:
    queries, qrels = tmp_path / "q.tsv", tmp_path / "qrels.txt"
    queries.write_text("".join(f"{topic.id}\t{topic.text}\n" for topic in task().topics[:10]))
    qrels.write_text("".join(f"{animal} 0 {animal}-river 1\n" for animal in ANIMALS))
    arguments = ["tune", str(collection), "--queries", str(queries), "--qrels", str(qrels), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert answer["queries"] == 10
    assert answer["accepted"] == (answer["p"] < 0.05 and answer["gain"] > 0 and answer["chosen"] != answer["defaults"])
    assert (answer["generation"] is not None) == answer["accepted"]
    assert [each["name"] for each in answer["effects"]] == sorted(
        (name for name in answer["chosen"] if answer["chosen"][name] != answer["defaults"][name]),
        key=lambda name: -next(each["gain"] for each in answer["effects"] if each["name"] == name),
    )
    assert "options" not in answer  # no query has operators, and no reranker is named
    queries.write_text("cat\ta cat\n")
    few = CliRunner().invoke(app, arguments)
    assert few.exit_code == 1
    assert "too few for tuning" in few.output
