"""Compare token states and attention of the converted graph with the reference."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from retrieval.encoder.inspection import Inspector
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.base import RuntimeName
from retrieval.encoder.sentence import SentenceEncoder
from tests.retrieval.encoder.families import SMALL, SPECIAL

MakeFolder = Callable[..., Path]  # the fixture of conftest.py

SMALL_RANDOM = SMALL | {"initializer_range": 0.3}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "relative": ("MPNet", SMALL_RANDOM | {"max_position_embeddings": 80}),
    "windowed": ("ModernBert", SMALL_RANDOM | SPECIAL | {"local_attention": 8}),
}
PROMPTS = {"prompts": {"query": "search for this: ", "document": "about "}}
POOLING = {"embedding_dimension": 32, "pooling_mode": "weightedmean", "include_prompt": False}


@pytest.fixture(scope="module")
def fast() -> SentenceEncoder:
    return load_encoder(runtime="openvino", precision="f32")


def inspector_of(encoder: SentenceEncoder) -> Inspector:
    assert encoder.inspector is not None
    return encoder.inspector


def assert_states_agree(found: Inspector, expected: Inspector, texts: Sequence[str], prompt: str = "") -> None:
    for left, right in zip(found.states(texts, prompt), expected.states(texts, prompt), strict=True):
        np.testing.assert_allclose(left.states, right.states, atol=2e-5)
        np.testing.assert_array_equal(left.weights, right.weights)
        np.testing.assert_array_equal(left.tokens.spans, right.tokens.spans)


def assert_attention_agrees(found: Inspector, expected: Inspector, texts: Sequence[str], prompt: str = "") -> None:
    *short, long = texts
    for text, layer in [*product(short, range(expected.layers)), (long, expected.layers - 1)]:
        _, weights = found.attention(text, prompt, layer)
        np.testing.assert_allclose(weights, expected.attention(text, prompt, layer)[1], atol=2e-5)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_states_are_those_of_the_reference(
    fast: SentenceEncoder, encoder: SentenceEncoder, texts: Sequence[str]
) -> None:
    assert_states_agree(inspector_of(fast), inspector_of(encoder), texts)
    assert_attention_agrees(inspector_of(fast), inspector_of(encoder), texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_states_of_other_families(family: str, make_folder: MakeFolder, texts: Sequence[str]) -> None:
    name, settings = FAMILIES[family]
    folder = make_folder(POOLING, outer=PROMPTS)
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**settings)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    runtimes = (RuntimeName.OPENVINO, RuntimeName.TORCH)
    found, expected = (inspector_of(load_encoder(folder, runtime=name, precision="f32")) for name in runtimes)
    assert_states_agree(found, expected, texts, "search for this: ")
    assert_attention_agrees(found, expected, texts, "search for this: ")


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 2e-5), ("bf16", 3e-3)])
def test_states_add_up_to_the_vector(precision: str, tolerance: float, texts: Sequence[str]) -> None:
    encoder = load_encoder(runtime="openvino", precision=precision)
    for text, vector in zip(texts, encoder.encode_passages(texts), strict=True):
        (found,) = inspector_of(encoder).states([text])
        total = found.weights @ found.states
        np.testing.assert_allclose(total / np.linalg.norm(total), vector, atol=tolerance)


def test_states_in_bfloat16_stay_close(fast: SentenceEncoder, texts: Sequence[str]) -> None:
    rounded = inspector_of(load_encoder(runtime="openvino", precision="bf16"))
    for found, exact in zip(rounded.states(texts), inspector_of(fast).states(texts), strict=True):
        lengths = np.linalg.norm(found.states, axis=1) * np.linalg.norm(exact.states, axis=1)
        assert ((found.states * exact.states).sum(1) / lengths).min() > 0.998


def test_many_threads_inspect_at_once(fast: SentenceEncoder, texts: Sequence[str]) -> None:
    inspector = inspector_of(fast)
    expected = inspector.states(texts)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: inspector.states([texts[i % len(texts)]])[0], range(24)))
    for i, found in enumerate(answers):
        np.testing.assert_allclose(found.states, expected[i % len(texts)].states, atol=1e-6)


def test_explaining_imports_no_torch(fast: SentenceEncoder) -> None:
    assert fast.runtime.name == "openvino"  # the graph is in the cache, so the next process finds it
    check = (
        "import sys; from retrieval.encoder.loading import load_encoder;"
        "from retrieval.search.explain.attribution import *;"
        "explainer = CosineExplainer(load_encoder(runtime='openvino'));"
        "(why,) = explainer.explain('aspirin', [[TextPart('text', 'Aspirin lowers the risk of stroke.')]], [0.5]);"
        "assert why.exact; explainer.attention([TextPart('text', 'Aspirin lowers the risk.')], 3);"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'nncf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
