"""Options of the client's requests, as typed dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

ModeName = Literal["dense", "lexical", "sparse", "hybrid"]
SyntaxName = Literal["plain", "operators"]
PrefixName = Literal["none", "last"]
PartialName = Literal["fail", "allow"]
MatchingName = Literal["relevant", "all"]
IncludedName = Literal["text", "tokens"]
UnitName = Literal["tokens", "words", "characters", "bytes"]
DetailName = Literal["ids", "passages", "full"]
GroupByName = Literal["document", "none"]


class RerankRequest(TypedDict, total=False):
    """Options of reranking; without any, the service's first reranker and defaults."""

    model: str
    depth: int
    weight: float


class Bm25Request(TypedDict, total=False):
    """BM25's parameters; without any, those of the collection."""

    k1: float
    b: float
    short: float
    title_weight: float


class BoostRequest(TypedDict, total=False):
    """A boost; docs/searching.md describes its options."""

    weight: float
    filter: str
    field: str
    curve: str
    max: float
    origin: float | str
    scale: float | str
    offset: float | str
    decay: float


class SynonymRequest(TypedDict, total=False):
    """Phrases that stand for each other; with `synonyms`, these stand for `words`."""

    words: Sequence[str]
    synonyms: Sequence[str]


class ReindexOptions(TypedDict, total=False):
    """Settings of lexical search; `searched_fields` have weights."""

    searched_fields: Mapping[str, float]
    title_weight: float
    language: str
    stop_words: Literal["language", "none"] | Sequence[str]
    k1: float
    b: float


class NearDuplicates(TypedDict):
    """Collapse hits whose cosine is at least `near`."""

    near: float


class PinRequest(TypedDict):
    """Queries, and the ids of the documents that come first for them."""

    queries: Sequence[str]
    documents: Sequence[str]


class SearchOptions(TypedDict, total=False):
    """Options of a search; docs/service.md describes them."""

    k: int
    offset: int
    like: Sequence[str]
    unlike: Sequence[str]
    vector: Sequence[float]
    mode: ModeName
    syntax: SyntaxName
    typos: bool
    synonyms: bool
    prefix: PrefixName
    filter: str
    fusion: str
    weight: float
    feedback: float
    sparse_weight: float
    window_share: float
    rrf_k: int
    bm25: Bm25Request
    facets: Sequence[str]
    disjunctive: Sequence[str]
    facet_prefix: str
    matching: MatchingName
    relevant_share: float | None
    count: bool
    sort: str
    collapse: str | NearDuplicates
    boosts: Sequence[BoostRequest]
    diversity: float
    diversity_depth: int
    min_score: float
    passages_per_document: int
    fields: Sequence[str]
    include: Sequence[IncludedName]
    detail: DetailName
    group_by: GroupByName
    neighbours: int
    max_tokens: int
    highlight: bool
    exact: bool
    explain: bool
    log: bool
    partial: PartialName
    rerank: RerankRequest
    pins: bool
    min_generation: int


class ExplainOptions(TypedDict, total=False):
    """Options of an explanation: those of the search; `start` is that of the passage."""

    mode: ModeName
    syntax: SyntaxName
    typos: bool
    synonyms: bool
    prefix: PrefixName
    weight: float
    start: int
    rerank: RerankRequest
