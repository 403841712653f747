"""Queries with known answers, in two dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.index.vectors.recall_queries import DRIFT, Probe, interleave, make_queries
from retrieval.types import Ranking

#           query 0: rows 3 and 5 tie at rank 2;  query 1: only one neighbour
TRUTH = (Ranking(np.array([7, 3, 5, 1]), np.array([0.9, 0.8, 0.8, 0.1], np.float32)),
         Ranking(np.array([2]), np.array([0.5], np.float32)))  # fmt: skip
PROBE = Probe(np.eye(2, dtype=np.float32), TRUTH)


def test_rows_that_tie_with_the_last_neighbour_are_neighbours() -> None:
    assert PROBE.neighbours(0, 1).tolist() == [7]
    assert PROBE.neighbours(0, 2).tolist() == [7, 3, 5]
    assert PROBE.neighbours(1, 2).tolist() == [2]


def test_recall_grows_with_the_number_of_rescored_candidates() -> None:
    found = np.array([[5, 9, 7], [4, 2, -1]])  # -1: no candidate
    # query 0, k = 2: row 5 is one of two; row 9 is none; row 7 is the second.  query 1: its one neighbour comes second.
    assert PROBE.recalls(found, 2).tolist() == [[0.5, 0.5, 1.0], [0.0, 1.0, 1.0]]


def test_recall_is_at_most_one_although_more_rows_tie() -> None:
    assert PROBE.recalls(np.array([[7, 3, 5], [2, 0, 1]]), 2).tolist() == [[0.5, 1.0, 1.0], [1.0, 1.0, 1.0]]


def test_the_first_queries_keep_their_neighbours() -> None:
    assert PROBE.first(1).truth == TRUTH[:1]
    assert PROBE.first(1).queries.tolist() == [[1, 0]]


def test_neighbours_are_searched_among_allowed_rows() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    probe = Probe.among(vectors, np.array([[1, 0]], np.float32), np.array([False, True, True]))
    assert probe.truth[0].rows.tolist() == [1, 2]
    assert probe.truth[0].scores == pytest.approx([0.8, 0.0])


def test_both_kinds_alternate() -> None:
    passages, queries = np.array([[1.0], [2.0], [3.0]]), np.array([[10.0], [20.0]])
    assert interleave(passages, queries).ravel().tolist() == [1, 10, 2, 20]


def test_a_made_query_is_moved_along_a_difference_and_has_length_one() -> None:
    same = np.array([[0.0, 1.0]], np.float32)
    passages = np.array([[1, 0], [0.6, 0.8]], np.float32)
    # two equal vectors have no difference, so the query is the passage
    assert make_queries(passages, same, np.random.default_rng(0)) == pytest.approx(passages)
    others = np.array([[0, 1], [0, -1]], np.float32)  # differences: (0, 2), (0, -2) or none
    (made,) = make_queries(passages[:1], others, np.random.default_rng(1))
    assert np.linalg.norm(made) == pytest.approx(1)
    assert min(abs(abs(made[1] / made[0]) - drift) for drift in (0, 2 * DRIFT)) < 1e-6
