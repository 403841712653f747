"""The order in which a graph takes its vectors."""

from __future__ import annotations

import numpy as np

from retrieval.index.vectors.build import FIRST_SHARE, ROWS_PER_CLUSTER, order_by_neighborhood

ROWS, D = 4 * ROWS_PER_CLUSTER, 16
DIRECTION = np.random.default_rng(0).integers(4, size=ROWS)
VECTORS = (np.eye(D)[DIRECTION] + 0.01 * np.random.default_rng(1).standard_normal((ROWS, D))).astype(np.float16)


def test_near_vectors_follow_each_other_after_some_from_everywhere() -> None:
    rows = np.arange(0, ROWS)
    order = order_by_neighborhood(VECTORS, rows, np.random.default_rng(2))
    np.testing.assert_array_equal(np.sort(order), rows)
    first = round(FIRST_SHARE * ROWS)
    assert len(set(DIRECTION[order[: first // 2]].tolist())) == 4
    changes = np.count_nonzero(np.diff(DIRECTION[order[2 * first :]]))
    assert changes <= 8
    np.testing.assert_array_equal(order, order_by_neighborhood(VECTORS, rows, np.random.default_rng(2)))


def test_places_count_among_the_rows_given() -> None:
    rows = np.arange(1, ROWS, 2)
    order = order_by_neighborhood(VECTORS, rows, np.random.default_rng(2))
    np.testing.assert_array_equal(np.sort(order), np.arange(len(rows)))


def test_few_vectors_stay_as_they_are() -> None:
    np.testing.assert_array_equal(
        order_by_neighborhood(VECTORS, np.arange(100), np.random.default_rng(2)), np.arange(100)
    )
