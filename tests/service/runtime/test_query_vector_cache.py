"""The same query has the same vector, whatever it is encoded with."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.runtime.encoder_registry import Encoders
from service.runtime.query_vector_cache import RememberingEncoder


@pytest.fixture(scope="module")
def plain(encoders: Encoders) -> RememberingEncoder:
    return RememberingEncoder(encoders.get("all-MiniLM-L6-v2"), most=0)


def test_vectors_are_those_of_the_encoder(plain: RememberingEncoder) -> None:
    remembering = RememberingEncoder(plain, most=8)
    texts = ["cats", "a longer question about heat transfer", "cats", "größer"]
    for _ in range(2):
        np.testing.assert_allclose(remembering.encode_queries(texts), plain.encode_queries(texts), atol=5e-3)
    assert remembering.encode_queries([]).shape == (0, 384)


def test_threads_and_batches_get_bit_equal_vectors(plain: RememberingEncoder) -> None:
    remembering = RememberingEncoder(plain, most=64)
    batches = [["cats"] + [f"noise {number} " * (number % 5) + "x" for number in range(size)] for size in range(8)] * 3
    with ThreadPoolExecutor(4) as threads:
        found = [vectors[0].tobytes() for vectors in threads.map(remembering.encode_queries, batches)]
    assert len(set(found)) == 1


def test_only_the_last_queries_are_kept(plain: RememberingEncoder) -> None:
    remembering = RememberingEncoder(plain, most=2)
    for text in ("one", "two", "one", "three" * 10_000):
        remembering.encode_queries([text])
    assert list(remembering._known) == [hashlib.sha256(text.encode()).digest() for text in ("one", "three" * 10_000)]
    assert remembering.encode_queries(["a", "b", "c", "d"]).shape == (4, 384)
