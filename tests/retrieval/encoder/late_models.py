"""Small random late-interaction models in the three formats that exist."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from retrieval.encoder.checkpoint.hub import locate
from tests.retrieval.encoder.conftest import TOKENIZER_FILES, save_bert, write

DIMENSION = 16
EXPANSION: dict[str, Any] = {"strategy": "fixed", "length": 20}


def save_late_model(
    folder: Path, *, skips: dict[str, Any] | None = None, prompts: dict[str, str] | None = None, **settings: Any
) -> Path:
    """Save a `MultiVectorEncoder`; `settings` are those of its transformer."""
    from sentence_transformers import MultiVectorEncoder  # here: the other formats do not wait for the library
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize

    source = _bert(folder / "source")
    torch.manual_seed(1)
    dense = Dense(
        32, DIMENSION, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings"
    )
    modules = [
        Transformer(str(source), **settings),
        dense,
        MultiVectorMask(**(skips or {})),
        Normalize(module_input_name="token_embeddings"),
    ]
    MultiVectorEncoder(modules=modules, prompts=prompts or {}).save_pretrained(str(folder / "model"))
    return folder / "model"


def save_pylate_model(folder: Path, **settings: Any) -> Path:
    """Save a folder as PyLate does; `settings` are those of its outer JSON file."""
    _bert(folder)
    torch.manual_seed(1)
    dense = {"in_features": 32, "out_features": DIMENSION, "bias": False}
    write(folder / "1_Dense" / "config.json", dense | {"activation_function": "torch.nn.modules.linear.Identity"})
    save_file({"linear.weight": torch.randn(DIMENSION, 32)}, folder / "1_Dense" / "model.safetensors")
    kinds = [("", "sentence_transformers.models.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")]
    write(
        folder / "modules.json",
        [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(kinds)],
    )
    write(folder / "sentence_bert_config.json", {"max_seq_length": 60, "do_lower_case": False})
    markers = {"query_prefix": "[unused0]", "document_prefix": "[unused1]", "query_length": 24, "document_length": 50}
    write(folder / "config_sentence_transformers.json", {"model_type": "ColBERT", **markers, **settings})
    return folder


def save_stanford_model(folder: Path) -> Path:
    """Save a folder as the ColBERT of Stanford does."""
    _bert(folder)
    torch.manual_seed(1)
    weights = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights | {"linear.weight": torch.randn(DIMENSION, 32)}, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write(folder / "config.json", config | {"architectures": ["HF_ColBERT"]})
    write(folder / "artifact.metadata", {"dim": DIMENSION, "query_maxlen": 32, "doc_maxlen": 50})
    return folder


def _bert(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_bert(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(locate("all-MiniLM-L6-v2") / name, folder / name)
    return folder
