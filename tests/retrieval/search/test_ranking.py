"""Rankings of documents against the plain definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.search.ranking import group, order_ties, settled
from retrieval.types import Ranking

few_scores = st.sampled_from([0.1, 0.2, 0.3, 0.4])  # few values, so that ties are common
collections = st.lists(st.lists(few_scores, min_size=1, max_size=4), min_size=1, max_size=12)


def _collection(documents: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array([score for document in documents for score in document], dtype=np.float32)
    document_of = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    return scores, document_of


def _top(scores: np.ndarray, asked: int) -> Ranking:
    rows = np.argsort(-scores, kind="stable")[:asked]
    return Ranking(rows, scores[rows])


@given(collections, st.integers(1, 15), st.randoms(use_true_random=False))
def test_first_documents_are_those_of_the_whole_ranking(documents, depth, random):
    scores, document_of = _collection(documents)
    ids = [f"d{i}" for i in range(len(documents))]
    random.shuffle(ids)
    expected = sorted(range(len(documents)), key=lambda i: (-np.float32(max(documents[i])), ids[i]))[:depth]

    asked = 1
    while not settled(_top(scores, asked), group(_top(scores, asked), document_of), depth, asked):
        asked *= 2
    found = order_ties(group(_top(scores, asked), document_of), lambda rows: [ids[row] for row in rows], depth)

    assert found.documents.tolist() == expected
    assert found.scores.tolist() == [np.float32(max(documents[i])) for i in expected]


def test_a_tie_across_the_page_border_is_not_settled():
    scores, document_of = _collection([[0.4], [0.4], [0.4]])
    ranking = _top(scores, 2)
    assert not settled(ranking, group(ranking, document_of), depth=1, count=2)
