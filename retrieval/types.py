"""The records that cross package borders, and what their numbers mean.

Ids are strings that the user chose; they are unique among the live documents of a collection.  A *row* is the
position of a passage in one open generation, from 0; rows never leave the process.  Offsets count Unicode code
points, `[start, end)`.  Scores are comparable within one answer only: cosine for dense, BM25 for lexical, fusion's
own scale for hybrid.  Every ranking is ordered by (score descending, document id ascending).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]  # (n, dimension), each of length one
Bitmap: TypeAlias = NDArray[np.bool_]  # (rows,), True where a row is allowed
Rows: TypeAlias = NDArray[np.int64]  # (n,), passage rows of one generation
Scores: TypeAlias = NDArray[np.float32]  # (n,)

MetadataValue: TypeAlias = str | float | bool | datetime | tuple[str, ...]
Metadata: TypeAlias = Mapping[str, MetadataValue]


class FieldType(StrEnum):
    """Types of metadata fields."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    STRINGS = "strings"


Schema: TypeAlias = Mapping[str, FieldType]  # metadata field → type


@dataclass(frozen=True, slots=True)
class Section:
    """A structural part of a document's text: what stands at `[start, end)` and where that is."""

    start: int
    end: int
    location: str  # "p. 12", "Install › Linux"
    heading: str = ""  # heading path that the encoder sees before the passage; "" for none


@dataclass(frozen=True, slots=True)
class Document:
    """What the user gave.  `sections` is empty for a document without structure."""

    id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded: `text[start:end]` of its document."""

    start: int
    end: int
    location: str = ""
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of an evaluation."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows of one query, best first.

    `rows` and `scores` have the same length; rows are distinct.
    """

    rows: Rows
    scores: Scores

    @classmethod
    def empty(cls) -> Self:
        """Return the ranking of no rows."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32))

    @classmethod
    def top(cls, rows: Rows, scores: Scores, k: int) -> Self:
        """Return the k best of `rows` by (score descending, row ascending)."""
        if len(rows) > 4 * k:
            kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
            rows, scores = rows[kept], scores[kept]
        order = np.lexsort((rows, -scores))[:k]
        return cls(np.ascontiguousarray(rows[order], dtype=np.int64), np.ascontiguousarray(scores[order]))


@dataclass(frozen=True, slots=True)
class EncoderFingerprint:
    """What makes two encoders the same: equal fingerprints give equal vectors (to the runtime's rounding)."""

    name: str  # as the user named it; not part of the identity
    weights_sha256: str
    tokenizer_sha256: str
    pooling: str  # "mean", "cls", …, joined by "+" where several are concatenated
    normalize: bool
    query_prompt: str
    passage_prompt: str
    max_tokens: int  # special tokens included
    dimension: int
    quantized_from: str = ""  # of int8 weights: weights_sha256 of the float ones that they were made from

    def differences(self, other: EncoderFingerprint) -> list[str]:
        """Fields that differ, the name aside, as "field: mine, theirs".

        int8 weights and the float weights that they were made from count as the same: their vectors may be compared.
        """
        ignored = {"name", "quantized_from"}
        if self._origin == other._origin:
            ignored.add("weights_sha256")
        return [
            f"{each.name}: {getattr(self, each.name)!r}, {getattr(other, each.name)!r}"
            for each in fields(self)
            if each.name not in ignored and getattr(self, each.name) != getattr(other, each.name)
        ]

    @property
    def _origin(self) -> str:
        return self.quantized_from or self.weights_sha256


class Mode(StrEnum):
    """Which retrievers answer."""

    DENSE = "dense"
    LEXICAL = "lexical"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search, as every door (command, HTTP, Python) hands it to the searcher.

    `filter` is an expression of `index/filters.py`; `weight` is the dense share of convex fusion, None for the
    searcher's own choice; `sort` is a metadata field, `-field` for descending, "" for the score.
    """

    query: str
    k: int = 10
    offset: int = 0
    mode: Mode | None = None  # None: hybrid where the collection has words, else dense
    filter: str = ""
    fusion: str = "convex"  # or "rrf"
    weight: float | None = None
    rrf_k: int = 60
    facets: tuple[str, ...] = ()
    sort: str = ""
    min_score: float | None = None
    passages_per_document: int = 3
    fields: tuple[str, ...] | None = None  # metadata fields that come back; None: all
    highlight: bool = False  # say where in a passage the match shows
    exact: bool = False  # bypass approximate structures
    explain: bool = False


@dataclass(frozen=True, slots=True)
class PassageHit:
    """A matching passage: `text` is `document.text[start:end]`; `highlights` are offsets within `text`."""

    text: str
    start: int
    end: int
    score: float
    location: str = ""
    highlights: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class WordPart:
    """A word's share of a score.  Offsets count within its place; in "text" that is the passage, not the document."""

    word: str
    place: str  # "text", "title", "heading", "prompt", or "special" for tokens that stand for no word
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a passage's text, and its share of the passage's score, from 0 to 1."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class DenseExplanation:
    """What a cosine is made of.

    `exact`: the score is the sum of `pairs`, whose row and column sums are the scores of the query's and the passage's
    words.  `remainder` is what rounding did to the score (vectors are kept in float16, and a lower precision may have
    made them); it is spread evenly over the pairs.  Otherwise a word's score is the loss of cosine when the word is
    left out, there are no pairs, and nothing needs to add up; `note` says so.
    """

    score: float
    exact: bool
    query: tuple[WordPart, ...]
    passage: tuple[WordPart, ...]
    pairs: tuple[tuple[float, ...], ...]  # (query words, passage words)
    remainder: float
    spans: tuple[Span, ...]  # of the passage's text, those that carry most of the score first
    note: str = ""


@dataclass(frozen=True, slots=True)
class TermPart:
    """A query term's share of a BM25 score; `words` are its places in the passage's text."""

    term: str
    score: float
    words: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LexicalExplanation:
    """What a BM25 score is made of: the sum of its terms' scores."""

    score: float
    terms: tuple[TermPart, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a document matched, told for its best passage, `document.text[start:end]`."""

    start: int
    end: int
    dense: DenseExplanation | None = None
    lexical: LexicalExplanation | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One document of an answer; `rank` counts from 1 over the whole ranking, not the page."""

    rank: int
    id: str
    score: float
    title: str
    text: str
    metadata: Metadata
    passages: tuple[PassageHit, ...]
    scores: Mapping[str, float | None] = field(default_factory=dict)  # by retriever, and "fused"; None: no part
    explanation: Explanation | None = None  # where the request asks for it


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds spent on each stage of one search; `total` counts explanations too."""

    encode: float
    retrieve: float
    fetch: float
    total: float


@dataclass(frozen=True, slots=True)
class FacetCount:
    """How many matching documents have `value` in a facet's field."""

    value: str | float | bool
    count: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """An answer: hits in order, and which generation gave them.

    `weight` is the dense share that was used.
    """

    query: str
    collection: str
    generation: int
    mode: Mode
    hits: tuple[Hit, ...]
    timings_ms: Timings
    facets: Mapping[str, tuple[FacetCount, ...]] = field(default_factory=dict)
    weight: float | None = None
    weight_reason: str = ""
    degraded: tuple[str, ...] = ()  # retrievers that were left out because the service was overloaded
