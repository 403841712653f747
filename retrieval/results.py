"""Records of an answer: its hits, their passages, the total and the facets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from retrieval.collapsed import Collapsed
from retrieval.explanations import Explanation, Replacement
from retrieval.facets import FacetCount, FacetStats
from retrieval.types import Mode


class TotalRelation(StrEnum):
    """Whether a total is exact."""

    EXACT = "exact"
    AT_LEAST = "at_least"


class Confidence(StrEnum):
    """Whether the best document is close to the query."""

    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class PassageHit:
    """A passage, `document.text[start:end]`; `highlights` are offsets in `text`.

    `number` counts the passages of the document from 1; `previous` and `next` are the numbers around it.
    """

    text: str
    start: int
    end: int
    score: float
    location: str = ""
    heading: str = ""
    highlights: tuple[tuple[int, int], ...] = ()
    number: int = 1
    previous: int | None = None
    next: int | None = None
    tokens: int | None = None  # of `text`, if the request asks for them
    before: str = ""  # text of the document before `start`, if the request asks for neighbours
    after: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A document of an answer, or a passage; `rank` counts from 1 over the ranking.

    `text` is empty unless the request includes it.
    """

    rank: int
    id: str
    score: float
    title: str
    text: str
    metadata: Mapping[str, Any]  # as the user gave them
    passages: tuple[PassageHit, ...]
    scores: Mapping[str, float | None] = field(default_factory=dict)  # by retriever, "fused", "rerank"; None: no part
    explanation: Explanation | None = None  # if the request asks for it
    collection: str | None = None  # in a search over several
    collapsed: Collapsed | None = None  # if the request collapses; not for a document without the field
    pinned: bool = False  # whether the hit comes first because of a pin


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of each stage of a search; `total` includes explanations."""

    encode: float
    retrieve: float
    fetch: float
    total: float
    rerank: float = 0.0


@dataclass(frozen=True, slots=True)
class Total:
    """The number of documents, or passages, in the match set."""

    value: int
    relation: TotalRelation


@dataclass(frozen=True, slots=True)
class FailedShard:
    """A shard whose documents an answer does not have, and why."""

    shard: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """The shards of a collection: all, those that answered, and the others."""

    total: int
    ok: int
    failed: tuple[FailedShard, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to a search, from one generation; `weight` is the dense share.

    Convex fusion maps the scores of each retriever, from the first to the second of its `score_ranges`, to 0 to 1.
    """

    query: str
    collection: str
    generation: int
    mode: Mode
    hits: tuple[Hit, ...]
    timings_ms: Timings
    total: Total = Total(0, TotalRelation.AT_LEAST)
    confidence: Confidence = Confidence.NORMAL
    facets: Mapping[str, tuple[FacetCount, ...]] = field(default_factory=dict)
    facet_stats: Mapping[str, FacetStats] = field(default_factory=dict)  # of fields of numbers and dates
    weight: float | None = None
    weight_reason: str = ""
    feedback: float | None = None  # weight of the best passages in the query's vector; None without feedback
    sparse_weight: float | None = None  # sparse part of what the dense weight leaves; None without such a part
    score_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # by retriever
    replacements: tuple[Replacement, ...] = ()  # words of the query for which others stand
    truncated: bool = False  # whether `max_tokens` left out text of this page
    next_offset: int | None = None  # of the search that goes on after a truncated answer
    shards: ShardCounts | None = None  # of a sharded collection
    degraded: tuple[str, ...] = ()  # retrievers that an overloaded service omitted; "rerank": reranked fewer documents
