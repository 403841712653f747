"""Checks of a search request, and the limits that they enforce."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from retrieval.bm25_options import BM25_RANGES, Bm25Options
from retrieval.boosts import check_boosts
from retrieval.errors import BadQuery
from retrieval.search.answer_contents import check_contents
from retrieval.search.diversity import check_diversity
from retrieval.search.fusion_methods import FUSIONS, PARAMETERS
from retrieval.search.near_duplicates import check_near
from retrieval.search.request_limits import (
    MAX_DEPTH,
    MAX_EXAMPLES,
    MAX_FACETS,
    MAX_QUERY_CHARACTERS,
    MAX_RERANK_DEPTH,
)
from retrieval.types import (
    ALL_DOCUMENTS,
    Detail,
    GroupBy,
    Included,
    Matching,
    Mode,
    Prefix,
    RerankOptions,
    SearchRequest,
    Syntax,
)

E = TypeVar("E", bound=StrEnum)
_KINDS: Mapping[str, type[StrEnum]] = {
    "syntax": Syntax,
    "prefix": Prefix,
    "matching": Matching,
    "detail": Detail,
    "group_by": GroupBy,
}


def checked(request: SearchRequest) -> SearchRequest:
    """Return the request, stripped, typed, with a fixed time.  Raises BadQuery."""
    query = request.query.strip()
    _check_query(query, request)
    _check_examples(request)
    _check_page(request)
    _check_fusion(request)
    if request.boosts:
        _check_boosts(request)
    if request.bm25 is not None:
        _check_bm25(request, request.bm25)
    if request.rerank is not None:
        _check_rerank(request, request.rerank)
    if len(request.facets) > MAX_FACETS:
        raise BadQuery(f"the request has {len(request.facets)} facets; at most {MAX_FACETS} are counted at once")
    if request.min_score is not None and not math.isfinite(request.min_score):
        raise BadQuery(f"min_score is {request.min_score}; give a finite number")
    for each in request.include:
        _named("include", each, Included)
    typed = _typed(request, query)
    check_prefix(typed.prefix, typed.mode)
    check_contents(typed)
    check_diversity(typed)
    _check_relevant_share(typed)
    check_near(typed)
    return typed


def _check_relevant_share(request: SearchRequest) -> None:
    share = request.relevant_share
    if share is None:
        return
    if not 0.0 <= share <= 1.0:
        raise BadQuery(f"relevant_share is {share}; give a number from 0 to 1")
    if request.matching is Matching.ALL:
        raise BadQuery("relevant_share has no effect with matching 'all'; use matching 'relevant'")


def check_prefix(prefix: Prefix, mode: Mode | None) -> None:
    """Raise BadQuery for a prefix in a mode that compares no words."""
    if prefix is Prefix.LAST and mode in (Mode.DENSE, Mode.SPARSE):
        raise BadQuery(f"prefix completes words, which mode {mode} does not compare; use mode lexical or hybrid")


def _typed(request: SearchRequest, query: str) -> SearchRequest:
    """Return the request with typed names; filters, facets and boosts have the time."""
    kinds: Mapping[str, type[StrEnum]] = _KINDS if request.mode is None else {**_KINDS, "mode": Mode}
    changed: dict[str, Any] = {} if query == request.query else {"query": query}
    if request.now is None and (request.filter or request.boosts or any("[" in each for each in request.facets)):
        changed["now"] = datetime.now(UTC)
    for name, kind in kinds.items():
        given = getattr(request, name)
        if not isinstance(given, kind):
            changed[name] = _named(name, given, kind)
    return replace(request, **changed) if changed else request


def _check_query(query: str, request: SearchRequest) -> None:
    if not query and not request.has_examples:
        raise BadQuery(f"the query is empty; give at least one word, or {ALL_DOCUMENTS} for all documents")
    if not is_text(query):
        raise BadQuery("the query has half of a surrogate pair, which is not a character; send valid Unicode")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise BadQuery(f"the query has {len(query):,} characters; at most {MAX_QUERY_CHARACTERS:,} are allowed")


def _check_examples(request: SearchRequest) -> None:
    examples = len(request.like) + len(request.unlike)
    if examples > MAX_EXAMPLES:
        raise BadQuery(f"like and unlike name {examples} documents; name at most {MAX_EXAMPLES}")
    both = set(request.like) & set(request.unlike)
    if both:
        raise BadQuery(f"like and unlike both name {min(both)!r}; name it in one of them")
    only_unlike = request.unlike and not request.like and request.vector is None
    if only_unlike and request.query.strip() in ("", ALL_DOCUMENTS):
        raise BadQuery("unlike needs something to start from; give a query, like or vector too")
    if request.vector is not None and request.mode == Mode.LEXICAL:
        raise BadQuery("mode lexical compares words, not vectors; use mode dense or hybrid for a vector")
    if request.has_examples and request.mode == Mode.SPARSE:
        raise BadQuery("mode sparse reads the text of the query alone; use another mode for like, unlike and vector")


def _check_page(request: SearchRequest) -> None:
    if request.k < 1:
        raise BadQuery(f"k is {request.k}; ask for at least 1 hit")
    if request.offset < 0:
        raise BadQuery(f"offset is {request.offset}; it counts from 0")
    if request.offset + request.k > MAX_DEPTH:
        raise BadQuery(
            f"offset + k is {request.offset + request.k:,}; at most {MAX_DEPTH:,} hits can be reached. "
            "Ask for fewer, or narrow the search with a filter"
        )
    if request.passages_per_document < 1:
        raise BadQuery(f"passages_per_document is {request.passages_per_document}; ask for at least 1")


def _check_fusion(request: SearchRequest) -> None:
    if request.fusion not in FUSIONS:
        raise BadQuery(f"fusion is {request.fusion!r}; it is {' or '.join(map(repr, FUSIONS))}")
    for parameter in PARAMETERS.values():
        value = getattr(request, parameter.name)
        if value is not None and not parameter.contains(value):
            kind = "a whole number" if parameter.type is int else "a number"
            bounds = f"{kind} from {parameter.low:,} to {parameter.high:,} ({parameter.description})"
            raise BadQuery(f"{parameter.name} is {value}; give {bounds}")


def _check_bm25(request: SearchRequest, options: Bm25Options) -> None:
    for name, value in options.given.items():
        low, high = BM25_RANGES[name]
        if not low <= value <= high:
            raise BadQuery(f"{name} is {value}; give a number from {low:g} to {high:g}")
    if request.mode in (Mode.DENSE, Mode.SPARSE):
        raise BadQuery(f"mode {request.mode} does not use BM25, which bm25 sets; use mode lexical or hybrid")


def _check_boosts(request: SearchRequest) -> None:
    check_boosts(request.boosts)
    if request.sort:
        raise BadQuery(f"the search orders by {request.sort!r}, which leaves nothing to boost; give sort or boosts")


def _check_rerank(request: SearchRequest, options: RerankOptions) -> None:
    if request.query.strip() in ("", ALL_DOCUMENTS):
        raise BadQuery("the query has no words, which leaves nothing to rerank; give it words")
    if options.depth is not None and not 1 <= options.depth <= MAX_RERANK_DEPTH:
        raise BadQuery(f"the depth of reranking is {options.depth}; give a number from 1 to {MAX_RERANK_DEPTH}")
    if options.weight is not None and not 0 <= options.weight <= 1:
        raise BadQuery(f"the weight of reranking is {options.weight}; give a number from 0 to 1")
    if request.sort:
        raise BadQuery(f"the search orders by {request.sort!r}, which leaves nothing to rerank; give sort or rerank")


def is_text(query: str) -> bool:
    """Check whether a text is valid Unicode, without half a surrogate pair."""
    try:
        query.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(field: str, name: str, kind: type[E]) -> E:
    try:
        return kind(name)
    except ValueError:
        raise BadQuery(f"{field} is {name!r}; it is {', '.join(kind)}") from None
