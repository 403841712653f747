"""What a search may ask for."""

from __future__ import annotations

import math
from dataclasses import replace

from retrieval.errors import BadQuery
from retrieval.types import Mode, SearchRequest

MAX_DEPTH = 10_000  # offset + k
MAX_QUERY_CHARACTERS = 20_000
MAX_FACETS = 16


def checked(request: SearchRequest) -> SearchRequest:
    """The request with its query stripped; BadQuery where it cannot be answered."""
    query = request.query.strip()
    if not query:
        raise BadQuery("the query is empty; give at least one word")
    if not _is_text(query):
        raise BadQuery("the query holds half of a surrogate pair, which is no character")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise BadQuery(f"the query has {len(query):,} characters; at most {MAX_QUERY_CHARACTERS:,} are allowed")
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
    if request.weight is not None and not 0 <= request.weight <= 1:
        raise BadQuery(f"weight is {request.weight}; it is the dense share of the score, from 0 to 1")
    if len(request.facets) > MAX_FACETS:
        raise BadQuery(f"{len(request.facets)} facets; at most {MAX_FACETS} are counted at once")
    if request.min_score is not None and not math.isfinite(request.min_score):
        raise BadQuery(f"min_score is {request.min_score}; give a finite number")
    if request.fusion not in ("convex", "rrf"):
        raise BadQuery(f"fusion is {request.fusion!r}; it is 'convex' or 'rrf'")
    if request.rrf_k < 1:
        raise BadQuery(f"rrf_k is {request.rrf_k}; it must be at least 1")
    mode = _mode(request.mode)
    if query == request.query and mode is request.mode:  # was checked before
        return request
    return replace(request, query=query, mode=mode)


def _is_text(query: str) -> bool:
    """Whether every character is one."""
    try:
        query.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mode(asked: str | None) -> Mode | None:
    """A mode, also where its plain name was given."""
    try:
        return None if asked is None else Mode(asked)
    except ValueError:
        raise BadQuery(f"mode is {asked!r}; it is {', '.join(Mode)}") from None
