"""Small random cross-encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from retrieval.encoder.checkpoint.hub import DEFAULT, locate

SMALL = {
    "vocab_size": 30522,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.3,
    "num_labels": 1,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Bert": SMALL | {"max_position_embeddings": 80},
    "XLMRoberta": SMALL | {"max_position_embeddings": 80, "type_vocab_size": 2},
    "MPNet": SMALL | {"max_position_embeddings": 80},
    "DistilBert": {
        **{"vocab_size": 30522, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "initializer_range": 0.3},
        **{"max_position_embeddings": 80, "num_labels": 1},
    },
}


def save_cross_encoder(folder: Path, family: str = "Bert", **changes: object) -> Path:
    """Save a random model of two small layers, with the default encoder's tokenizer."""
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(locate(DEFAULT)))
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family] | changes)
    getattr(transformers, f"{family}ForSequenceClassification")(config).save_pretrained(folder)
    tokenizer.model_max_length = 78
    tokenizer.save_pretrained(folder)
    return folder
