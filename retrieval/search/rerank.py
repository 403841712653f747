"""Cross-encoders: score a query and a text together (Nogueira and Cho 2019).

Only folders with safetensors weights are read; code in a folder is never run.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UnsupportedCheckpoint
from retrieval.types import Scores
from retrieval.util.work_budget import checkpoint

TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.txt", "vocab.json"),
    *("spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
BATCH_PAIRS = 16  # pairs of similar length


class CrossEncoder:
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

    def _score_batch(self, query: str, texts: list[str]) -> Scores:
        import torch

        with self._lock:
            pairs = self._tokenizer(
                [query] * len(texts),
                texts,
                padding=True,
                truncation="longest_first",
                max_length=self._max_tokens,
                return_tensors="pt",
            )
        with torch.inference_mode():
            logits = self._model(**pairs).logits
        scores: Scores = logits[:, 0].float().numpy()
        return scores


def load_reranker(folder: Path) -> CrossEncoder:
    """Load the cross-encoder of a transformers folder.  Raises UnsupportedCheckpoint."""
    if not (folder / "config.json").is_file():
        raise UnsupportedCheckpoint(f"{folder}: no cross-encoder: config.json is missing; name a transformers folder")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):  # the library would make an empty tokenizer
        raise UnsupportedCheckpoint(f"{folder}: tokenizer.json is missing; fetch the folder again")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from retrieval.encoder.checkpoint.foreign_model import OPTIONS, load_foreign_model

    model = load_foreign_model(folder, AutoModelForSequenceClassification)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **OPTIONS)
    except Exception as error:  # the library raises errors of many classes for damaged files
        raise UnsupportedCheckpoint(f"{folder}: its tokenizer cannot be read ({error}); check its files") from error
    if model.config.num_labels != 1:
        raise UnsupportedCheckpoint(
            f"{folder}: the model gives {model.config.num_labels} scores for a pair; use a cross-encoder that gives one"
        )
    max_positions = getattr(model.config, "max_position_embeddings", 512)
    reranker = CrossEncoder(model, tokenizer, min(max_positions, tokenizer.model_max_length, 512))
    _try_out(reranker, folder)
    return reranker


def _try_out(reranker: CrossEncoder, folder: Path) -> None:
    """Score one pair.  Raises UnsupportedCheckpoint unless the score can be used."""
    try:
        [score] = reranker.score("a query", ["a text"])
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise UnsupportedCheckpoint(f"{folder}: cannot score a pair ({error}); check its files") from error
    if not np.isfinite(score):
        raise UnsupportedCheckpoint(f"{folder}: the score of a pair is {score}; its weights are damaged")
