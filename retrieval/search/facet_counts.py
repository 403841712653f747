"""Facets of a search: counted over its match set.

A disjunctive facet is counted over the match set of the same search without the filter's conditions on its own field,
so that the values beside a chosen one keep their counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from sys import getsizeof

from retrieval.errors import BadQuery
from retrieval.facets import FacetCount, FacetStats
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.facets import Facet, count_values, field_stats, parse_facet
from retrieval.index.metadata.filters import compile_filter
from retrieval.search.request import is_text
from retrieval.types import Bitmap, FieldType, SearchRequest
from retrieval.util.work_budget import checkpoint, spend_answer_bytes

RANGE_BYTES = 80  # of a range in an answer


@dataclass(frozen=True, slots=True)
class CountedFacets:
    """The facets of an answer, by field."""

    values: Mapping[str, tuple[FacetCount, ...]] = field(default_factory=dict)
    stats: Mapping[str, FacetStats] = field(default_factory=dict)


def facets_of(request: SearchRequest, reader: IndexReader) -> tuple[Facet, ...]:
    """Return the facets of a request, each once.  Raises FilterError and BadQuery."""
    facets = tuple(parse_facet(text, reader.schema, request.now) for text in dict.fromkeys(request.facets))
    ranged = [facet.field for facet in facets if facet.edges]
    twice = {name for name in ranged if ranged.count(name) > 1}
    if twice:
        raise BadQuery(f"facets: two have ranges of {min(twice)!r}; give one list of edges")
    for name in set(request.disjunctive) - {facet.field for facet in facets}:
        raise BadQuery(f"disjunctive names {name!r}, which is no facet of the request; name it in facets, too")
    if request.facet_prefix:
        _check_prefix(request.facet_prefix, facets)
    return facets


def _check_prefix(prefix: str, facets: tuple[Facet, ...]) -> None:
    if not is_text(prefix):
        raise BadQuery("facet_prefix has half of a surrogate pair, which is not a character; send valid Unicode")
    if not facets:
        raise BadQuery("facet_prefix chooses values of facets, and there is no facet; name a field in facets")
    for facet in facets:
        if facet.kind.element is not FieldType.STRING:
            raise BadQuery(f"facet_prefix compares text, and {facet.field!r} is a {facet.kind} field; leave one out")


def count_facets(
    request: SearchRequest, reader: IndexReader, documents: Bitmap, documents_without: Callable[[str], Bitmap]
) -> CountedFacets:
    """Count the facets of a request over `documents`, its match set.

    `documents_without` returns the match set without the conditions on a field.
    """
    counts: dict[str, tuple[FacetCount, ...]] = {}
    stats: dict[str, FacetStats] = {}
    for facet in facets_of(request, reader):
        checkpoint()
        name = facet.field
        matching = documents_without(name) if _ignores_conditions(request, reader, name) else documents
        column = reader.column(name)
        if not facet.edges:
            counts[name] = count_values(column, matching, prefix=request.facet_prefix)
            spend_answer_bytes(sum(getsizeof(each.value) for each in counts[name]))
        if facet.has_stats and (facet.edges or name not in stats):
            stats[name] = field_stats(column, matching, facet.edges)
            spend_answer_bytes(RANGE_BYTES * len(stats[name].ranges))
    return CountedFacets(counts, stats)


def _ignores_conditions(request: SearchRequest, reader: IndexReader, name: str) -> bool:
    """Check whether a facet is disjunctive, with conditions on its field."""
    if name not in request.disjunctive or not request.filter.strip():
        return False
    whole = compile_filter(request.filter, reader.schema, request.now)
    return whole.without(name).root != whole.root
