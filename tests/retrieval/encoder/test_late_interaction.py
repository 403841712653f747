"""Compare late-interaction models with sentence-transformers' MultiVectorEncoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder

from retrieval.encoder.checkpoint.late_interaction_folder import open_late_interaction
from retrieval.encoder.late_interaction import LateInteractionEncoder, load_late_interaction
from retrieval.errors import EncoderError, UnsupportedCheckpoint, WorkCancelled
from retrieval.util.work_budget import WorkBudget
from tests.retrieval.encoder.late_models import EXPANSION, save_late_model, save_pylate_model, save_stanford_model

QUERIES = ["sleepy cats in the afternoon", "What is love?", "cats and dogs, " * 30]
TEXTS = ["Cats sleep.", "A longer text -- about heat; (that) flows! " * 20, "", "Zürich, naïve — 猫", "cat " * 70]
MARKED = {"prompts": {"query": "[Q] ", "document": "[D] "}, "skips": {"skiplist_words": [".", ",", "!", "[unknown]"]}}
BOTH = {"skips": {"skiplist_words": [","], "skiplist_tasks": ["query", "document"]}}

MODELS: dict[str, Callable[[Path], Path]] = {
    "expanded": lambda path: save_late_model(path, query_expansion=EXPANSION, document_length=40, **MARKED),
    "attended": lambda path: save_late_model(path, query_expansion={**EXPANSION, "attend": True}),
    "longer": lambda path: save_late_model(path, query_expansion={**EXPANSION, "strategy": "min"}, query_length=30),
    "not expanded": lambda path: save_late_model(path, query_length=12, **BOTH),
    "pylate": save_pylate_model,
    "pylate without expansion": lambda path: save_pylate_model(path, do_query_expansion=False, skiplist_words=["cat"]),
    "stanford": save_stanford_model,
}


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS[request.param](tmp_path_factory.mktemp("late"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LateInteractionEncoder:
    return load_late_interaction(MODELS["expanded"](tmp_path_factory.mktemp("late")), precision="f32")


def assert_equal(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_vectors_and_scores_equal_sentence_transformers(folder: Path) -> None:
    reference = MultiVectorEncoder(str(folder))
    expected_passages = reference.encode_document(TEXTS, convert_to_numpy=True)
    expected_queries = reference.encode_query(QUERIES, convert_to_numpy=True)
    expected = reference.similarity(expected_queries, expected_passages).numpy()
    for runtime in ("openvino", "torch"):
        encoder = load_late_interaction(folder, runtime=runtime, precision="f32")
        queries, passages = [encoder.encode_query(query) for query in QUERIES], encoder.encode_passages(TEXTS)
        for each, other in zip([*queries, *passages], [*expected_queries, *expected_passages], strict=True):
            assert_equal(each, other)
        scores = [[(query @ passage.T).max(1).sum() for passage in passages] for query in queries]
        np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_a_vector_does_not_depend_on_its_batch(model: LateInteractionEncoder) -> None:
    many = TEXTS * 60  # several windows and batches
    together = model.encode_passages(many)
    alone = [model.encode_passages([text])[0] for text in TEXTS]
    for i, vectors in enumerate(together):
        np.testing.assert_allclose(vectors, alone[i % len(TEXTS)], atol=1e-5)
    assert model.encode_passages([]) == []


def test_each_vector_belongs_to_a_token_of_the_text(model: LateInteractionEncoder) -> None:
    text = "Cats sleep, in the sun."
    tokens = model.passage_tokens(text)
    prompted = model.folder.encoder.passage_prompt + text
    assert [prompted[a:b] for a, b in tokens.spans] == [
        *("", "[", "D", "]", "Cats", "sleep", "in", "the", "sun", "")  # "," and "." are on the list of skipped words
    ]
    assert len(tokens.words) == len(model.encode_passages([text])[0])
    query = model.query_tokens("cats")
    assert len(query.words) == len(model.encode_query("cats")) == 20
    assert (query.words[6:] == -1).all()


def test_cancelled_work_ends(model: LateInteractionEncoder) -> None:
    with WorkBudget(is_cancelled=lambda: True).applied(), pytest.raises(WorkCancelled):
        model.encode_passages(TEXTS)


def test_an_impossible_limit_does_not_count(tmp_path: Path) -> None:
    folder = open_late_interaction(save_pylate_model(tmp_path, document_length=-5, do_query_expansion=False))
    assert folder.encoder.max_tokens == 60
    folder = open_late_interaction(save_pylate_model(tmp_path, document_length=40.0))
    assert repr(folder.encoder.max_tokens) == "40"


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no such encoder folder"):
        load_late_interaction(tmp_path / "missing")
    with pytest.raises(UnsupportedCheckpoint, match="no late-interaction model"):
        load_late_interaction(tmp_path)
    long = save_pylate_model(tmp_path / "long", query_length=600)
    with pytest.raises(UnsupportedCheckpoint, match="expanded to 600 tokens; the model allows 1 to 60"):
        load_late_interaction(long)
    folder = save_pylate_model(tmp_path / "pylate")
    with pytest.raises(EncoderError, match="f32 or bf16"):
        load_late_interaction(folder, precision="int8")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    with pytest.raises(UnsupportedCheckpoint, match=r"modules \(Transformer\) are not supported"):
        load_late_interaction(folder)
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Dense" / "model.safetensors").rename(folder / "1_Dense" / "pytorch_model.bin")
    with pytest.raises(UnsupportedCheckpoint, match="a pickle"):
        load_late_interaction(folder)
