"""Compare encoder folders with sentence-transformers, and test refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertForMaskedLM

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError, UnsupportedCheckpoint
from retrieval.types import Vectors

MakeFolder = Callable[..., Path]  # the fixture of conftest.py


def write(path: Path, value: Any) -> None:
    """Write JSON and make its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


OLD = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": False}
POOLING_CONFIGS: dict[str, dict[str, Any]] = {
    "old-cls": OLD | {"pooling_mode_cls_token": True},
    "old-max": OLD | {"pooling_mode_max_tokens": True},
    "old-mean": OLD | {"pooling_mode_mean_tokens": True},
    "old-sqrt": OLD | {"pooling_mode_mean_sqrt_len_tokens": True},
    "old-weighted": OLD | {"pooling_mode_weightedmean_tokens": True},
    "old-last": OLD | {"pooling_mode_lasttoken": True},
    "old-three": OLD
    | {"pooling_mode_lasttoken": True, "pooling_mode_max_tokens": True, "pooling_mode_cls_token": True},
    "old-none": OLD,
    "new-mean": {"embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": True},
    "new-two": {"embedding_dimension": 32, "pooling_mode": ["lasttoken", "mean"], "include_prompt": True},
    "both": OLD | {"embedding_dimension": 32, "pooling_mode": "cls", "pooling_mode_max_tokens": True},
}


def unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def assert_equal_vectors(folder: Path, texts: Sequence[str]) -> None:
    """Compare vectors of queries and passages with sentence-transformers."""
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = load_encoder(folder, runtime="torch", precision="f32")
    for expected, found in (
        (theirs.encode_query(list(texts)), ours.encode_queries(texts)),
        (theirs.encode_document(list(texts)), ours.encode_passages(texts)),
    ):
        np.testing.assert_allclose(found, unit(expected), atol=3e-6)
    assert ours.dimension == expected.shape[1] == ours.fingerprint.dimension


@pytest.mark.parametrize("name", POOLING_CONFIGS)
def test_every_pooling_in_both_spellings(name: str, make_folder: MakeFolder, texts: Sequence[str]) -> None:
    assert_equal_vectors(make_folder(POOLING_CONFIGS[name]), texts)


@pytest.mark.parametrize(
    "era",
    [
        "sentence_transformers.models.",
        "sentence_transformers.sentence_transformer.modules.",
        "sentence_transformers.base.modules.x.",
    ],
)
def test_type_names_of_all_eras(era: str, make_folder: MakeFolder) -> None:
    assert open_folder(make_folder(era=era)).head.poolings == ("mean",)


def test_a_folder_that_the_newest_version_saves(make_folder: MakeFolder, tmp_path: Path, texts: Sequence[str]) -> None:
    SentenceTransformer(str(make_folder(POOLING_CONFIGS["old-three"])), device="cpu").save(str(tmp_path / "saved"))
    assert_equal_vectors(tmp_path / "saved", texts)


def test_the_oldest_layout_keeps_the_transformer_in_a_folder(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    assert_equal_vectors(make_folder(transformer="0_Transformer"), texts)


def test_a_plain_checkpoint_is_pooled_by_the_mean(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    folder = make_folder()
    (folder / "modules.json").unlink()
    assert_equal_vectors(folder, texts)


@pytest.mark.parametrize("activation", ["torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_layers(activation: str, bias: bool, make_folder: MakeFolder, texts: Sequence[str]) -> None:
    folder = make_folder(modules=[("Dense", "2_Dense"), ("Normalize", "3_Normalize")])
    add_dense(folder, activation, bias=bias)
    assert_equal_vectors(folder, texts)


def add_dense(folder: Path, activation: str, *, bias: bool) -> None:
    """Add a projection from 32 to 10 dimensions."""
    torch.manual_seed(0)
    settings = {"in_features": 32, "out_features": 10, "bias": bias, "activation_function": activation}
    write(folder / "2_Dense" / "config.json", settings)
    linear = torch.nn.Linear(32, 10, bias=bias)
    save_file(
        {f"linear.{name}": value for name, value in linear.state_dict().items()}, folder / "2_Dense/model.safetensors"
    )


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("mode", ["mean", "cls", "weightedmean"])
def test_prompts(include_prompt: bool, mode: str, make_folder: MakeFolder, texts: Sequence[str]) -> None:
    outer = {"prompts": {"query": "search for this: ", "document": "passage: "}, "default_prompt_name": None}
    pooling = {"embedding_dimension": 32, "pooling_mode": mode, "include_prompt": include_prompt}
    assert_equal_vectors(make_folder(pooling, outer=outer), texts)


def test_a_default_prompt_is_for_neither_queries_nor_passages(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    outer = {"prompts": {"sts": "same meaning: ", "query": "q: "}, "default_prompt_name": "sts"}
    assert_equal_vectors(make_folder(outer=outer), texts)


def test_truncate_dim(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    assert_equal_vectors(make_folder(outer={"truncate_dim": 12}), texts)


def test_lower_case_of_the_folder(make_folder: MakeFolder) -> None:
    folder = make_folder(own={"max_seq_length": 64, "do_lower_case": True})
    assert open_folder(folder).lower_case
    assert_equal_vectors(folder, ["UPPER and lower", "Ünïcode"])


def test_inner_product_encoders_keep_their_lengths(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    folder = make_folder(outer={"similarity_fn_name": "dot"}, modules=[("Dropout", "2_Dropout")])
    write(folder / "2_Dropout" / "config.json", {"dropout": 0.1})
    ours = load_encoder(folder, runtime="torch", precision="f32")
    expected = SentenceTransformer(str(folder), device="cpu").encode(list(texts))
    np.testing.assert_allclose(ours.encode_passages(texts), expected, atol=1e-5)
    assert ours.fingerprint.normalize is False


def test_the_limit_is_the_folders_then_the_tokenizers_then_the_models(make_folder: MakeFolder) -> None:
    assert open_folder(make_folder(own={"max_seq_length": 40})).max_tokens == 40
    assert open_folder(make_folder(own={"max_seq_length": 4000})).max_tokens == 128
    folder = make_folder(own={"max_seq_length": None})
    write(folder / "tokenizer_config.json", {"model_max_length": 50})
    assert open_folder(folder).max_tokens == 50
    write(folder / "tokenizer_config.json", {"model_max_length": int(1e30)})
    assert open_folder(folder).max_tokens == 128


def test_split_and_half_precision_checkpoints(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    folder = make_folder()
    whole = load_encoder(folder, runtime="torch", precision="f32").encode_passages(texts)
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({name: tensor for name, tensor in tensors.items() if files[name] == file}, folder / file)
    write(folder / "model.safetensors.index.json", {"weight_map": files})
    found = load_encoder(folder, runtime="torch", precision="f32").encode_passages(texts)
    assert (found * whole).sum(1).min() > 0.999


def test_names_of_old_checkpoints(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    """Old checkpoints name the weights of LayerNorm gamma and beta.

    They also have "bert." before every name.
    """
    folder = make_folder()
    before = load_encoder(folder, runtime="torch", precision="f32").encode_passages(texts)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    tensors = load_file(folder / "model.safetensors")
    for new_name, old_name in old.items():
        tensors = {f"{name.replace(new_name, old_name)}": tensor for name, tensor in tensors.items()}
    save_file({f"bert.{name}": tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    np.testing.assert_array_equal(load_encoder(folder, runtime="torch", precision="f32").encode_passages(texts), before)


def refusal(folder: Path) -> str:
    with pytest.raises(UnsupportedCheckpoint) as caught:
        load_encoder(folder, runtime="torch", precision="f32")
    return str(caught.value)


def test_pickled_weights_are_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = refusal(folder)
    assert "pytorch_model.bin" in message
    assert "pickle" in message
    assert "model.safetensors" in message


def test_pickled_weights_of_a_dense_are_refused(make_folder: MakeFolder) -> None:
    folder = make_folder(modules=[("Dense", "2_Dense"), ("Normalize", "3_Normalize")])
    add_dense(folder, "torch.nn.modules.activation.Tanh", bias=True)
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    assert "pickle" in refusal(folder)


def test_pickled_weights_of_an_unknown_family_are_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    write(folder / "config.json", {"model_type": "electra", "hidden_size": 32})
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pickle" in refusal(folder)


def test_code_of_the_repository_is_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", config | {"auto_map": {"AutoModel": "someone/model--modeling.Model"}})
    assert "code from its own repository" in refusal(folder)


EVIL = "raise SystemExit('code of the folder was run')"


@pytest.mark.parametrize(
    ("file", "map_"),
    [
        ("tokenizer_config.json", {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}),
        ("tokenizer_config.json", ["evil.Evil", "evil.Evil"]),
        ("config.json", {"AutoConfig": "evil.Evil"}),
    ],
)
def test_code_of_a_tokenizer_is_refused(file: str, map_: Any, make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "tokenizer.json").unlink()
    (folder / "evil.py").write_text(EVIL)
    write(folder / file, json.loads((folder / file).read_text()) | {"auto_map": map_})
    assert "code from its own repository" in refusal(folder)


def test_code_of_an_unknown_family_is_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "evil.py").write_text(EVIL)
    write(folder / "config.json", {"model_type": "new", "hidden_size": 32, "auto_map": {"AutoConfig": "evil.Evil"}})
    assert "AutoConfig needs Python code" in refusal(folder)


def test_code_that_is_not_needed_does_not_matter(make_folder: MakeFolder, texts: Sequence[str]) -> None:
    folder = make_folder()
    before = load_encoder(folder, runtime="torch", precision="f32").encode_passages(texts)
    (folder / "evil.py").write_text(EVIL)
    for file, named in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        write(folder / file, json.loads((folder / file).read_text()) | {"auto_map": {named: "evil.Evil"}})
    np.testing.assert_array_equal(load_encoder(folder, runtime="torch", precision="f32").encode_passages(texts), before)


def test_modules_of_other_packages_are_refused_and_not_imported(make_folder: MakeFolder) -> None:
    assert "code of its own" in refusal(make_folder(era="antigravity."))


def test_other_modules_are_refused_by_name(make_folder: MakeFolder) -> None:
    assert "LSTM" in refusal(make_folder(modules=[("LSTM", "2_LSTM")]))


def test_a_path_out_of_the_folder_is_refused(make_folder: MakeFolder) -> None:
    assert "leads out" in refusal(make_folder(modules=[("Dense", "../elsewhere"), ("Normalize", "3_Normalize")]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"is_decoder": True}, "decoder"),
        ({"intermediate_size": 65}, "inner.up.weight"),
        ({"num_hidden_layers": 3}, "encoder.layer.2"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(change: dict[str, Any], said: str, make_folder: MakeFolder) -> None:
    folder = make_folder()
    write(folder / "config.json", json.loads((folder / "config.json").read_text()) | change)
    assert said in refusal(folder)


def test_a_config_without_its_numbers_is_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    write(folder / "config.json", {"model_type": "bert"})
    assert "vocab_size" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json"])
def test_broken_json_names_the_file(name: str, make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / name).write_text("{ not json")
    assert name in refusal(folder)


@pytest.mark.parametrize(
    ("file", "value", "said"),
    [
        ("config.json", {"model_type": ["bert"]}, "unhashable"),
        ("sentence_bert_config.json", {"max_seq_length": "128"}, "wrong type"),
        ("config_sentence_transformers.json", {"prompts": ["a"]}, "prompts must be an object of texts"),
        ("config_sentence_transformers.json", {"prompts": {"query": 5}}, "prompts must be an object of texts"),
        ("config_sentence_transformers.json", {"truncate_dim": "few"}, "few"),
        ("1_Pooling/config.json", {"pooling_mode": []}, "pooling_mode is empty"),
        ("1_Pooling/config.json", {"pooling_mode": [["x"]]}, "unknown pooling"),
        ("1_Pooling/config.json", {"pooling_mode": 3}, "wrong type"),
    ],
)
def test_values_of_a_wrong_type_are_refused(file: str, value: Any, said: str, make_folder: MakeFolder) -> None:
    folder = make_folder()
    write(folder / file, value)
    message = refusal(folder)
    assert said in message
    assert str(folder) in message


@pytest.mark.parametrize("name", ["config.json", "modules.json"])
def test_json_without_an_end_names_the_file(name: str, make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / name).write_text("[" * 100_000)
    assert name in refusal(folder)


@pytest.mark.parametrize("files", [["a"], {"a": {"b": 1}}])
def test_a_damaged_index_of_weights_is_refused(files: Any, make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "model.safetensors").unlink()
    write(folder / "model.safetensors.index.json", {"weight_map": files})
    assert "weight_map must name a file" in refusal(folder)


def test_dropout_may_stand_anywhere(make_folder: MakeFolder) -> None:
    folder = make_folder(POOLING_CONFIGS["new-two"])
    kind = "sentence_transformers.models."
    parts = [("Dropout", "0_Dropout"), ("Transformer", ""), ("Dropout", "0_Dropout"), ("Pooling", "1_Pooling")]
    write(folder / "modules.json", [{"type": kind + name, "path": path} for name, path in parts])
    opened = open_folder(folder)
    assert (opened.transformer, opened.head.poolings) == (folder, ("lasttoken", "mean"))
    write(folder / "modules.json", [{"type": kind + "Dropout", "path": ""}])
    assert "not supported" in refusal(folder)


def test_broken_weights_name_the_file(make_folder: MakeFolder) -> None:
    folder = make_folder()
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "model.safetensors" in refusal(folder)


def test_missing_parts_are_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder()
    (folder / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refusal(folder)
    (tmp_path / "empty").mkdir()
    assert "config.json is missing" in refusal(tmp_path / "empty")
    folder = make_folder()
    for path in (*folder.glob("tokenizer*"), folder / "vocab.txt", folder / "special_tokens_map.json"):
        path.unlink()
    assert "tokenizer.json is missing" in refusal(folder)
    with pytest.raises(EncoderError, match="no such encoder folder"):
        load_encoder(tmp_path / "nowhere")


def test_unused_training_heads_do_not_disturb(make_folder: MakeFolder) -> None:
    folder = make_folder()
    config = BertConfig.from_pretrained(folder)
    torch.manual_seed(1)
    BertForMaskedLM(config).save_pretrained(folder)
    assert load_encoder(folder, runtime="torch", precision="f32").encode_queries(["x"]).shape == (1, 32)
