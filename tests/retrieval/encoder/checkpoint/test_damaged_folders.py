"""A damaged, foreign or incomplete model folder is an error that names the file and the remedy."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification, ElectraModel

from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError, UnsupportedCheckpoint

MakeFolder = Callable[..., Path]  # the fixture of conftest.py
Damage = Callable[[Path], object]


def change(file: str, **values: Any) -> Damage:
    """Set values of a JSON object."""

    def apply(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return apply


def change_vocabulary(folder: Path) -> None:
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    value["model"]["vocab"]["zebra"] = 10**6
    path.write_text(json.dumps(value))


def fill(name: str, number: float) -> Damage:
    """Fill a tensor of the weights with one number."""

    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        [found] = [each for each in tensors if each.endswith(name)]
        tensors[found] = torch.full_like(tensors[found], number)
        save_file(tensors, path)

    return apply


def change_header(text: bytes, length: int | None = None) -> Damage:
    """Replace the header of the weights."""

    def apply(folder: Path) -> None:
        head = struct.pack("<Q", len(text) if length is None else length)
        (folder / "model.safetensors").write_bytes(head + text)

    return apply


HUGE = json.dumps({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}).encode()
CONFIGS: dict[str, dict[str, Any]] = {
    "many layers": {"num_hidden_layers": 10**9},
    "no layers": {"num_hidden_layers": 0},
    "negative layers": {"num_hidden_layers": -1},
    "fraction of layers": {"num_hidden_layers": 2.0},
    "layers as text": {"num_hidden_layers": "2"},
    "no heads": {"num_attention_heads": 0},
    "seven heads": {"num_attention_heads": 7},
    "many heads": {"num_attention_heads": 10**9},
    "true heads": {"num_attention_heads": True},
    "wide": {"hidden_size": 10**9},
    "wide inside": {"intermediate_size": 10**12},
    "many positions": {"max_position_embeddings": 10**12},
    "no positions": {"max_position_embeddings": 0},
    "vocabulary as text": {"vocab_size": "30522"},
    "large vocabulary": {"vocab_size": 10**15},
    "null width": {"hidden_size": None},
    "negative types": {"type_vocab_size": -1},
    "epsilon of nothing": {"layer_norm_eps": 0},
    "epsilon is no number": {"layer_norm_eps": float("nan")},
}
DAMAGES: dict[str, tuple[Damage, str]] = {
    **{name: (change("config.json", **values), "config.json|encoder") for name, values in CONFIGS.items()},
    "no pooling": (lambda folder: (folder / "1_Pooling/config.json").unlink(), r"1_Pooling/config\.json is missing"),
    "truncate to less than nothing": (change("config_sentence_transformers.json", truncate_dim=-5), "truncate_dim"),
    "no room for text": (change("sentence_bert_config.json", max_seq_length=2), "max_seq_length"),
    "id beyond the vocabulary": (change_vocabulary, "ids up to 1000000"),
    "weights are no numbers": (fill("word_embeddings.weight", float("nan")), "not finite"),
    "infinite weights": (fill("0.output.dense.bias", float("inf")), "not finite"),
    "weights of nothing": (fill("1.output.LayerNorm.weight", 0.0), "zero or not finite"),
    "huge header": (change_header(b"{}", 2**63), "unreadable safetensors"),
    "long header": (change_header(b"{", 10**9), "unreadable safetensors"),
    "header is no JSON": (change_header(b"notjson!"), "unreadable safetensors"),
    "huge tensor": (change_header(HUGE), "unreadable safetensors"),
    "empty weights": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "unreadable safetensors"),
}


@pytest.mark.parametrize("runtime", ["torch", "auto"])
@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_encoders_are_refused(name: str, runtime: str, make_folder: MakeFolder) -> None:
    damage, said = DAMAGES[name]
    folder = make_folder()
    damage(folder)
    if name == "weights of nothing":
        fill("1.output.LayerNorm.bias", 0.0)(folder)
    with pytest.raises(EncoderError, match=said):
        load_encoder(folder, runtime=runtime, precision="f32")


def test_a_projection_that_does_not_fit_is_refused(make_folder: MakeFolder) -> None:
    folder = make_folder(modules=[("Dense", "2_Dense"), ("Normalize", "3_Normalize")])
    with pytest.raises(UnsupportedCheckpoint, match=r"2_Dense/config\.json is missing"):
        load_encoder(folder, runtime="torch")
    settings = {"in_features": 33, "out_features": 10, "activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense/config.json").write_text(json.dumps(settings))
    with pytest.raises(UnsupportedCheckpoint, match=r"2_Dense/config\.json: in_features is 33, not 32"):
        load_encoder(folder, runtime="torch")


SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 30522}
SHAPE |= {"hidden_size": 32, "embedding_size": 32, "num_labels": 1}


def make_electra(make_folder: MakeFolder, kind: type[Any]) -> Path:
    """Save a small model of a family that only transformers knows."""
    folder = make_folder()
    torch.manual_seed(0)
    kind(ElectraConfig(**SHAPE)).save_pretrained(folder)
    return folder


FOREIGN: dict[str, tuple[Damage, str]] = {
    "many layers": (change("config.json", num_hidden_layers=10**9), r"config\.json: num_hidden_layers is 1000000000"),
    "another layer": (change("config.json", num_hidden_layers=3), "the weights lack"),
    "large vocabulary": (change("config.json", vocab_size=10**9), r"config\.json: asks for"),
    "seven heads": (change("config.json", num_attention_heads=7), "cannot load"),
    "no heads": (change("config.json", num_attention_heads=0), "cannot load"),
    "weights are no numbers": (fill("word_embeddings.weight", float("nan")), "not finite"),
    "header is no JSON": (change_header(b"notjson!"), "cannot load"),
    "config is no JSON": (lambda folder: (folder / "config.json").write_text("["), r"config\.json"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_damaged_models_of_transformers_are_refused(name: str, make_folder: MakeFolder) -> None:
    damage, said = FOREIGN[name]
    folder = make_electra(make_folder, ElectraModel)
    damage(folder)
    with pytest.raises(EncoderError, match=said):
        load_encoder(folder, runtime="torch")
    folder = make_electra(make_folder, ElectraForSequenceClassification)
    damage(folder)
    with pytest.raises(UnsupportedCheckpoint, match=said):
        load_cross_encoder(folder)


def test_whole_models_of_transformers_are_read(make_folder: MakeFolder) -> None:
    encoder = load_encoder(make_electra(make_folder, ElectraModel))
    assert np.isfinite(encoder.encode_queries(["wing"])).all()
    reranker = load_cross_encoder(make_electra(make_folder, ElectraForSequenceClassification))
    assert np.isfinite(reranker.score("wing", ["lift", ""])).all()


def test_a_cross_encoder_is_no_encoder(make_folder: MakeFolder) -> None:
    folder = make_electra(make_folder, ElectraForSequenceClassification)
    (folder / "modules.json").unlink()
    with pytest.raises(UnsupportedCheckpoint, match=r"config\.json: ElectraForSequenceClassification.*--reranker"):
        load_encoder(folder)
    whole = make_folder(outer={"model_type": "CrossEncoder"})
    with pytest.raises(UnsupportedCheckpoint, match="--reranker"):
        load_encoder(whole)


def test_an_encoder_is_no_cross_encoder(make_folder: MakeFolder) -> None:
    folder = make_electra(make_folder, ElectraModel)
    with pytest.raises(UnsupportedCheckpoint, match="the weights lack 'classifier"):
        load_cross_encoder(folder)


def test_a_cross_encoder_without_a_tokenizer_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder()
    config = BertForSequenceClassification.config_class.from_pretrained(folder, num_labels=1)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedCheckpoint, match="tokenizer"):
        load_cross_encoder(tmp_path)
    shutil.copy(folder / "vocab.txt", tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UnsupportedCheckpoint, match="tokenizer"):
        load_cross_encoder(tmp_path)
