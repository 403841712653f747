"""Cross-encoders: a query and a text read together, scored by one number (Nogueira and Cho 2019).

Read from folders with safetensors weights only; code that comes with a folder is never run.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UnsupportedCheckpoint
from retrieval.types import Scores

BATCH_PAIRS = 16  # of similar length


class CrossEncoder:
    """Scores as the model gives them (logits); higher is better.  Safe to call from several threads."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._lock = threading.Lock()  # tokenizers change their truncation settings while they work

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """(n,) float32, in the order of `texts`.  Of a pair that is too long the longer one is cut."""
        scores = np.zeros(len(texts), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(order), BATCH_PAIRS):
            places = order[start : start + BATCH_PAIRS]
            scores[places] = self._scored(query, [texts[place] for place in places])
        return scores

    def _scored(self, query: str, texts: list[str]) -> Scores:
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
    """The cross-encoder in a transformers folder.  Raises UnsupportedCheckpoint."""
    if not (folder / "config.json").is_file():
        raise UnsupportedCheckpoint(f"{folder}: no cross-encoder; config.json is missing")
    if not list(folder.glob("*.safetensors")):
        raise UnsupportedCheckpoint(
            f"{folder}: no safetensors weights; pickled ones are not read. Save it again with them"
        )
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    known = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModelForSequenceClassification.from_pretrained(str(folder), use_safetensors=True, **known).eval()
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **known)
    except (OSError, ValueError, KeyError) as error:
        raise UnsupportedCheckpoint(f"{folder}: not a cross-encoder that can be read ({error})") from error
    if model.config.num_labels != 1:
        raise UnsupportedCheckpoint(
            f"{folder}: gives {model.config.num_labels} scores for a text; a cross-encoder for ranking gives one"
        )
    longest = getattr(model.config, "max_position_embeddings", 512)
    return CrossEncoder(model, tokenizer, min(longest, tokenizer.model_max_length, 512))
