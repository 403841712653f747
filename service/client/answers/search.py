"""Answers of searches; they mirror the records of retrieval/results.py."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from ..options import ModeName
from .base import Answer
from .collapse import CollapsedAnswer
from .explanations import ExplanationAnswer, ReplacementAnswer
from .facets import FacetAnswer, FacetStatsAnswer


class PassageAnswer(Answer):
    """A matching passage: the document's text from `start` to `end`, in code points."""

    text: str
    start: int
    end: int
    score: float
    location: str = ""
    heading: str = Field(default="", description="Path of the headings above it.")
    highlights: list[tuple[int, int]] = Field(default_factory=list, description="Matching words: offsets in `text`.")
    number: int = Field(default=1, description="Its number among the passages of the document, from 1.")
    previous: int | None = Field(default=None, description="Number of the passage before; null for the first.")
    next: int | None = Field(default=None, description="Number of the passage after; null for the last.")
    tokens: int | None = Field(default=None, description="Tokens of `text`; null unless the request asks for them.")
    before: str = Field(default="", description="Text before the passage, from `neighbours` passages.")
    after: str = Field(default="", description="Text after the passage, from `neighbours` passages.")


class ScoresAnswer(Answer):
    """The parts of a score; null if a retriever did not take part."""

    dense: float | None = None
    lexical: float | None = None
    sparse: float | None = None
    fused: float | None = None
    rerank: float | None = None


class FailedShardAnswer(Answer):
    """A shard whose documents the answer does not have."""

    shard: str
    reason: str


class ShardsAnswer(Answer):
    """The shards of the collection: all, those that answered, and the others."""

    total: int
    ok: int
    failed: list[FailedShardAnswer] = Field(default_factory=list)


class HitAnswer(Answer):
    """A document of the ranking, or a passage; `rank` starts at 1."""

    rank: int
    id: str
    score: float
    title: str
    text: str = Field(description="The whole text; empty unless the request includes it.")
    metadata: dict[str, Any] = Field(description="Each value as it was given.")
    passages: list[PassageAnswer]
    scores: ScoresAnswer = ScoresAnswer()
    explanation: ExplanationAnswer | None = Field(default=None, description="Present if the request asks for it.")
    collection: str | None = Field(default=None, description="Of the document, in a search over several collections.")
    collapsed: CollapsedAnswer | None = Field(
        default=None, description="The documents that the hit stands for; null without `collapse` or its field."
    )
    pinned: bool = Field(default=False, description="Whether the hit comes first because of a pin.")


class TimingsAnswer(Answer):
    """Milliseconds spent on each stage."""

    encode: float
    retrieve: float
    fetch: float
    total: float
    rerank: float = 0.0


class TotalAnswer(Answer):
    """The number of documents, or of passages, in the match set."""

    value: int
    relation: Literal["exact", "at_least"]


class SearchAnswer(Answer):
    """The hits, best first, with the mode, the timings and the facets."""

    query_id: str | None = Field(default=None, description="Id of the search in the query log, which clicks name.")
    query: str
    collection: str
    generation: int
    mode: ModeName
    hits: list[HitAnswer]
    timings_ms: TimingsAnswer
    total: TotalAnswer
    confidence: Literal["normal", "low"] = Field(
        default="normal", description="Low if the best document is close to the query in neither meaning nor words."
    )
    facets: dict[str, list[FacetAnswer]] = Field(default_factory=dict)
    facet_stats: dict[str, FacetStatsAnswer] = Field(
        default_factory=dict, description="Extremes and ranges of the facets of numbers and dates."
    )
    weight: float | None = None
    weight_reason: str = ""
    feedback: float | None = Field(default=None, description="Weight of the two best passages in the query's vector.")
    sparse_weight: float | None = Field(default=None, description="Sparse part of what the dense share leaves.")
    score_ranges: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="Scores of each retriever that convex fusion maps to 0 and to 1."
    )
    replacements: list[ReplacementAnswer] = Field(
        default_factory=list, description="Words of the query for which others stand, because of an error or a prefix."
    )
    truncated: bool = Field(default=False, description="Whether `max_tokens` left out text of this page.")
    next_offset: int | None = Field(
        default=None, description="The offset of the search that goes on; null if nothing was left out."
    )
    shards: ShardsAnswer | None = Field(default=None, description="Of a sharded collection; null for another one.")
    degraded: list[str] = Field(
        default_factory=list,
        description="Retrievers left out, for overload or because a remote encoder gives no vectors; `rerank`: fewer "
        "documents were reranked, for lack of time.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "remove whitespace from the end of a string",
                    "collection": "stdlib",
                    "generation": 1,
                    "mode": "dense",
                    "hits": [
                        {
                            "rank": 1,
                            "id": "str.rstrip",
                            "score": 0.71,
                            "title": "str.rstrip",
                            "text": "Return a copy of the string with trailing whitespace removed.",
                            "metadata": {"kind": "method"},
                            "passages": [
                                {
                                    "text": "Return a copy of the string with trailing whitespace removed.",
                                    "start": 0,
                                    "end": 61,
                                    "score": 0.71,
                                    "location": "",
                                    "heading": "",
                                    "highlights": [],
                                    "number": 1,
                                    "previous": None,
                                    "next": None,
                                    "tokens": None,
                                    "before": "",
                                    "after": "",
                                }
                            ],
                            "scores": {"dense": 0.71, "lexical": None, "fused": None},
                        }
                    ],
                    "timings_ms": {"encode": 1.6, "retrieve": 0.3, "fetch": 0.2, "total": 2.1},
                    "total": {"value": 1, "relation": "at_least"},
                    "confidence": "normal",
                    "facets": {},
                    "facet_stats": {},
                    "weight": None,
                    "weight_reason": "",
                    "feedback": None,
                    "sparse_weight": None,
                    "score_ranges": {},
                    "replacements": [],
                    "truncated": False,
                    "next_offset": None,
                    "shards": None,
                    "degraded": [],
                }
            ]
        }
    )


class BatchAnswer(Answer):
    """The answers in the order of the searches."""

    results: list[SearchAnswer]
