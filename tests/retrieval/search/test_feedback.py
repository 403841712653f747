"""Dense feedback: the two best passages move the query."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retrieval.search.feedback import moved_query
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, SearchRequest

REQUEST = SearchRequest("flowers that smell sweet in winter", k=10)


def test_the_moved_query_lies_between_the_query_and_the_passages(library: Searcher) -> None:
    reader, rows = library.reader, np.flatnonzero(library.reader.live)[:2]
    query = library.encoder.encode_queries([REQUEST.query])[0]
    feedback = moved_query(reader, query, rows, 0.4)
    mean = reader.vectors.rows(rows).mean(axis=0)
    assert np.linalg.norm(feedback.vector) == pytest.approx(1.0, abs=1e-6)
    assert feedback.vector == pytest.approx(feedback.factor * (query + 0.4 * mean), abs=1e-6)
    assert feedback.vector @ mean > query @ mean


def test_the_explanation_adds_up(library: Searcher) -> None:
    result = library.search(replace(REQUEST, explain=True))
    assert result.feedback == 0.4
    for hit in result.hits:
        assert hit.explanation is not None
        assert hit.explanation.dense is not None
        assert hit.explanation.feedback is not None
        factor, part = hit.explanation.feedback.factor, hit.explanation.feedback.score
        assert factor * hit.explanation.dense.score + part == pytest.approx(hit.scores["dense"], abs=1e-5)
        assert part > 0


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, feedback=0.0),
        replace(REQUEST, fusion="rrf"),
        replace(REQUEST, weight=1.0),
        replace(REQUEST, weight=0.0),
        replace(REQUEST, mode=Mode.DENSE),
        replace(REQUEST, mode=Mode.LEXICAL),
    ],
)
def test_it_is_for_convex_fusion_of_both(library: Searcher, request_: SearchRequest) -> None:
    assert library.search(request_).feedback is None


def test_without_it_the_dense_score_is_the_cosine(library: Searcher) -> None:
    hits = library.search(replace(REQUEST, feedback=0.0, k=40)).hits
    cosines = {hit.id: hit.score for hit in library.search(replace(REQUEST, mode=Mode.DENSE, k=40)).hits}
    assert [hit.scores["dense"] for hit in hits] == [pytest.approx(cosines[hit.id]) for hit in hits]


def test_a_filter_that_leaves_nothing_gives_no_hits(library: Searcher) -> None:
    result = library.search(replace(REQUEST, filter="year > 3000"))
    assert (result.hits, result.feedback) == ((), None)


def test_pages_follow_each_other(library: Searcher) -> None:
    whole = library.search(replace(REQUEST, k=30)).hits
    pages = [library.search(replace(REQUEST, k=10, offset=offset)).hits for offset in (0, 10, 20)]
    assert [hit.id for page in pages for hit in page] == [hit.id for hit in whole]
