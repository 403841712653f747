"""The query * lists documents: filter, facets, order and pages work without words."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from retrieval.errors import BadQuery
from retrieval.results import Confidence, Total, TotalRelation
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, RerankOptions, SearchRequest

ALL = SearchRequest("*", k=100)


@pytest.mark.parametrize("mode", [None, *Mode])
def test_every_live_document_is_listed_once(library: Searcher, mode: Mode | None) -> None:
    result = library.search(replace(ALL, mode=mode))
    assert sorted(hit.id for hit in result.hits) == [f"d{number:02}" for number in range(40)]
    assert {hit.score for hit in result.hits} == {0.0}
    assert [hit.rank for hit in result.hits] == list(range(1, 41))
    assert (result.total, result.confidence) == (Total(40, TotalRelation.EXACT), Confidence.NORMAL)
    assert (result.weight, result.feedback) == (None, None)


def test_pages_follow_each_other(library: Searcher) -> None:
    whole = [hit.id for hit in library.search(ALL).hits]
    pages = [library.search(replace(ALL, k=9, offset=offset)) for offset in range(0, 45, 9)]
    assert [hit.id for page in pages for hit in page.hits] == whole
    assert {page.total.value for page in pages} == {40}


def test_filter_facets_and_order(library: Searcher) -> None:
    result = library.search(replace(ALL, filter="year >= 2003", facets=("year",), sort="-year"))
    years = [hit.metadata["year"] for hit in result.hits]
    assert years == sorted((year for year in years if year >= 2003), reverse=True)
    assert {each.value: each.count for each in result.facets["year"]} == Counter(years)
    assert result.total.value == len(years)
    assert library.search(replace(ALL, filter="year > 3000")).total.value == 0


def test_options_that_need_no_query_work(library: Searcher) -> None:
    hits = library.search(replace(ALL, k=3, highlight=True, explain=True, fields=("year",))).hits
    assert all(hit.passages and list(hit.metadata) == ["year"] for hit in hits)


def test_there_is_nothing_to_rerank(library: Searcher) -> None:
    with pytest.raises(BadQuery, match="leaves nothing to rerank"):
        library.search(replace(ALL, rerank=RerankOptions("any")))


def test_there_is_nothing_to_explain(library: Searcher) -> None:
    with pytest.raises(BadQuery, match=r"the query \* lists documents without scores"):
        library.explain("*", "d01")


def test_a_small_collection_without_words_lists_too(small: Searcher) -> None:
    assert [hit.id for hit in small.search(SearchRequest(" * ")).hits] == ["aspirin", "wing", "cats"]
