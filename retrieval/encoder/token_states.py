"""A text as the encoder's tokens, for those who explain; light to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.sentence import SentenceEncoder

if TYPE_CHECKING:
    from tokenizers import Encoding

SUMS = frozenset({"mean", "mean_sqrt_len_tokens", "weightedmean"})


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text: code-point offsets (t, 2), and the number of each one's word, -1 for special tokens."""

    spans: NDArray[np.int64]
    words: NDArray[np.int64]

    @classmethod
    def of(cls, encoding: Encoding) -> Tokens:
        """From what the tokenizer says."""
        special = np.array(encoding.special_tokens_mask, dtype=bool)
        words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
        return cls(np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2), np.where(special, -1, words))


@dataclass(frozen=True, slots=True)
class TokenStates:
    """A text's vector before it is summed: `weights @ states` has the direction of the vector.

    weights: (t,), summing to 1, zero for tokens that pooling leaves out.  states: (t, dimension).
    """

    tokens: Tokens
    weights: NDArray[np.float32]
    states: NDArray[np.float32]


def tokens_of(encoder: SentenceEncoder, text: str) -> Tokens:
    """The tokens of a text with its prompt, cut as the encoder cuts it."""
    return Tokens.of(encoder.tokenizer.encoding(text))


def can_inspect(encoder: SentenceEncoder) -> bool:
    """Whether the encoder runs on our own layers, so that states and attention can be had."""
    return encoder.folder.architecture is not None


def sums_tokens(encoder: SentenceEncoder) -> bool:
    """Whether a text's vector is a weighted sum of its token states, so that a cosine is a sum over token pairs."""
    head = encoder.folder.head
    return can_inspect(encoder) and not head.dense and len(head.poolings) == 1 and head.poolings[0] in SUMS
