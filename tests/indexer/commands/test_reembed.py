"""`attendex reembed` with real encoders: judgments decide on the switch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from retrieval.encoder.checkpoint.hub import locate
from retrieval.index.storage.manifest import read_manifest
from service.cli import app

QUESTIONS = {
    "How do plants make food from light?": "Photosynthesis turns sunshine, water and carbon dioxide into sugar.",
    "What keeps the moon near the Earth?": "Gravity holds satellites in their orbits around a planet.",
    "How can I lower my blood pressure?": "Less salt and regular exercise reduce hypertension.",
    "Why is the sea salty?": "Rivers carry minerals from rocks into the ocean, where they stay when water evaporates.",
    "How do I fix a flat bicycle tyre?": "Take the wheel off, find the puncture in the inner tube and patch it.",
    "Which drug helps against a headache?": "Aspirin and ibuprofen relieve mild pain.",
    "Who wrote the first computer program?": "Ada Lovelace published an algorithm for the Analytical Engine.",
    "How is bread made to rise?": "Yeast ferments the dough and fills it with bubbles of gas.",
    "What makes a rainbow?": "Droplets refract sunlight and split it into colours.",
    "How are vaccines tested?": "Immunisations go through trials with volunteers before they are approved.",
    "Why do leaves change colour?": "In autumn chlorophyll breaks down, and yellow and red pigments show.",
    "How do bees find flowers?": "Pollinators dance to tell the hive the direction of nectar.",
    "What is inflation?": "Prices rise in general, and money buys less than it did.",
    "How does a fridge cool?": "A refrigerant evaporates inside the cabinet and takes up heat.",
    "Why do cats purr?": "Felines vibrate the muscles of the larynx when they are content.",
    "How old is the universe?": "The Big Bang happened about 13.8 billion years ago.",
}
RUNTIME = ("--runtime", "torch", "--precision", "f32")  # what is made for one test need not be converted


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def variant(folder: Path, file: str, **changes: Any) -> Path:
    """Make the default encoder with another configuration."""
    shutil.copytree(locate("all-MiniLM-L6-v2"), folder, symlinks=False, copy_function=_linked)
    path = folder / file
    body = {**json.loads(path.read_text()), **changes}
    path.unlink()
    path.write_text(json.dumps(body))
    return folder


def _linked(source: str, target: str) -> None:
    Path(target).symlink_to(source)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """Build a collection and a question for each of its documents."""
    lines = [{"id": f"d{n}", "text": text} for n, text in enumerate(QUESTIONS.values())]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    asked = [{"_id": f"q{n}", "text": text} for n, text in enumerate(QUESTIONS)]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (tmp_path / "qrels.txt").write_text("".join(f"q{n} 0 d{n} 1\n" for n in range(len(QUESTIONS))))
    result = run("index", tmp_path / "corpus.jsonl", "--into", tmp_path / "papers", *RUNTIME)
    assert result.exit_code == 0, result.output
    return tmp_path / "papers"


def reembed(papers: Path, encoder: Path, *options: str) -> tuple[int, Any]:
    """Exit code and answer of a run that compares both encoders."""
    judged = ("--queries", papers.parent / "queries.jsonl", "--qrels", papers.parent / "qrels.txt")
    result = run("reembed", papers, "--encoder", encoder, *judged, *RUNTIME, *options, "--json")
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.slow
def test_an_encoder_that_is_not_worse_is_switched_to_and_a_worse_one_only_by_force(papers: Path) -> None:
    same = variant(papers.parent / "same", "sentence_bert_config.json", max_seq_length=128)
    worse = variant(papers.parent / "worse", "sentence_bert_config.json", max_seq_length=4)  # two words

    code, told = reembed(papers, same)
    assert (code, told["switched"], told["generation"], told["encoded"]) == (0, True, 2, len(QUESTIONS))
    assert told["verdict"].startswith("no difference")
    assert read_manifest(papers).encoder.max_tokens == 128

    code, told = reembed(papers, worse)
    assert (code, told["switched"], told["generation"]) == (1, False, 2)
    assert " is worse than " in told["verdict"]
    assert (read_manifest(papers).generation, read_manifest(papers).encoder.max_tokens) == (2, 128)

    code, told = reembed(papers, worse, "--force")
    assert (code, told["switched"], told["generation"], told["encoded"]) == (0, True, 3, 0)  # made by the run before
    assert read_manifest(papers).encoder.max_tokens == 4

    assert run("rollback", papers).exit_code == 0
    assert (read_manifest(papers).generation, read_manifest(papers).encoder.max_tokens) == (4, 128)
    assert run("verify", papers).exit_code == 0
    found = json.loads(run("search", papers, "hypertension", "--json").stdout)
    assert found["hits"][0]["id"] == "d2"


def test_queries_and_judgments_belong_together(tmp_path: Path) -> None:
    for option in ("--queries", "--qrels"):
        result = run("reembed", tmp_path, "--encoder", "any", option, tmp_path / "file")
        assert result.exit_code == 2
        assert "both" in result.stderr
