"""Codes of token vectors against the plain definition of late interaction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.index.storage.settings import TOKEN_BITS
from retrieval.index.vectors.token_codes import TokenCodec, TokenCodes, late_score, token_products

MOST_LOST = {4: 0.25, 1: 0.75}  # share of the length of a difference from the mean that a code may lose


def tokens(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    """Return unit vectors with a common part, as the tokens of a passage have."""
    vectors = rng.standard_normal((count, dimension)) + 2 * rng.standard_normal(dimension)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(seed=st.integers(0, 99), counts=st.lists(st.integers(0, 40), max_size=5), dimension=st.sampled_from([96, 128]))
@settings(max_examples=30)
@pytest.mark.parametrize("bits", TOKEN_BITS)
def test_a_code_loses_little_of_a_vector(bits: int, seed: int, counts: list[int], dimension: int) -> None:
    rng, codec = np.random.default_rng(seed), TokenCodec(dimension, bits)
    passages = [tokens(rng, count, dimension) for count in counts]
    encoded = codec.encode(passages)
    assert encoded.counts.tolist() == counts
    assert encoded.codes.shape == (sum(counts), dimension * bits // 8 + 2)
    start = 0
    for i, vectors in enumerate(passages):
        codes = encoded.codes[start : start + len(vectors)]
        start += len(vectors)
        found = codec.decode(codes, encoded.means[i])
        residuals = vectors - encoded.means[i].astype(np.float32)
        lost = np.linalg.norm(found - vectors, axis=1)
        assert np.all(lost <= MOST_LOST[bits] * np.linalg.norm(residuals, axis=1) + 1e-3)
        query = tokens(rng, 7, dimension)
        similarities = codec.similarities(query, codes, encoded.means[i])
        np.testing.assert_allclose(similarities, query @ found.T, atol=1e-5)
        if len(vectors):  # Cauchy and Schwarz: a similarity changes by at most the length of the loss
            exact = sum(max(float(q @ v) for v in vectors) for q in query)
            assert late_score(similarities, mean=False) == pytest.approx(exact, abs=7 * float(lost.max()) + 1e-4)


@pytest.mark.parametrize("bits", TOKEN_BITS)
def test_the_codes_of_a_passage_do_not_depend_on_others(bits: int) -> None:
    rng, codec = np.random.default_rng(1), TokenCodec(20, bits)
    passages = [tokens(rng, count, 20) for count in (3, 0, 9)]
    together = codec.encode(passages)
    alone = TokenCodes.joined([codec.encode([vectors]) for vectors in passages])
    np.testing.assert_array_equal(together.codes, alone.codes)
    np.testing.assert_array_equal(together.means, alone.means)
    assert together.counts.tolist() == alone.counts.tolist()


def test_codes_have_the_stated_sizes() -> None:
    """128 tokens of 96 dimensions take at most 7 kB in 4 bits and 2 kB in 1."""
    rng = np.random.default_rng(2)
    sizes = {}
    for bits in TOKEN_BITS:
        encoded = TokenCodec(96, bits).encode([tokens(rng, 128, 96)])
        sizes[bits] = encoded.codes.nbytes + encoded.means.nbytes + 8
    assert sizes == {4: 6600, 1: 1992}


def test_a_score_is_a_sum_or_a_mean_of_the_best_similarities() -> None:
    similarities = np.array([[0.5, 0.75], [0.25, -1.0]], dtype=np.float32)
    assert late_score(similarities, mean=False) == 1.0
    assert late_score(similarities, mean=True) == 0.5
    assert late_score(np.empty((3, 0), np.float32), mean=False) == 0.0


@pytest.mark.parametrize("count", [0, 1, 64, 65, 66, 300])
def test_blocks_of_products_are_the_whole_product(count: int) -> None:
    rng = np.random.default_rng(3)
    query, passage = tokens(rng, 32, 96), tokens(rng, count, 96)
    np.testing.assert_allclose(token_products(query, passage), query @ passage.T, atol=1e-6)
