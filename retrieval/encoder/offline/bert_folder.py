"""Write a BERT as a model folder of transformers or of sentence-transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.folder_json import PYLATE_DENSE
from retrieval.encoder.checkpoint.late_interaction_folder import PUNCTUATION, PYLATE, QUERY_LENGTH
from retrieval.encoder.checkpoint.model_folder import OLD_POOLING_KEYS
from retrieval.encoder.checkpoint.presets import Preset, PresetKind
from retrieval.errors import UnsupportedCheckpoint
from retrieval.util.files import Files

WORDS = "embeddings.word_embeddings.weight"
MODULES = ("Transformer", "1_Pooling", "2_Normalize")
PROJECTION = "1_Dense"
PASSAGE_LENGTH = 300  # tokens of a passage, as the published model was evaluated
SPLADE_MODULES = ("MLMTransformer", "1_SpladePooling")


def write_weights(folder: Path, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Write model.safetensors."""
    from safetensors.numpy import save_file

    tensors = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(Files.mode)  # the library makes it unreadable for other users


def write_config(folder: Path, preset: Preset, weights: Mapping[str, NDArray[np.float32]], epsilon: float) -> None:
    """Write config.json; the sizes are those of the weights."""
    prefix = next((name.removesuffix(WORDS) for name in weights if name.endswith(WORDS)), None)
    if prefix is None:
        raise UnsupportedCheckpoint(f"{folder}: the weights lack {WORDS!r}; use the file of the preset's package")

    def size(name: str, axis: int) -> int:
        return int(weights[f"{prefix}{name}"].shape[axis])

    layers = {name.split(".layer.")[1].partition(".")[0] for name in weights if ".layer." in name}
    config: dict[str, Any] = {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": size(WORDS, 1),
        "initializer_range": 0.02,
        "intermediate_size": size("encoder.layer.0.intermediate.dense.weight", 0),
        "layer_norm_eps": epsilon,
        "max_position_embeddings": size("embeddings.position_embeddings.weight", 0),
        "model_type": "bert",
        "num_attention_heads": preset.heads,
        "num_hidden_layers": len(layers),
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": size("embeddings.token_type_embeddings.weight", 0),
        "vocab_size": size(WORDS, 0),
    }
    if preset.kind is PresetKind.RERANKER:
        config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "score"}}
        config |= {"label2id": {"score": 0}}
    if preset.kind is PresetKind.SPARSE:
        config["architectures"] = ["BertForMaskedLM"]
    write_json(folder / "config.json", config)


def write_tokenizer_config(folder: Path, preset: Preset, config: Mapping[str, Any]) -> None:
    """Write tokenizer_config.json with the preset's limit of tokens."""
    write_json(folder / "tokenizer_config.json", {**config, "model_max_length": preset.max_tokens})


def write_sentence_modules(folder: Path, preset: Preset, width: int) -> None:
    """Write pooling and normalisation of vectors of `width` for sentence-transformers."""
    _write_modules(folder, MODULES, "sentence_transformers.models")
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {key: mode == preset.pooling for key, mode in OLD_POOLING_KEYS.items()}  # every version reads these
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes})
    own = {"max_seq_length": preset.max_tokens, "do_lower_case": preset.lower_case}
    write_json(folder / "sentence_bert_config.json", own)


def write_late_modules(folder: Path, preset: Preset, width: int) -> None:
    """Write projection and settings of a late-interaction model, as PyLate does.

    The projection is random: the package's file lacks the trained one.  Inner products of the states survive it nearly
    (Achlioptas 2003, Database-friendly random projections).
    """
    kinds = [("", "sentence_transformers.models.Transformer"), (PROJECTION, PYLATE_DENSE)]
    write_json(
        folder / "modules.json",
        [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(kinds)],
    )
    (folder / PROJECTION).mkdir()
    dense = {"in_features": width, "out_features": preset.dimension, "bias": False}
    identity = {"activation_function": "torch.nn.modules.linear.Identity"}
    write_json(folder / PROJECTION / "config.json", dense | identity)
    write_weights(folder / PROJECTION, {"linear.weight": random_projection(preset.dimension, width)})
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": PYLATE,
            "query_prefix": preset.query_prompt,
            "document_prefix": preset.passage_prompt,
            "query_length": QUERY_LENGTH,
            "document_length": PASSAGE_LENGTH,
            "do_query_expansion": True,
            "attend_to_expansion_tokens": False,
            "skiplist_words": list(PUNCTUATION),
        },
    )


def random_projection(outputs: int, inputs: int) -> NDArray[np.float32]:
    """Return a matrix of random signs, (outputs, inputs), the same on every machine."""
    size_bytes = -(-outputs * inputs // 8)
    digests = (hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(-(-size_bytes // 32)))
    bits = np.unpackbits(np.frombuffer(b"".join(digests), dtype=np.uint8), count=outputs * inputs)
    signs = 2.0 * bits.reshape(outputs, inputs).astype(np.float32) - 1.0
    return np.asarray(signs / np.sqrt(np.float32(inputs)), dtype=np.float32)


def write_splade_modules(folder: Path) -> None:
    """Write the pooling of term weights for sentence-transformers."""
    _write_modules(folder, SPLADE_MODULES, "sentence_transformers.sparse_encoder.models")
    (folder / "1_SpladePooling").mkdir(exist_ok=True)
    pooling = {"pooling_strategy": "max", "activation_function": "relu"}
    write_json(folder / "1_SpladePooling" / "config.json", pooling)
    outer = {"model_type": "SparseEncoder", "similarity_fn_name": "dot", "prompts": {"query": "", "document": ""}}
    write_json(folder / "config_sentence_transformers.json", outer)


def _write_modules(folder: Path, names: Sequence[str], package: str) -> None:
    """Write modules.json; a name is that of a kind, or of a folder that ends with it."""
    kinds = [(name.partition("_")[2] or name, name if "_" in name else "") for name in names]
    write_json(
        folder / "modules.json",
        [{"idx": i, "name": str(i), "path": path, "type": f"{package}.{kind}"} for i, (kind, path) in enumerate(kinds)],
    )


def write_prompts(folder: Path, preset: Preset) -> None:
    """Add the preset's prompts to config_sentence_transformers.json."""
    path = folder / "config_sentence_transformers.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    prompts = {"query": preset.query_prompt, "document": preset.passage_prompt}
    write_json(path, {**kept, "prompts": prompts})


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, in place of one that may be there."""
    path.unlink(missing_ok=True)  # it may be a link to a file of another cache
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
