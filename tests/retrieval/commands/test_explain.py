"""`attendex explain`, as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.building.pipeline import build_collection
from service.cli import app
from tests.retrieval.encoder.late_models import save_stanford_model

QUERY = "does aspirin prevent strokes"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explain")
    (root / "documents.jsonl").write_text(
        '{"id": "aspirin", "title": "Trial", "text": "It rained. Aspirin lowers the risk of stroke."}\n'
        '{"id": "cats", "text": "Cats sleep [bold] all day."}\n'
    )
    build_collection([root / "documents.jsonl"], root / "small")
    return root / "small"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_json_adds_up(collection: Path) -> None:
    told = json.loads(run(collection, QUERY, "aspirin", "--json"))
    dense, lexical = told["dense"], told["lexical"]
    assert told["id"] == "aspirin"
    assert sum(map(sum, dense["pairs"])) == pytest.approx(dense["score"], abs=1e-4)
    assert sum(term["score"] for term in lexical["terms"]) == pytest.approx(lexical["score"], abs=1e-4)


def test_text_names_the_strongest_words(collection: Path) -> None:
    told = run(collection, QUERY, "aspirin")
    assert "cosine" in told
    assert "BM25" in told
    assert "Aspirin" in told
    assert "Trial (title)" in told


def test_markup_in_a_document_is_text(collection: Path) -> None:
    assert "[bold]" in run(collection, QUERY, "cats", "--mode", "dense")


def test_a_reranked_score_has_the_words_of_late_interaction(collection: Path, tmp_path: Path) -> None:
    model = save_stanford_model(tmp_path / "colbert")
    told = run(collection, QUERY, "aspirin", "--rerank", model)
    score, first, own = map(float, re.findall(r"([\d.]+)(?=  after reranking| from )", told))
    assert score == pytest.approx(first + own, abs=1.1e-4)  # four decimals of each
    assert "words add up to the late interaction" in told
    arguments = ["explain", str(collection), QUERY, "cats", "--rerank", str(model), "--rerank-depth", "1"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert "'cats' is not among the first 1 hits" in " ".join(refused.output.split())


@pytest.mark.parametrize(("arguments", "code"), [(("nobody",), 1), (("cats", "--mode", "fuzzy"), 2)])
def test_wrong_usage(collection: Path, arguments: tuple[str, ...], code: int) -> None:
    result = CliRunner().invoke(app, ["explain", str(collection), QUERY, *arguments])
    assert result.exit_code == code
