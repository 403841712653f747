"""Limits of searches: of each search, and of all searches of an HTTP request."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.errors import BadQuery, TooLarge
from retrieval.search.request_limits import depth_of
from retrieval.types import SearchRequest
from service.config.settings import RequestLimits


def check_limits(request: SearchRequest, limits: RequestLimits) -> SearchRequest:
    """Return the request.  Raises BadQuery if it exceeds a limit of the service."""
    reranked = depth_of(request.rerank)
    for name, value, maximum in (
        ("the query's characters", len(request.query), limits.query_characters),
        ("k", request.k, limits.k),
        ("offset + k", request.offset + request.k, limits.depth),
        ("the filters' characters", _filter_characters(request), limits.filter_characters),
        ("the number of facets", len(request.facets), limits.facets),
        ("the number of examples", count_examples(request), limits.examples),
        ("the depth of reranking", reranked, limits.reranked),
        ("k with explain", _explained(request), limits.explained),
        ("k · passages_per_document with highlight", _highlighted(request), limits.explained),
    ):
        check_maximum(name, value, maximum)
    return request


def check_total(requests: Sequence[SearchRequest], documents: int, limits: RequestLimits) -> None:
    """Raise TooLarge if searches of one collection cost too much together."""
    for what, cost, limit in (
        ("searches", len(requests), "batch"),
        ("hits (offset + k)", sum(request.offset + request.k for request in requests), "depth"),
        ("documents as examples", sum(map(count_examples, requests)), "examples"),
        ("documents to rerank", sum(depth_of(request.rerank) for request in requests), "reranked"),
        ("hits to explain", sum(map(_explained, requests)), "explained"),
        ("passages to highlight", sum(map(_highlighted, requests)), "explained"),
        ("values to count or sort", sum(map(_counted, requests)) * documents, "facet_values"),
    ):
        _check_cost(what, cost, limit, limits)


def check_values(values: int, limits: RequestLimits) -> None:
    """Raise TooLarge if a request sorts too many values."""
    _check_cost("values to count or sort", values, "facet_values", limits)


def _check_cost(what: str, cost: int, limit: str, limits: RequestLimits) -> None:
    maximum = getattr(limits, limit)
    if cost > maximum:
        raise TooLarge(
            f"the request costs {cost:,} {what}, over the limit of {maximum:,} (limits.{limit}); "
            "ask for less, or send it in parts"
        )


def scores_all_documents(request: SearchRequest) -> bool:
    """Check whether a search scores every document, not only the best."""
    return bool(request.facets or request.sort or request.count or request.collapse)


def _counted(request: SearchRequest) -> int:
    """Return the values per document: its score, those of facets, fields and boosts.

    A disjunctive facet counts twice: it may score the documents again.
    """
    facets = len(set(request.facets)) + len(set(request.disjunctive))
    fields = facets + bool(request.collapse) + request.sort.count(",")
    return fields + len(request.boosts) + scores_all_documents(request)


def count_examples(request: SearchRequest) -> int:
    """Return the number of documents that a search names as examples."""
    return len(request.like) + len(request.unlike)


def passages_to_encode(request: SearchRequest) -> int:
    """Return the number of passages that a search explains or highlights."""
    return _explained(request) + _highlighted(request)


def check_maximum(name: str, value: int, maximum: int) -> None:
    """Raise BadQuery if the value is greater than `maximum`."""
    if value > maximum:
        raise BadQuery(f"{name}: {value:,} is more than this service allows ({maximum:,}); ask for less")


def _filter_characters(request: SearchRequest) -> int:
    return len(request.filter) + sum(len(boost.filter) for boost in request.boosts)


def _explained(request: SearchRequest) -> int:
    return request.k * request.explain


def _highlighted(request: SearchRequest) -> int:
    return request.k * request.passages_per_document * request.highlight
