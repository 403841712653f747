"""Searches on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, Field, model_validator

from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS, PARAMETERS
from retrieval.search.request_limits import MAX_RERANK_DEPTH, RERANK_DEPTH, RERANK_WEIGHT
from service.client.options import (
    DetailName,
    GroupByName,
    IncludedName,
    MatchingName,
    ModeName,
    PartialName,
    PrefixName,
    SyntaxName,
)
from service.schemas.base import (
    MAX_SEARCHES,
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
from service.schemas.bm25 import BodyBm25, UrlBm25
from service.schemas.boosts import BodyBoosts, UrlBoosts
from service.schemas.collapse import BodyCollapse, UrlCollapse
from service.schemas.facets import DISJUNCTIVE, FACET_PREFIX, FACETS
from service.schemas.generations import MinGeneration


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
    diversity_depth: WholeNumber | None = Field(
        default=None, ge=1, le=1_000, description="Number of hits that diversity chooses from; default: 100."
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
    partial: PartialName | None = Field(
        default=None,
        description="When a shard fails: `fail` with 503, or `allow` answers without it; default: the setting.",
    )
    pins: bool = Field(default=True, description="Begin with the documents that are pinned for the query.")
    log: bool = Field(default=True, description="Write the query to the query log, if the service keeps one.")
    min_generation: MinGeneration = None


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


class SearchBody(SearchOptionFields, BodyCollapse, BodyBm25, BodyBoosts, RequestBody):
    """One search."""

    query: SearchText = Field(default=ALL_DOCUMENTS, validate_default=False)
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


class SearchParameters(SearchOptionFields, UrlCollapse, UrlBm25, UrlBoosts, UrlParameters):
    """One search as URL parameters."""

    q: SearchText = Field(default=ALL_DOCUMENTS, validate_default=False)
    rerank: Name = Field(default="", description="Name of a reranker, or `default`; empty: do not rerank.")
    rerank_depth: RerankDepth = None
    rerank_weight: RerankWeight = None

    def rerank_options(self) -> RerankOptionsBody | None:
        """Return the options of reranking, if any."""
        if not self.rerank:
            return None
        return RerankOptionsBody(model=self.rerank, depth=self.rerank_depth, weight=self.rerank_weight)

    @model_validator(mode="after")
    def _has_a_query(self) -> Self:
        if "q" not in self.model_fields_set and not self.like and self.vector is None:
            raise ValueError("has no query; give q, like or vector")
        return self


class SimilarParameters(SearchOptionFields, UrlCollapse, UrlBm25, UrlBoosts, UrlParameters):
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
