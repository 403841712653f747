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
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
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


SMALL_T5 = {"vocab_size": 30522, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
ENCODER_ONLY: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("T5", {}),
    "t5-1.1": ("T5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "wide-heads": ("T5", {"d_kv": 12}),
    "mt5": ("MT5", {}),
    "umt5": ("UMT5", {}),
    "longt5": ("LongT5", {"encoder_attention_type": "local", "local_radius": 20}),
}


def save_encoder_only(folder: Path, family: str) -> Any:
    """Save the encoder of an encoder-decoder family, and return the model."""
    name, settings = ENCODER_ONLY[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SMALL_T5 | settings)
    model = getattr(transformers, f"{name}EncoderModel")(config).eval()
    model.save_pretrained(folder)
    return model


def mean_states(model: Any, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return the normalised mean of transformers' own hidden states, one text at a time."""
    with torch.inference_mode():
        means = [model(input_ids=torch.tensor([text])).last_hidden_state[0].mean(0) for text in ids]
    return np.asarray(torch.nn.functional.normalize(torch.stack(means), dim=-1).numpy())


@pytest.mark.parametrize(
    ("family", "stated"), [*((family, None) for family in ENCODER_ONLY), ("t5", True), ("mt5", False)]
)
def test_a_folder_of_an_encoder_alone_equals_transformers(
    family: str, stated: bool | None, make_folder: MakeFolder, texts: Sequence[str]
) -> None:
    """The key is_encoder_decoder may be missing, true or false: the folder has no decoder."""
    folder = make_folder()
    model = save_encoder_only(folder, family)
    config = json.loads((folder / "config.json").read_text())
    config.pop("is_encoder_decoder", None)
    write(folder / "config.json", config if stated is None else config | {"is_encoder_decoder": stated})
    ours = load_encoder(folder, runtime="torch", precision="f32")
    expected = mean_states(model, ours.tokenizer.ids(texts))
    np.testing.assert_allclose(ours.encode_passages(texts), expected, atol=1e-5)


@pytest.mark.parametrize("names", [["shared.weight"], ["encoder.embed_tokens.weight"], None])
def test_the_word_embeddings_of_t5_have_either_name(
    names: list[str] | None, make_folder: MakeFolder, texts: Sequence[str]
) -> None:
    folder = make_folder()
    model = save_encoder_only(folder, "t5")
    tensors = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if "block" in name}
    tensors["encoder.final_layer_norm.weight"] = model.encoder.final_layer_norm.weight.detach()
    tensors |= {name: model.shared.weight.detach() for name in names or ()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    if names is None:
        with pytest.raises(UnsupportedCheckpoint, match="the weights lack"):
            load_encoder(folder, runtime="torch", precision="f32")
        return
    ours = load_encoder(folder, runtime="torch", precision="f32")
    expected = mean_states(model, ours.tokenizer.ids(texts))
    np.testing.assert_allclose(ours.encode_passages(texts), expected, atol=1e-5)


def test_the_layout_of_sentence_t5_equals_sentence_transformers(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    folder = make_folder(modules=[("Dense", "2_Dense"), ("Normalize", "3_Normalize")])
    save_encoder_only(folder, "t5-1.1")
    identity = "torch.nn.modules.linear.Identity"
    dense = {"in_features": 32, "out_features": 24, "bias": False, "activation_function": identity}
    write(folder / "2_Dense" / "config.json", dense)
    save_file({"linear.weight": torch.randn(24, 32)}, folder / "2_Dense" / "model.safetensors")
    expected = SentenceTransformer(str(folder), device="cpu").encode(list(texts))
    ours = load_encoder(folder, runtime="torch", precision="f32")
    np.testing.assert_allclose(ours.encode_passages(texts), expected, atol=1e-5)


def test_an_unknown_family_is_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    write(folder / "config.json", {"model_type": "perceptron-9000", "hidden_size": 32})
    with pytest.raises(UnsupportedCheckpoint, match="perceptron-9000"):
        load_encoder(folder, runtime="torch", precision="f32")
