"""Collapse: equal to a walk through the whole ranking, on every page."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.errors import BadQuery, FilterError
from retrieval.results import Hit, TotalRelation
from retrieval.search.searcher import Searcher
from retrieval.types import GroupBy, Matching, Mode, SearchRequest

REQUEST = SearchRequest("trees and squirrels", k=40)


def collapsed(hits: tuple[Hit, ...], field: str) -> list[Hit]:
    """Return the first hit of each value, and all without one: brute force."""
    seen: set[object] = set()
    kept = []
    for hit in hits:
        value = hit.metadata.get(field)
        if value is None or value not in seen:
            kept.append(hit)
        seen.add(value)
    return kept


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.sampled_from(["trees and squirrels", "python lists", "*"]),
    mode=st.sampled_from([Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]),
    field=st.sampled_from(["author", "year", "date"]),
    sort=st.sampled_from(["", "year", "-date"]),
    matching=st.sampled_from(list(Matching)),
    filter_=st.sampled_from(["", "year > 2002"]),
    k=st.integers(1, 9),
)
def test_hits_and_counts_equal_brute_force(
    library: Searcher, query: str, mode: Mode, field: str, sort: str, matching: Matching, filter_: str, k: int
) -> None:
    request = replace(REQUEST, query=query, mode=mode, sort=sort, matching=matching, filter=filter_, count=True)
    whole = library.search(request)
    matches = library.search(replace(request, sort="year")).hits  # sorting returns the match set alone
    expected = collapsed(whole.hits, field)
    collapsing = replace(request, collapse=field, k=k)
    pages = [library.search(replace(collapsing, offset=offset)) for offset in range(0, len(expected) + k, k)]
    hits = [hit for page in pages for hit in page.hits]
    assert [hit.id for hit in hits] == [hit.id for hit in expected]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-6)
    for hit in hits:
        value = hit.metadata.get(field)
        same = [other for other in matches if value is not None and other.metadata.get(field) == value]
        assert (hit.collapsed.more if hit.collapsed else None) == (None if value is None else max(0, len(same) - 1))
    assert {(page.total.value, page.total.relation) for page in pages} == {
        (len(collapsed(matches, field)), TotalRelation.EXACT)
    }


def test_facets_count_documents_and_values_are_told(library: Searcher) -> None:
    plain = library.search(replace(REQUEST, facets=("year",)))
    found = library.search(replace(REQUEST, facets=("year",), collapse="year"))
    assert found.facets == plain.facets
    counts = {each.value: each.count for each in plain.facets["year"]}
    best = [hit.collapsed for hit in found.hits[: found.total.value] if hit.collapsed]
    assert {each.value: each.more + 1 for each in best} == counts


def test_diversity_orders_the_hits_that_are_left(library: Searcher) -> None:
    left = library.search(replace(REQUEST, collapse="year")).hits
    diverse = library.search(replace(REQUEST, collapse="year", diversity=0.5)).hits
    assert {(hit.id, hit.collapsed) for hit in diverse} == {(hit.id, hit.collapsed) for hit in left}


def test_no_documents_are_no_hits(library: Searcher) -> None:
    found = library.search(replace(REQUEST, collapse="year", filter="year > 3000"))
    assert (found.hits, found.total.value) == ((), 0)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"collapse": "yaer"}, FilterError, "collapse: unknown field 'yaer'; did you mean 'year'"),
        ({"collapse": "tags"}, FilterError, "collapse: 'tags' contains lists"),
        ({"collapse": "year", "group_by": GroupBy.NONE}, BadQuery, "collapse joins documents"),
    ],
)
def test_contradictions_are_refused(
    library: Searcher, options: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        library.search(replace(REQUEST, **options))  # type: ignore[arg-type]
