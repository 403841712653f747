"""A cross-encoder of a family that only transformers knows, on torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrieval.encoder.checkpoint.cross_encoder_folder import MAX_PAIR_TOKENS, check_labels
from retrieval.encoder.checkpoint.foreign_model import OPTIONS, load_foreign_model
from retrieval.errors import UnsupportedCheckpoint
from retrieval.types import Scores
from retrieval.util.work_budget import checkpoint

TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.txt", "vocab.json"),
    *("spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
BATCH_PAIRS = 16  # pairs of similar length


class ForeignCrossEncoder:
    """A model that scores pairs by its logits.  Safe to call from several threads."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._lock = threading.Lock()  # a tokenizer changes its truncation settings during a call

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """Return the score of the query with each text, (n,); truncate the longer text."""
        scores = np.zeros(len(texts), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
        for start in range(0, len(order), BATCH_PAIRS):
            checkpoint()
            positions = order[start : start + BATCH_PAIRS]
            scores[positions] = self._score_batch(query, [texts[position] for position in positions])
        return scores

    @torch.inference_mode()
    def _score_batch(self, query: str, texts: list[str]) -> Scores:
        with self._lock:
            pairs = self._tokenizer(
                [query] * len(texts),
                texts,
                padding=True,
                truncation="longest_first",
                max_length=self._max_tokens,
                return_tensors="pt",
            )
        scores: Scores = self._model(**pairs).logits[:, 0].float().numpy()
        return scores


def load_foreign_cross_encoder(path: Path) -> ForeignCrossEncoder:
    """Load the cross-encoder of a transformers folder.  Raises UnsupportedCheckpoint."""
    if not any((path / name).is_file() for name in TOKENIZER_FILES):  # the library would make an empty tokenizer
        raise UnsupportedCheckpoint(f"{path}: tokenizer.json is missing; fetch the folder again")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = load_foreign_model(path, AutoModelForSequenceClassification)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), **OPTIONS)
    except Exception as error:  # the library raises errors of many classes for damaged files
        raise UnsupportedCheckpoint(f"{path}: its tokenizer cannot be read ({error}); check its files") from error
    check_labels(path, model.config.num_labels)
    max_positions = getattr(model.config, "max_position_embeddings", MAX_PAIR_TOKENS)
    return ForeignCrossEncoder(model, tokenizer, min(max_positions, tokenizer.model_max_length, MAX_PAIR_TOKENS))
