"""What the encoder made of one text, token by token: states before pooling, and attention weights.

Always the reference path in torch and float32, whatever runtime makes the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding

from retrieval.encoder.layout import Packed
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.weights import load_transformer

EXACT_POOLINGS = frozenset({"mean", "mean_sqrt_len_tokens", "weightedmean"})


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text: code-point offsets (t, 2); the number of the word that each belongs to, -1 for special ones."""

    spans: NDArray[np.int64]
    words: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenStates:
    """A text's vector before it is summed: `weights @ states` has the direction of the vector.

    weights: (t,), summing to 1, zero for tokens that pooling leaves out.  states: (t, dimension).
    """

    tokens: Tokens
    weights: NDArray[np.float32]
    states: NDArray[np.float32]


class Inspector:
    """Looks into one encoder.  Safe to call from several threads."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._folder = encoder.folder
        self._transformer = load_transformer(encoder.folder)

    def states(self, text: str, prompt: str = "") -> TokenStates:
        """Token states of a text that `can_inspect`; at least one token."""
        encoding = self._encoder.tokenizer.encoding(prompt + text)
        hidden = self._run(encoding, None)
        skip = 0 if self._folder.include_prompt else self._encoder.tokenizer.prompt_tokens(prompt)
        weights = np.arange(len(hidden)) >= skip
        if self._folder.head.poolings == ("weightedmean",):
            weights = weights * np.arange(1, len(hidden) + 1)
        return TokenStates(
            _tokens(encoding),
            (weights / max(1, weights.sum())).astype(np.float32),
            hidden[:, : self._folder.head.truncate].numpy(),
        )

    def attention(self, text: str, prompt: str, layer: int) -> tuple[Tokens, NDArray[np.float32]]:
        """Tokens, and one layer's attention weights (H, t, t): row i says where token i looks, and sums to 1."""
        encoding = self._encoder.tokenizer.encoding(prompt + text)
        weights: list[list[torch.Tensor]] = []
        self._run(encoding, weights)
        return _tokens(encoding), weights[layer][0].numpy()

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self._transformer.layers)

    @property
    def heads(self) -> int:
        """How many heads a layer has."""
        return self._transformer.shape.heads

    @torch.inference_mode()
    def _run(self, encoding: Encoding, weights: list[list[torch.Tensor]] | None) -> torch.Tensor:
        ids = torch.tensor(encoding.ids)
        return self._transformer(ids, Packed([len(ids)]), weights=weights)  # type: ignore[no-any-return]


def can_inspect(encoder: SentenceEncoder) -> bool:
    """Whether the encoder runs on our own layers, so that states and attention can be had."""
    return encoder.folder.architecture is not None


def sums_tokens(encoder: SentenceEncoder) -> bool:
    """Whether a text's vector is a weighted sum of its token states, so that a cosine is a sum over token pairs."""
    head = encoder.folder.head
    return can_inspect(encoder) and not head.dense and len(head.poolings) == 1 and head.poolings[0] in EXACT_POOLINGS


def _tokens(encoding: Encoding) -> Tokens:
    special = np.array(encoding.special_tokens_mask, dtype=bool)
    words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
    return Tokens(np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2), np.where(special, -1, words))
