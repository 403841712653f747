"""Texts to calibrate with, and the whole of `attendex quantize`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.evaluation.quantize import draw_texts
from retrieval.encoder.cross_encoder import CrossEncoder, load_cross_encoder
from service.cli import app
from tests.retrieval.encoder.cross_encoders import save_cross_encoder


def corpus(path: Path, count: int) -> Path:
    lines = [json.dumps({"id": str(i), "title": f"title {i}", "text": f"what document {i} says"}) for i in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_texts_are_drawn_once_each_and_the_same_for_a_seed(tmp_path: Path) -> None:
    source = corpus(tmp_path / "some.jsonl", 200)
    drawn = draw_texts(source, 50, seed=1)
    assert len(set(drawn)) == 50
    assert drawn == draw_texts(source, 50, seed=1)
    assert drawn != draw_texts(source, 50, seed=2)
    assert "title 7 what document 7 says" in draw_texts(source, 200, seed=0)


def test_a_small_source_gives_all_it_has(tmp_path: Path) -> None:
    assert len(draw_texts(corpus(tmp_path / "few.jsonl", 3), 50, seed=0)) == 3


def test_one_document_is_not_enough(tmp_path: Path) -> None:
    source = corpus(tmp_path / "one.jsonl", 1)
    done = CliRunner().invoke(
        app, ["quantize", "all-MiniLM-L6-v2", "--calibrate", str(source), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_int8_keeps_the_ranking(shared_data: Path, tmp_path: Path) -> None:
    cranfield = shared_data / "cranfield"
    arguments = ["quantize", "all-MiniLM-L6-v2", "--calibrate", str(cranfield), "--out", str(tmp_path / "int8")]
    done = CliRunner().invoke(app, [*arguments, "--beir", str(cranfield), "--json"])
    assert done.exit_code == 0, done.output
    plain, judged = json.loads(done.stdout)["losses"]
    assert plain["cosine_mean"] > 0.99
    assert abs(judged["ndcg_f32"] - judged["ndcg_int8"]) <= 0.005


def test_an_int8_cross_encoder_scores_as_its_floats_do(tmp_path: Path) -> None:
    source, out = corpus(tmp_path / "some.jsonl", 40), tmp_path / "int8"
    model = save_cross_encoder(tmp_path / "model")
    done = CliRunner().invoke(
        app, ["quantize", str(model), "--calibrate", str(source), "--out", str(out), "--held-out", "10", "--json"]
    )
    assert done.exit_code == 0, done.output
    [loss] = json.loads(done.stdout)["losses"]
    assert loss["pairs"] == 20
    assert loss["correlation"] > 0.9
    made = load_cross_encoder(out)  # in int8 by default
    assert isinstance(made, CrossEncoder)
    assert made.runtime.precision == "int8"
    np.testing.assert_allclose(
        load_cross_encoder(out, precision="f32").score("cats", ["heat"]),
        load_cross_encoder(model, precision="f32").score("cats", ["heat"]),
        atol=1e-5,
    )
