"""Protocols between packages: tokenizer, encoder, retriever, reranker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors


class Tokenizer(Protocol):
    """Splits text into the tokens that the encoder reads."""

    max_tokens: int  # limit of one passage, without special tokens and prompt

    def spans(self, text: str) -> NDArray[np.int32]:
        """Return the code-point offsets of all tokens but special ones: (tokens, 2)."""
        ...


class Encoder(Protocol):
    """Turns texts into vectors of length one.  Safe to call from several threads."""

    @property
    def dimension(self) -> int: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors: ...  # (n, dimension) float32

    def encode_passages(self, texts: Sequence[str]) -> Vectors: ...  # (n, dimension) float32


class Retriever(Protocol):
    """Ranks the passages of one open generation for one query.  For one thread.

    A retriever that does not match every allowed row gives its matching rows scores above 0 and all others 0.
    """

    name: ClassVar[str]  # the key of its scores in an answer
    matches_all: ClassVar[bool]  # whether every allowed row matches
    min_candidates: ClassVar[int]  # the shortest ranking that is worth asking for

    @property
    def score_range(self) -> tuple[float, float]:
        """The scores that score fusion maps to 0 and to 1; equal if no row scores."""
        ...

    def rank(self, k: int, *, exact: bool = False) -> Ranking:
        """Return the k best matching rows by (score descending, row ascending).

        `exact` bypasses the ANN indexes.
        """
        ...

    def score(self, rows: Rows) -> Scores:
        """Return the exact score of each of `rows`, (n,)."""
        ...

    def matches(self) -> Bitmap:
        """Return the rows that `rank` returns for an unlimited k, (rows,)."""
        ...

    def upper_bound(self, k: int) -> float:
        """Return the highest score of a row outside `rank(k)`; with k = 0, of any row."""
        ...


class Reranker(Protocol):
    """Scores (query, text) pairs jointly; higher is better."""

    def score(self, query: str, texts: Sequence[str]) -> Scores: ...
