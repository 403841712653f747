"""Compare sparse encoders with sentence-transformers' SparseEncoder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SparseEncoder as ReferenceSparseEncoder

from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sparse import SparseEncoder, load_sparse_encoder
from retrieval.errors import EncoderError, UnsupportedCheckpoint, WorkCancelled
from retrieval.types import SparseVector
from retrieval.util.work_budget import WorkBudget
from tests.retrieval.encoder.sparse_encoders import FAMILIES, save_inference_free, save_splade

QUERIES = ["sleepy cats in the afternoon", "Zürich, naïve — 猫", "cats cats cats", "heat " * 90]
TEXTS = ["Cats sleep.", "A much longer text about heat that flows " * 30, "Wings", "", "Zürich, naïve — 猫"]


def dense(vectors: Sequence[SparseVector], size: int) -> np.ndarray[Any, Any]:
    matrix = np.zeros((len(vectors), size), np.float32)
    for row, vector in zip(matrix, vectors, strict=True):
        row[vector.terms] = vector.weights
    return matrix


def check_equal(encoder: SparseEncoder, folder: Path) -> None:
    reference = ReferenceSparseEncoder(str(folder), device="cpu")
    queries = reference.encode_query(QUERIES, convert_to_sparse_tensor=False).numpy()
    texts = reference.encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()
    size = encoder.folder.vocabulary
    found_queries, found_texts = encoder.encode_queries(QUERIES), encoder.encode_passages(TEXTS)
    np.testing.assert_allclose(dense(found_queries, size), queries, atol=1e-4)
    np.testing.assert_allclose(dense(found_texts, size), texts, atol=1e-4)
    scores = dense(found_queries, size) @ dense(found_texts, size).T
    np.testing.assert_allclose(scores, queries @ texts.T, rtol=1e-4, atol=1e-4)
    assert 0 < np.count_nonzero(texts) < texts.size / 2, "the test needs sparse vectors"


@pytest.fixture(scope="module")
def splade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_splade(tmp_path_factory.mktemp("splade"))


@pytest.fixture(scope="module")
def inference_free(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompts = {"query": "search: ", "document": "passage: "}
    return save_inference_free(tmp_path_factory.mktemp("free"), prompts=prompts)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_equal_sentence_transformers(family: str, tmp_path: Path) -> None:
    save_splade(tmp_path, family)
    check_equal(load_sparse_encoder(tmp_path, precision="f32"), tmp_path)


def test_sums_and_the_second_logarithm(tmp_path: Path) -> None:
    save_splade(tmp_path, pooling="sum", activation="log1p_relu")
    check_equal(load_sparse_encoder(tmp_path, precision="f32"), tmp_path)
    check_equal(load_sparse_encoder(tmp_path, runtime="torch", precision="f32"), tmp_path)


def test_an_inference_free_model_looks_queries_up(inference_free: Path) -> None:
    encoder = load_sparse_encoder(inference_free, precision="f32")
    assert not encoder.infers_queries
    check_equal(encoder, inference_free)


def test_the_older_names_of_modules_are_read(splade: Path, tmp_path: Path) -> None:
    modules = json.loads((splade / "modules.json").read_text())
    modules[0]["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer"
    modules[1]["type"] = "sentence_transformers.sparse_encoder.models.SpladePooling"
    shutil.copytree(splade, tmp_path, dirs_exist_ok=True)
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    check_equal(load_sparse_encoder(tmp_path, precision="f32"), splade)


def test_weights_do_not_depend_on_the_batch(splade: Path) -> None:
    encoder = load_sparse_encoder(splade, precision="f32")
    size = encoder.folder.vocabulary
    together = dense(encoder.encode_passages(TEXTS * 60), size)
    alone = np.vstack([dense(encoder.encode_passages([text]), size) for text in TEXTS])
    np.testing.assert_allclose(together, np.tile(alone, (60, 1)), atol=1e-5)
    assert encoder.encode_passages([]) == []


def test_terms_have_the_texts_of_tokens(splade: Path) -> None:
    encoder = load_sparse_encoder(splade, precision="f32")
    assert len(encoder.tokens) == len(set(encoder.tokens)) == encoder.folder.vocabulary
    assert encoder.tokens[101] == "[CLS]"


def test_the_fingerprint_tells_encoders_apart(splade: Path, inference_free: Path) -> None:
    one, other = (load_sparse_encoder(folder).fingerprint for folder in (splade, inference_free))
    assert one.dimension == 30522
    assert one.differences(other)
    assert not one.differences(load_sparse_encoder(splade).fingerprint)


def test_cancelled_work_ends(splade: Path) -> None:
    encoder = load_sparse_encoder(splade)
    with WorkBudget(is_cancelled=lambda: True).applied(), pytest.raises(WorkCancelled):
        encoder.encode_passages(TEXTS)


def test_a_converted_encoder_does_without_torch(splade: Path, inference_free: Path) -> None:
    load_sparse_encoder(splade)  # converts it
    code = (
        "import sys; from retrieval.encoder.sparse import load_sparse_encoder\n"
        f"for folder in ({str(splade)!r}, {str(inference_free)!r}): load_sparse_encoder(folder).encode_queries(['a'])\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_int8_is_refused_at_once(inference_free: Path) -> None:
    with pytest.raises(EncoderError, match="f32 or bf16"):
        load_sparse_encoder(inference_free, precision="int8")


def test_other_folders_are_refused(splade: Path, tmp_path: Path, default_folder: Path) -> None:
    with pytest.raises(EncoderError, match="no such encoder folder"):
        load_sparse_encoder(tmp_path / "missing")
    with pytest.raises(UnsupportedCheckpoint, match=r"no sparse encoder.*Pooling"):
        load_sparse_encoder(default_folder)
    with pytest.raises(UnsupportedCheckpoint, match="attendex index --sparse"):
        load_encoder(splade)
    shutil.copytree(splade, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "cosine"}')
    with pytest.raises(UnsupportedCheckpoint, match="'dot'"):
        load_sparse_encoder(tmp_path)
