"""The few seams: what one part of Attendex may ask of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors


class Tokenizer(Protocol):
    """Text to tokens, as the encoder sees them."""

    max_tokens: int  # most tokens of one passage that the encoder reads, special tokens and prompt aside

    def spans(self, text: str) -> NDArray[np.int32]:
        """Code-point offsets of the tokens of `text` without special tokens, uncut: (tokens, 2)."""
        ...


class Encoder(Protocol):
    """Turns texts into vectors of length one.  Safe to call from several threads."""

    @property
    def dimension(self) -> int: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors: ...  # (n, dimension) float32

    def encode_passages(self, texts: Sequence[str]) -> Vectors: ...  # (n, dimension) float32


class VectorIndex(Protocol):
    """Nearest neighbours by inner product, restricted to `allowed` rows when it is given."""

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int, *, allowed: Bitmap | None = None, exact: bool = False) -> list[Ranking]:
        """The min(k, allowed rows) best rows of each query; `exact` passes by approximate structures."""
        ...

    def score(self, query: Vectors, rows: Rows) -> Scores:
        """Exact inner products of one query, (dimension,), with the kept vectors of `rows`."""
        ...


class Reranker(Protocol):
    """Scores (query, text) pairs jointly; higher is better."""

    def score(self, query: str, texts: Sequence[str]) -> Scores: ...
