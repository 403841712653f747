"""Small random sparse encoders, saved by sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

from retrieval.encoder.checkpoint.hub import DEFAULT, locate

FREQUENT = range(1996, 6000)  # ids of frequent English words in the tokenizer
SMALL = {
    "vocab_size": 30522,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.3,
    "max_position_embeddings": 80,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Bert": SMALL,
    "XLMRoberta": SMALL | {"type_vocab_size": 2},
    "MPNet": SMALL,
    "ModernBert": SMALL | {"num_hidden_layers": 2, "pad_token_id": 0},
    "DistilBert": {
        **{"vocab_size": 30522, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24, "initializer_range": 0.3},
        **{"max_position_embeddings": 80},
    },
}


def save_splade(folder: Path, family: str = "Bert", *, pooling: str = "max", activation: str = "relu") -> Path:
    """Save a random SPLADE model of one or two small layers, with the default encoder's tokenizer."""
    transformer = _masked_language_model(folder / "model", family)
    SparseEncoder(modules=[transformer, SpladePooling(pooling, activation)]).save_pretrained(str(folder))
    return folder


def save_inference_free(folder: Path, *, prompts: dict[str, str] | None = None) -> Path:
    """Save a random model whose queries have a table of weights."""
    transformer = _masked_language_model(folder / "model", "Bert")
    weights = torch.rand(30522) * (torch.rand(30522) > 0.1)
    table = SparseStaticEmbedding(tokenizer=transformer.tokenizer, weight=weights, frozen=True)
    router = Router.for_query_document([table], [transformer, SpladePooling("max")])
    SparseEncoder(modules=[router], prompts=prompts).save_pretrained(str(folder))
    return folder


def _masked_language_model(folder: Path, family: str) -> Transformer:
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(locate(DEFAULT)))
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family])
    model = getattr(transformers, f"{family}ForMaskedLM")(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # new models have none
            torch.nn.init.normal_(parameter, 0.0, 0.3)
            if parameter.numel() == config.vocab_size:  # most tokens but frequent words get no weight
                parameter.data[: FREQUENT.start] -= 8.0
                parameter.data[FREQUENT.stop :] -= 8.0
    model.save_pretrained(folder)
    tokenizer.model_max_length = 78
    tokenizer.save_pretrained(folder)
    return Transformer(str(folder), transformer_task="fill-mask")
