"""Rank fusion of more documents than its lists hold has one order for every k."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retrieval.search.fusion import LISTED
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, SearchRequest

EVERYTHING = SearchRequest("the number of an oak that grows in the yard", k=1500, mode=Mode.HYBRID, fusion="rrf")


def order(searcher: Searcher, request: SearchRequest) -> list[tuple[str, float]]:
    return [(hit.id, hit.score) for hit in searcher.search(request).hits]


@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
def test_pages_put_together_are_the_whole(many: Searcher, weight: float | None) -> None:
    request = replace(EVERYTHING, weight=weight)
    whole = order(many, request)
    assert len(whole) > LISTED
    assert [each for at in range(0, 1500, 50) for each in order(many, replace(request, k=50, offset=at))] == whole
    assert order(many, replace(request, k=10)) == order(many, replace(request, k=1000))[:10] == whole[:10]


@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
def test_rows_in_neither_list_follow_below_zero(many: Searcher, weight: float | None) -> None:
    hits = many.search(replace(EVERYTHING, weight=weight, k=1500)).hits
    listed = [hit for hit in hits if hit.score > 0]
    behind = [hit for hit in hits if hit.score <= 0]
    assert listed + behind == list(hits)
    assert len(listed) >= LISTED
    kept = [hit.scores["lexical"] if weight == 0.0 else hit.scores["dense"] for hit in behind]
    ordered = sorted(kept, key=lambda score: -(score or 0.0))
    assert kept == pytest.approx(ordered, abs=1e-7)  # scores below 0 are rounded to single precision
    assert behind


def test_a_score_is_the_sum_over_both_lists(many: Searcher) -> None:
    hits = many.search(EVERYTHING).hits
    cosines = sorted((hit.scores["dense"] or 0.0 for hit in hits), reverse=True)
    words = sorted((hit.scores["lexical"] or 0.0 for hit in hits), reverse=True)
    for hit in hits[:100]:
        expected = 1 / (61 + cosines.index(hit.scores["dense"] or 0.0))
        if hit.scores["lexical"]:
            expected += 1 / (61 + words.index(hit.scores["lexical"]))
        assert hit.score == pytest.approx(expected, abs=1e-6)


def test_a_threshold_leaves_what_scores_so_much(many: Searcher) -> None:
    whole = dict(order(many, EVERYTHING))
    middle = sorted(whole.values())[700]
    kept = order(many, replace(EVERYTHING, min_score=middle))
    assert dict(kept) == {name: score for name, score in whole.items() if score >= middle}
