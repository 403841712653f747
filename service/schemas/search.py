"""Searches on the wire; the answers mirror the records of retrieval/types.py."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS, PARAMETERS
from retrieval.search.rerank_limits import MAX_RERANK_DEPTH, RERANK_DEPTH, RERANK_WEIGHT
from service.schemas.base import (
    MAX_SEARCHES,
    Answer,
    Name,
    Names,
    RequestBody,
    Text,
    UrlParameters,
    WholeNumber,
    examples,
    items,
    query_or_examples,
)
from service.schemas.bm25 import Bm25Body
from service.schemas.boosts import Boosts
from service.schemas.collapse import BodyCollapse, CollapsedAnswer, UrlCollapse
from service.schemas.explanations import ExplanationAnswer, ReplacementAnswer
from service.schemas.facets import DISJUNCTIVE, FACET_PREFIX, FACETS, FacetAnswer, FacetStatsAnswer

MetadataValue = str | int | float | bool | datetime | list[str]
ModeName = Literal["dense", "lexical", "sparse", "hybrid"]
SyntaxName = Literal["plain", "operators"]
PrefixName = Literal["none", "last"]
MatchingName = Literal["relevant", "all"]
IncludedName = Literal["text", "tokens"]
DetailName = Literal["ids", "passages", "full"]
GroupByName = Literal["document", "none"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank; give at least one word")
    return text


QueryText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20_000,
        description="The query, in plain words.",
        json_schema_extra={"pattern": r"[^\s\x1c-\x1f\x85]"},
    ),
    AfterValidator(_not_blank),
]


ALL_DOCUMENTS = "*"  # that of retrieval/types.py, which imports numpy


def _all_if_blank(text: str) -> str:
    return text if text.strip() else ALL_DOCUMENTS


SearchText = Annotated[
    str,
    Field(
        max_length=20_000,
        description="The query, in plain words; empty or `*` lists all documents.",
        examples=["does aspirin lower the risk of stroke"],
    ),
    AfterValidator(_all_if_blank),
]

SYNTAX = 'Meaning of the query: plain text, or with operators: "phrases in quotes" and -excluded words.'

TYPOS: Any = Field(
    default=True, description="Match words that the collection lacks to the nearest ones; not in mode dense."
)
SYNONYMS: Any = Field(default=True, description="Expand words by the synonyms of the collection; not in mode dense.")
PREFIX: Any = Field(default="none", description="`last`: the last word is the start of a word.")

_METHODS = ", ".join(f"`{method.name}` is the {method.description}" for method in FUSIONS.values())

if TYPE_CHECKING:
    FusionName: TypeAlias = str
else:  # the names of the table
    FusionName = Literal[tuple(FUSIONS)]


def _parameter(name: str, default: float | None, more: str) -> Any:
    """Return the field of a fusion parameter, as the table describes it."""
    parameter = PARAMETERS[name]
    description = f"{parameter.description[0].upper()}{parameter.description[1:]}{more}"
    return Field(default=default, ge=parameter.low, le=parameter.high, description=description)


Examples = Annotated[list[Text], items(32)]


class SearchOptionFields(BaseModel):
    """The options of a search, without the query."""

    k: WholeNumber = Field(default=10, ge=1, le=10_000, description="Number of documents to return.")
    offset: WholeNumber = Field(default=0, ge=0, le=10_000, description="Number of documents to skip, for paging.")
    like: Examples = Field(default_factory=list, description="Ids of documents that the hits should be like.")
    unlike: Examples = Field(default_factory=list, description="Ids of documents that the hits should not be like.")
    vector: Annotated[list[float], items(65_536)] | None = Field(
        default=None, description="A vector of the collection's dimension, beside the query or instead of it."
    )
    mode: ModeName | None = Field(default=None, description="Retrievers; default: hybrid if there is a lexical index.")
    syntax: SyntaxName = Field(default="plain", description=SYNTAX)
    typos: bool = TYPOS
    synonyms: bool = SYNONYMS
    prefix: PrefixName = PREFIX
    filter: Text = Field(default="", description="Expression over metadata fields, such as `year >= 2020`.")
    fusion: FusionName = Field(default=DEFAULT_FUSION, description=f"How hybrid joins the rankings: {_METHODS}.")
    weight: float | None = _parameter("weight", None, "; by default chosen for the collection and the query.")
    feedback: float | None = _parameter("feedback", None, "; 0 for none; by default chosen for the collection.")
    sparse_weight: float | None = _parameter("sparse_weight", None, "; by default chosen for the collection.")
    window_share: float | None = _parameter("window_share", None, "; by default chosen for the collection.")
    rrf_k: WholeNumber = _parameter("rrf_k", PARAMETERS["rrf_k"].default, ".")
    facets: Names = FACETS
    disjunctive: Annotated[list[Name], items(32)] = DISJUNCTIVE
    facet_prefix: Name = FACET_PREFIX
    matching: MatchingName = Field(
        default="relevant",
        description="Documents that facets, `total` and sorting count: the relevant ones, or all with any score.",
    )
    relevant_share: float | None = Field(
        default=None, ge=0, le=1, description="Share of the best score that a relevant document has; default: 0.4."
    )
    count: bool = Field(default=False, description="Count all matches, also beyond the page.")
    sort: Name = Field(
        default="", description="Fields to order by, such as `topic,-year` (`-` for descending); empty: the score."
    )
    diversity: float = Field(
        default=0.0, ge=0, le=1, description="How much the first hits should differ from each other; 0: only the score."
    )
    min_score: float | None = Field(
        default=None, ge=-1e9, le=1e9, allow_inf_nan=False, description="Lowest score of a returned document."
    )
    passages_per_document: WholeNumber = Field(default=2, ge=1, le=100, description="Maximum passages of each hit.")
    fields: Names | None = Field(default=None, description="Metadata fields to return; default: all.")
    include: Annotated[list[IncludedName], items(2)] = Field(
        default_factory=list,
        description="`text`: the whole text, as with `detail` `full`; `tokens`: the tokens of each passage.",
    )
    detail: DetailName = Field(
        default="passages", description="Contents of a hit: its id and score, its best passages, or its whole text too."
    )
    group_by: GroupByName = Field(default="document", description="A hit is a document, or a passage: `none`.")
    neighbours: WholeNumber = Field(
        default=0, ge=0, le=10, description="Passages whose text to return before and after each passage."
    )
    max_tokens: WholeNumber | None = Field(
        default=None, ge=1, le=100_000, description="Maximum tokens of all passages together; default: no limit."
    )
    highlight: bool = Field(default=False, description="Mark matched words; without any, the nearest sentence.")
    exact: bool = Field(default=False, description="Compare the query with every vector; do not use the ANN index.")
    explain: bool = Field(default=False, description="Explain the score of each hit.")
    pins: bool = Field(default=True, description="Begin with the documents that are pinned for the query.")
    log: bool = Field(default=True, description="Write the query to the query log, if the service keeps one.")


_RERANK_MODEL = "Name of a reranker of the service; empty or `default`: the first."
_RERANK_DEPTH = f"Documents to rerank; default: {RERANK_DEPTH}."
_RERANK_WEIGHT = f"Share of the reranker in the score; default: {RERANK_WEIGHT}."
RerankDepth = Annotated[WholeNumber | None, Field(ge=1, le=MAX_RERANK_DEPTH, description=_RERANK_DEPTH)]
RerankWeight = Annotated[float | None, Field(ge=0, le=1, description=_RERANK_WEIGHT)]


class RerankOptionsBody(RequestBody):
    """How to rerank the first documents of a search."""

    model: Name = Field(default="", description=_RERANK_MODEL)
    depth: RerankDepth = None
    weight: RerankWeight = None


class SearchBody(SearchOptionFields, BodyCollapse, RequestBody):
    """One search."""

    query: SearchText = Field(default=ALL_DOCUMENTS, validate_default=False)
    bm25: Bm25Body | None = Field(default=None, description="BM25's parameters; default: those of the collection.")
    boosts: Boosts = Field(default_factory=list, description="Factors by metadata, which multiply the scores.")
    rerank: RerankOptionsBody | None = Field(default=None, description="Rerank the first documents; default: do not.")

    def rerank_options(self) -> RerankOptionsBody | None:
        """Return the options of reranking, if any."""
        return self.rerank

    @model_validator(mode="after")
    def _has_a_query(self) -> Self:
        if "query" not in self.model_fields_set and not self.like and self.vector is None:
            raise ValueError("has no query; give query, like or vector")
        return self

    model_config = query_or_examples(
        {"query": "does aspirin lower the risk of stroke"},
        {"query": "wing in a slipstream", "k": 3, "mode": "hybrid", "explain": False},
    )


class SearchParameters(SearchOptionFields, UrlCollapse, UrlParameters):
    """One search as URL parameters."""

    q: SearchText
    rerank: Name = Field(default="", description="Name of a reranker, or `default`; empty: do not rerank.")
    rerank_depth: RerankDepth = None
    rerank_weight: RerankWeight = None

    def rerank_options(self) -> RerankOptionsBody | None:
        """Return the options of reranking, if any."""
        if not self.rerank:
            return None
        return RerankOptionsBody(model=self.rerank, depth=self.rerank_depth, weight=self.rerank_weight)


class SimilarParameters(SearchOptionFields, UrlCollapse, UrlParameters):
    """The options of a search for similar documents, as URL parameters."""

    def rerank_options(self) -> RerankOptionsBody | None:
        """Return None: there is no query to rerank by."""
        return None


class BatchBody(RequestBody):
    """Several searches in one request."""

    searches: Annotated[list[SearchBody], items(MAX_SEARCHES)] = Field(
        min_length=1, description="The searches, in the order of the answers."
    )

    model_config = examples({"searches": [{"query": "heat transfer"}, {"query": "boundary layer", "k": 5}]})


class PassageAnswer(Answer):
    """A matching passage: the document's text from `start` to `end`, in code points."""

    text: str
    start: int
    end: int
    score: float
    location: str = ""
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
    degraded: list[str] = Field(
        default_factory=list,
        description="Retrievers that overload left out; `rerank` if fewer documents were reranked, for lack of time.",
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
                    "degraded": [],
                }
            ]
        }
    )


class BatchAnswer(Answer):
    """The answers in the order of the searches."""

    results: list[SearchAnswer]
