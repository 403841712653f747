"""Stored vectors, and exact search against numpy's brute force."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.errors import BadQuery, CorruptCollection, EncoderError
from retrieval.index.vectors.exact import MANY_QUERIES, FlatVectors, exact_search
from retrieval.index.vectors.store import StoredVectors, VectorWriter, open_vectors, row_scores
from retrieval.index.vectors.vector_search import CombinedVectors, SegmentVectors
from retrieval.types import Bitmap, Ranking

D = 24


def unit(rng: np.random.Generator, rows: int, dimension: int = D) -> NDArray[np.float32]:
    vectors = rng.standard_normal((rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def with_duplicates(rng: np.random.Generator, rows: int, distinct: int) -> NDArray[np.float32]:
    return unit(rng, distinct)[rng.integers(distinct, size=rows)]


def brute_force(vectors: StoredVectors, query: NDArray[np.float32], k: int, allowed: Bitmap | None) -> Ranking:
    rows = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    scores = (vectors[rows].astype(np.float32) * query).sum(axis=1)
    order = np.lexsort((rows, -scores))[:k]
    return Ranking(rows[order], scores[order])


def assert_same(found: Ranking, expected: Ranking) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.scores, expected.scores)


def segmented(vectors: StoredVectors, cuts: list[int]) -> CombinedVectors:
    """Every second segment has its vectors in float32 too."""
    bounds = [0, *sorted(cuts), len(vectors)]
    parts = [vectors[start:end] for start, end in itertools.pairwise(bounds)]
    flats = [FlatVectors(part, part.astype(np.float32) if number % 2 else None) for number, part in enumerate(parts)]
    return CombinedVectors([SegmentVectors(flat) for flat in flats], vectors.shape[1])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 6000),
    distinct=st.sampled_from([1, 3, 40, 5000]),
    queries=st.sampled_from([1, 2, 17]),
    k=st.sampled_from([1, 10, 137]),
    share=st.sampled_from([None, 1.0, 0.5, 0.1, 0.01, 0.0]),
    cuts=st.lists(st.integers(0, 6000), max_size=4),
    dtype=st.sampled_from([np.float16, np.float32]),
)
def test_search_is_brute_force_for_any_filter_and_any_segments(
    seed: int, rows: int, distinct: int, queries: int, k: int, share: float | None, cuts: list[int], dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    vectors = with_duplicates(rng, rows, distinct).astype(dtype)
    asked = np.concatenate((unit(rng, queries - 1), vectors[:1].astype(np.float32)))
    allowed = None if share is None else rng.random(rows) < share
    index = segmented(vectors, [min(cut, rows) for cut in cuts])
    for query, found in zip(asked, index.search(asked, k, allowed=allowed), strict=True):
        assert_same(found, brute_force(vectors, query, k, allowed))


def test_ties_go_to_the_lower_row_even_among_thousands() -> None:
    vectors = np.repeat(unit(np.random.default_rng(0), 2), 5000, axis=0)
    found = segmented(vectors, [2500]).search(vectors[:1], 20)[0]
    np.testing.assert_array_equal(found.rows, np.arange(20))


@given(seed=st.integers(0, 10**6), cut=st.integers(0, 300))
@settings(max_examples=25, deadline=None)
def test_a_score_does_not_depend_on_its_company(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, query = unit(rng, 300, 383), unit(rng, 1, 383)[0]
    together = row_scores(query, vectors)
    alone = np.array([row_scores(query, vectors[row : row + 1])[0] for row in range(300)])
    np.testing.assert_array_equal(together, alone)
    rows = rng.integers(300, size=50)
    np.testing.assert_array_equal(segmented(vectors, [cut]).score(query, rows), together[rows])
    np.testing.assert_allclose(together, vectors.astype(np.float64) @ query, atol=1e-6)


def test_nothing_to_find() -> None:
    queries = unit(np.random.default_rng(0), 2)
    empty = CombinedVectors([], D)
    assert [len(each.rows) for each in empty.search(queries, 5)] == [0, 0]
    assert len(empty.score(queries[0], np.empty(0, np.int64))) == 0
    assert [len(each.rows) for each in segmented(queries, []).search(queries, 5)] == [2, 2]


def test_queries_that_do_not_fit_are_refused() -> None:
    index = segmented(unit(np.random.default_rng(0), 5), [])
    with pytest.raises(ValueError, match="24 dimensions"):
        index.search(np.ones((1, 7), np.float32), 3)
    with pytest.raises(BadQuery):
        index.search(np.full((1, D), np.nan, np.float32), 3)
    with pytest.raises(ValueError, match="bitmap"):
        index.search(unit(np.random.default_rng(0), 1), 3, allowed=np.ones(4, np.bool_))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("blocks", [[], [0], [3], [1, 0, 700, 2]])
def test_written_vectors_are_read_back(tmp_path: Path, dtype: type, blocks: list[int]) -> None:
    rng = np.random.default_rng(1)
    path, parts = tmp_path / "vectors.npy", [unit(rng, rows) for rows in blocks]
    with VectorWriter(path, D, dtype) as writer:
        for part in parts:
            writer.append(part)
    expected = np.concatenate([np.empty((0, D), np.float32), *parts]).astype(dtype)
    np.testing.assert_array_equal(open_vectors(path), expected)
    np.testing.assert_array_equal(np.load(path), expected)  # a plain .npy file


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    vectors = unit(np.random.default_rng(0), 3)
    vectors[2] = np.nan
    with pytest.raises(EncoderError, match="vector 2 has length nan"), VectorWriter(path, D) as writer:
        writer.append(vectors)
    assert not path.exists()


def test_vectors_of_another_shape_or_length_are_refused(tmp_path: Path) -> None:
    with VectorWriter(tmp_path / "vectors.npy", D) as writer:
        with pytest.raises(ValueError, match="24 dimensions"):
            writer.append(np.zeros((1, D + 1), np.float32))
        with pytest.raises(EncoderError, match="length 1"):
            writer.append(2 * unit(np.random.default_rng(0), 1))
    with pytest.raises(ValueError, match="int8"):
        VectorWriter(tmp_path / "vectors.npy", D, np.int8)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    with pytest.raises(CorruptCollection, match="missing"):
        open_vectors(path)
    with VectorWriter(path, D) as writer:
        writer.append(unit(np.random.default_rng(0), 9))
    whole = path.read_bytes()
    for damaged, why in ((whole[:-1], "bytes instead of"), (whole[:40], "not a file"), (b"", "not a file")):
        path.write_bytes(damaged)
        with pytest.raises(CorruptCollection, match=why):
            open_vectors(path)
    np.save(path, np.zeros((2, 3), np.int64))
    with pytest.raises(CorruptCollection, match="int64"):
        open_vectors(path)


def test_many_queries_at_once_leave_single_ones_as_fast_as_they_were() -> None:
    """FAISS has one threshold per process for multiplying matrices.

    Multiplying matrices is slow for a single query.
    Its default tells that these are numbers: no one asks as many queries at once.
    """
    code = "import faiss; print(faiss.cvar.distance_compute_blas_threshold)"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(fresh.stdout) > 10_000
    vectors = np.random.default_rng(0).standard_normal((300, D)).astype(np.float32) / 10
    exact_search(FlatVectors(vectors), vectors[:MANY_QUERIES], 5)
    assert D < faiss.cvar.distance_compute_blas_threshold <= MANY_QUERIES * D
