"""Codes of token vectors, of a few bits for each dimension, and their scores.

A token vector is stored as its difference from the mean of its passage: `bits` for each dimension, which name the
nearest of 2^bits levels, and a scale for the token.  The levels are those of Lloyd and Max for a normal distribution
(Max 1960, "Quantizing for minimum distortion"), so codes need no training: they depend on the passage alone, and a
merge copies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Rows, Vectors

_HALVES = {  # by bits: the positive levels, for a deviation of 1
    1: (0.7979,),
    4: (0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326),
}
SCALE_BYTES = 2
PRODUCT_SIZE = 200_000  # multiplications of one product; OpenBLAS starts threads beyond 262,144


@dataclass(frozen=True, slots=True)
class TokenCodes:
    """The codes of the tokens of passages, passage after passage."""

    codes: NDArray[np.uint8]  # (tokens, width): packed levels, then the scale as float16
    means: NDArray[np.float16]  # (passages, dimension)
    counts: NDArray[np.int64]  # (passages,), tokens of each

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, passages: Rows) -> TokenCodes:
        """Return the codes of some passages, whose rows ascend."""
        wanted = np.zeros(len(self), np.bool_)
        wanted[passages] = True
        return TokenCodes(self.codes[np.repeat(wanted, self.counts)], self.means[passages], self.counts[passages])

    @classmethod
    def joined(cls, parts: Sequence[TokenCodes]) -> TokenCodes:
        """Join the codes of one or more groups of passages."""
        return cls(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )


class TokenCodec:
    """Encodes token vectors of one dimension, and scores their codes."""

    def __init__(self, dimension: int, bits: int) -> None:
        self.dimension = dimension
        self.bits = bits
        half = np.array(_HALVES[bits], dtype=np.float32)
        self._levels = np.concatenate((-half[::-1], half))
        self._bounds = (self._levels[1:] + self._levels[:-1]) / 2
        self._packed = 8 // bits  # dimensions of a byte
        self._code_bytes = -(-dimension // self._packed)
        self.width = self._code_bytes + SCALE_BYTES  # bytes of a token
        shifts = np.arange(self._packed) * bits
        self._table = self._levels[(np.arange(256)[:, np.newaxis] >> shifts) & (2**bits - 1)]  # levels of each byte

    def encode(self, passages: Sequence[Vectors]) -> TokenCodes:
        """Encode the token vectors of passages, (t, dimension) each, of length one."""
        counts = np.array([len(vectors) for vectors in passages], dtype=np.int64)
        means = np.zeros((len(passages), self.dimension), dtype=np.float16)
        codes = np.empty((int(counts.sum()), self.width), dtype=np.uint8)
        start = 0
        for i, vectors in enumerate(passages):
            if len(vectors):
                means[i] = vectors.mean(0)
                codes[start : start + len(vectors)] = self._codes(vectors - means[i].astype(np.float32))
            start += len(vectors)
        return TokenCodes(codes, means, counts)

    def _codes(self, residuals: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Encode differences from a mean: (t, dimension) → (t, width)."""
        deviations = np.sqrt((residuals**2).mean(1, keepdims=True))
        numbers = np.searchsorted(self._bounds, residuals / np.maximum(deviations, 1e-12)).astype(np.uint8)
        chosen = self._levels[numbers]
        scales = (residuals * chosen).sum(1) / (chosen**2).sum(1)  # the best for these levels (least squares)
        padded = np.zeros((len(numbers), self._code_bytes * self._packed), dtype=np.uint8)
        padded[:, : self.dimension] = numbers
        groups = padded.reshape(len(numbers), self._code_bytes, self._packed)
        shifts = (np.arange(self._packed) * self.bits).astype(np.uint8)
        packed = np.bitwise_or.reduce(groups << shifts, axis=2)
        return np.concatenate((packed, scales.astype("<f2")[:, np.newaxis].view(np.uint8)), axis=1)

    def decode(self, codes: NDArray[np.uint8], mean: NDArray[np.float16]) -> Vectors:
        """Return the vectors of a passage's tokens: (t, width), (dimension,) → (t, dim)."""
        levels, scales = self._unpacked(codes)
        return levels * scales[:, np.newaxis] + mean.astype(np.float32)

    def similarities(self, query: Vectors, codes: NDArray[np.uint8], mean: NDArray[np.float16]) -> NDArray[np.float32]:
        """Return the inner products of tokens: (q, dimension), (t, width) → (q, t).

        They equal those with the vectors of `decode`, but for rounding.
        """
        levels, scales = self._unpacked(codes)
        return token_products(query, levels) * scales + (query @ mean.astype(np.float32))[:, np.newaxis]

    def _unpacked(self, codes: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the levels, (t, dimension), and the scales, (t,)."""
        unpacked = np.take(self._table, codes[:, : self._code_bytes], axis=0)  # far faster than indexing
        levels = unpacked.reshape(len(codes), self._code_bytes * self._packed)[:, : self.dimension]
        scales = np.ascontiguousarray(codes[:, self._code_bytes :]).view("<f2")[:, 0].astype(np.float32)
        return levels, scales


def token_products(query: Vectors, passage: Vectors) -> NDArray[np.float32]:
    """Return the inner products of tokens: (q, dimension), (t, dimension) → (q, t).

    The products are computed in blocks that the BLAS library multiplies on the caller's thread: its other threads would
    compete with those of the encoder, and a search has many small products.
    """
    block = max(1, PRODUCT_SIZE // max(1, query.size))
    parts = [query @ passage[start : start + block].T for start in range(0, max(1, len(passage)), block)]
    return np.concatenate(parts, axis=1)


def late_score(similarities: NDArray[np.float32], *, mean: bool) -> float:
    """Return the late-interaction score of a passage from similarities, (q, t).

    It is the sum over the query's tokens of the largest similarity, or with `mean` the mean; 0 without any token.
    """
    if not similarities.size:
        return 0.0
    best = similarities.max(1)
    return float(best.mean() if mean else best.sum())
