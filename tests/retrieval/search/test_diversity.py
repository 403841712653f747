"""Diversity: equal to the plain formula, and to LangChain's function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import BadQuery
from retrieval.results import Hit
from retrieval.search.diversity import DIVERSITY_DEPTH, marginal_relevance_order
from retrieval.search.searcher import Searcher
from retrieval.types import GroupBy, Mode, RerankOptions, SearchRequest

REQUEST = SearchRequest("trees with flowers", k=40, window_share=0.0)


def vectors_of(searcher: Searcher, hits: tuple[Hit, ...]) -> np.ndarray:
    """Return the vector of each hit's best passage."""
    reader = searcher.reader
    rows = [
        int(np.searchsorted(reader.document_of, reader.document_row(hit.id))) + hit.passages[0].number - 1
        for hit in hits
    ]
    return reader.vectors.rows(np.array(rows, np.int64)).astype(np.float64)


def plain_order(relevance: list[float], cosines: np.ndarray, diversity: float) -> list[int]:
    """Return the order by the formula as it is written."""
    chosen = [max(range(len(relevance)), key=lambda i: relevance[i])] if relevance else []
    while len(chosen) < len(relevance):
        rest = [i for i in range(len(relevance)) if i not in chosen]
        chosen.append(
            max(
                rest,
                key=lambda i: (1 - diversity) * relevance[i] - diversity * max(cosines[i, j] for j in chosen),
            )
        )
    return chosen


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9),
    st.sampled_from([0.25, 0.5, 1.0]),
)
def test_the_order_is_that_of_the_formula(candidates: list[tuple[int, int, int]], diversity: float) -> None:
    relevance = [each[0] / 4 for each in candidates]
    points = np.array([each[1:] for each in candidates], np.float64)
    similarity = points @ points.T / 16
    order = marginal_relevance_order(np.array(relevance), similarity, diversity)
    assert order.tolist() == plain_order(relevance, similarity, diversity)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize("filter_", ["", "year > 2002"])
def test_hits_are_ordered_by_marginal_relevance(library: Searcher, mode: Mode, filter_: str) -> None:
    request = replace(REQUEST, mode=mode, filter=filter_)
    plain = library.search(request).hits
    scores = np.array([hit.score for hit in plain])
    relevance = scores if mode is Mode.DENSE else (scores - scores.min()) / (np.ptp(scores) or 1.0)
    vectors = vectors_of(library, plain)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = [plain[i] for i in plain_order(relevance.tolist(), unit @ unit.T, 0.5)]
    diverse = library.search(replace(request, diversity=0.5)).hits
    assert [(hit.id, hit.score) for hit in diverse] == [(hit.id, hit.score) for hit in expected]
    assert [hit.rank for hit in diverse] == list(range(1, len(plain) + 1))


@pytest.mark.parametrize("diversity", [0.2, 0.5, 0.9])
def test_the_order_is_that_of_langchain(library: Searcher, diversity: float) -> None:
    langchain = pytest.importorskip("langchain_core.vectorstores.utils")
    request = replace(REQUEST, mode=Mode.DENSE)
    plain = library.search(request).hits
    vectors = vectors_of(library, plain)
    [query] = library.encoder.encode_queries([request.query])
    order = langchain.maximal_marginal_relevance(query, vectors.tolist(), lambda_mult=1 - diversity, k=len(plain))
    diverse = library.search(replace(request, diversity=diversity)).hits
    assert [hit.id for hit in diverse] == [plain[i].id for i in order]


def test_near_copies_no_longer_fill_the_first_hits(library: Searcher) -> None:
    request = replace(REQUEST, query="gardeners prune roses", k=5)
    plain, diverse = library.search(request).hits, library.search(replace(request, diversity=0.7)).hits
    assert diverse[0].id == plain[0].id
    subjects = [{str(hit.metadata["tags"][0]) for hit in hits} for hits in (plain, diverse)]
    assert len(subjects[1]) > len(subjects[0])


@pytest.mark.parametrize("group_by", [GroupBy.DOCUMENT, GroupBy.NONE])
def test_pages_are_parts_of_one_ranking(many: Searcher, group_by: GroupBy) -> None:
    request = SearchRequest("a rose in the barn", k=DIVERSITY_DEPTH + 30, group_by=group_by, diversity=0.4)
    whole = many.search(request)
    pages = [many.search(replace(request, k=26, offset=offset)) for offset in range(0, request.k, 26)]
    assert tuple(hit for page in pages for hit in page.hits) == whole.hits
    plain = many.search(replace(request, diversity=0.0))
    assert plain.hits[DIVERSITY_DEPTH:] == whole.hits[DIVERSITY_DEPTH:]
    assert {hit.id for hit in plain.hits} == {hit.id for hit in whole.hits}
    assert (plain.total, plain.confidence) == (whole.total, whole.confidence)


def test_the_depth_is_the_number_of_candidates(library: Searcher) -> None:
    request = replace(REQUEST, mode=Mode.DENSE, diversity=0.8)
    plain = [hit.id for hit in library.search(replace(request, diversity=0.0)).hits]
    for depth in (1, 2, 5):
        diverse = library.search(replace(request, diversity_depth=depth)).hits
        vectors = vectors_of(library, diverse)
        found = [hit.id for hit in diverse]
        assert sorted(found[:depth]) == sorted(plain[:depth])
        assert found[depth:] == plain[depth:]
        ranked = sorted(range(depth), key=lambda i: plain.index(found[i]))
        relevance = [diverse[i].score for i in ranked]
        cosines = vectors[ranked] @ vectors[ranked].T
        assert [ranked[i] for i in plain_order(relevance, cosines, 0.8)] == list(range(depth))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"diversity": -0.1}, "diversity is -0.1; give a number from 0 to 1"),
        ({"diversity": float("nan")}, "give a number from 0 to 1"),
        ({"diversity_depth": 0}, "diversity_depth is 0; give 1 to 1,000"),
        ({"diversity_depth": 5, "diversity": 0.0}, "no effect without diversity"),
        ({"sort": "year"}, "diversity and sort both order"),
        ({"rerank": RerankOptions()}, "diversity and rerank both order"),
        ({"query": "*"}, "lists all documents without scores"),
    ],
)
def test_contradictions_are_refused(library: Searcher, options: dict[str, object], says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        library.search(replace(REQUEST, **{"diversity": 0.5, **options}))  # type: ignore[arg-type]


def test_no_hits_have_no_order(library: Searcher) -> None:
    assert library.search(replace(REQUEST, filter="year > 3000", diversity=0.5)).hits == ()
