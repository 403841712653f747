"""The match set: what facets, totals and sorting count, by definition."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retrieval.errors import BadQuery
from retrieval.results import Confidence, Total, TotalRelation
from retrieval.search.searcher import Searcher
from retrieval.types import Matching, Mode, SearchRequest

MODES = [mode for mode in Mode if mode is not Mode.SPARSE]  # of a collection without a sparse index
QUERIES = ("roses that smell sweet", "baking bread", "comets near the sun", "str.rstrip")


def everything(library: Searcher, request: SearchRequest) -> list[tuple[str, float]]:
    """Return all documents by score."""
    return [(hit.id, hit.score) for hit in library.search(replace(request, k=1000, sort="", facets=())).hits]


def relevant(library: Searcher, request: SearchRequest) -> list[str]:
    """Return the documents with a share of the best score or more, from the mean of unrelated cosines in dense mode."""
    ranked = everything(library, request)
    background = library.reader.manifest.background
    assert background is not None
    share = request.relevant_share
    if share is None and (request.mode is Mode.LEXICAL or not ranked):
        return [name for name, _ in ranked]
    share = 0.4 if share is None else share
    zero = background.mean if request.mode is Mode.DENSE else 0.0
    return [name for name, score in ranked if score - zero >= share * (ranked[0][1] - zero) - 1e-7]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("filter_", "share"), [("", None), ("year >= 2003", None), ("tags = even", None), ("", 0.7)])
def test_totals_facets_and_sorting_use_the_match_set(
    library: Searcher, query: str, mode: Mode, filter_: str, share: float | None
) -> None:
    request = SearchRequest(query, k=5, mode=mode, filter=filter_, relevant_share=share)
    expected = relevant(library, request)
    assert library.search(replace(request, count=True)).total == Total(len(expected), TotalRelation.EXACT)
    result = library.search(replace(request, facets=("year",)))
    assert result.total.value == len(expected)
    years = [document.metadata["year"] for document in map(library.document, expected)]
    assert {each.value: each.count for each in result.facets["year"]} == Counter(years)
    by_year = library.search(replace(request, k=40, sort="year")).hits
    assert {hit.id for hit in by_year} == set(expected)
    assert [hit.metadata["year"] for hit in by_year] == sorted(years)


def test_the_match_set_of_sparse_mode_is_a_share_of_the_best_score(sparse_library: Searcher) -> None:
    request = SearchRequest("baking bread", k=40, mode=Mode.SPARSE)
    expected = relevant(sparse_library, request)
    assert sparse_library.search(replace(request, count=True)).total == Total(len(expected), TotalRelation.EXACT)


@pytest.mark.parametrize("mode", MODES)
def test_ranking_by_score_is_that_of_all_documents(library: Searcher, mode: Mode) -> None:
    request = SearchRequest("baking bread", k=40, mode=mode)
    both = [library.search(replace(request, matching=matching)).hits for matching in Matching]
    assert [hit.id for hit in both[0]] == [hit.id for hit in both[1]]
    everything = library.search(replace(request, matching=Matching.ALL, count=True)).total
    assert everything.value == (len(both[0]) if mode is Mode.LEXICAL else 40)


@pytest.mark.parametrize("k", [1, 3, 10, 40])
def test_a_page_knows_the_total_when_it_reaches_the_end_of_the_match_set(library: Searcher, k: int) -> None:
    request = SearchRequest("baking bread", k=k)
    exact = library.search(replace(request, count=True)).total.value
    total = library.search(request).total
    assert total == Total(min(k, exact), TotalRelation.EXACT if k > exact else TotalRelation.AT_LEAST)


@pytest.mark.parametrize("mode", MODES)
def test_a_greater_share_keeps_fewer_documents_and_the_ranking(library: Searcher, mode: Mode) -> None:
    request = SearchRequest("baking bread", k=40, mode=mode, count=True)
    results = [library.search(replace(request, relevant_share=share)) for share in (0.0, 0.5, 0.9, 1.0)]
    totals = [result.total.value for result in results]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > totals[3] >= 1
    assert len({tuple(hit.id for hit in result.hits) for result in results}) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"relevant_share": -0.1}, "from 0 to 1"), ({"relevant_share": 0.5, "matching": Matching.ALL}, "no effect")],
)
def test_a_share_that_cannot_hold_is_refused(library: Searcher, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadQuery, match=problem):
        library.search(SearchRequest("bread", **options))


def test_a_small_collection_is_not_divided(small: Searcher) -> None:
    assert small.search(SearchRequest("cats", count=True)).total == Total(3, TotalRelation.EXACT)


@pytest.mark.parametrize(
    ("query", "confidence"),
    [
        ("roses that smell sweet", Confidence.NORMAL),
        ("number 7", Confidence.NORMAL),  # words of the text
        ("asdfghjkl qwertz", Confidence.LOW),
        ("quarterly revenue of the telecommunications company", Confidence.LOW),
    ],
)
def test_a_query_with_nothing_close_says_so(library: Searcher, query: str, confidence: Confidence) -> None:
    assert library.search(SearchRequest(query)).confidence is confidence


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.HYBRID])
@pytest.mark.parametrize("query", ["roses that smell sweet", "asdfghjkl qwertz", "number 7"])
@pytest.mark.parametrize("feedback", [None, 0.0])
def test_an_order_by_a_field_has_the_same_confidence(
    library: Searcher, mode: Mode, query: str, feedback: float | None
) -> None:
    request = SearchRequest(query, mode=mode, feedback=feedback)
    expected = library.search(request).confidence
    for field in ("year", "-year", "date"):
        assert library.search(replace(request, sort=field)).confidence is expected


def test_min_score_and_the_match_set_hold_together(library: Searcher) -> None:
    request = SearchRequest("baking bread", k=40, count=True)
    scores = np.array([score for _, score in everything(library, request)])
    for limit in (float(scores[2]), float(scores[-1])):
        total = library.search(replace(request, min_score=limit)).total.value
        assert total == np.count_nonzero(scores >= max(limit, 0.4 * scores[0]))
