"""Compare AutoModelRuntime with sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.torch_runtime import AutoModelRuntime
from retrieval.errors import UnsupportedCheckpoint

MakeFolder = Callable[..., Path]  # the fixture of conftest.py


def write(path: Path, value: Any) -> None:
    """Write JSON and make its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


SMALL = {
    "vocab_size": 30522,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "electra": ("Electra", SMALL | {"embedding_size": 16, "initializer_range": 0.3}),
    "t5-encoder": ("T5", {"vocab_size": 30522, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}),
    "bert-with-another-activation": ("Bert", SMALL | {"hidden_act": "quick_gelu", "initializer_range": 0.3}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_other_families_equal_sentence_transformers(family: str, make_folder: MakeFolder, texts: Sequence[str]) -> None:
    name, settings = FAMILIES[family]
    folder = make_folder()
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**settings)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    ours = load_encoder(folder, runtime="torch", precision="f32")
    assert isinstance(ours.runtime, AutoModelRuntime)
    expected = SentenceTransformer(str(folder), device="cpu").encode(list(texts))
    np.testing.assert_allclose(ours.encode_passages(texts), expected, atol=1e-5)


def test_an_unknown_family_is_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    write(folder / "config.json", {"model_type": "perceptron-9000", "hidden_size": 32})
    with pytest.raises(UnsupportedCheckpoint, match="perceptron-9000"):
        load_encoder(folder, runtime="torch", precision="f32")
