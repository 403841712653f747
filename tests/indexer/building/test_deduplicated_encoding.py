"""Equal texts are encoded once, out of a file that does not grow with the run."""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.building import deduplicated_encoding as module
from indexer.building.deduplicated_encoding import DeduplicatedEncoder
from retrieval.errors import StorageError
from retrieval.types import Vectors
from tests.indexer.conftest import DIMENSION, vector_of

P = TypeVar("P")


class Encoder:
    """An encoder with made-up vectors; it reads up to three blocks ahead."""

    dimension = DIMENSION

    def encode_stream(self, blocks: Iterable[tuple[P, Sequence[str]]]) -> Iterator[tuple[P, Vectors]]:
        ahead: deque[tuple[P, Vectors]] = deque()
        for payload, texts in blocks:
            ahead.append((payload, np.concatenate([np.empty((0, DIMENSION), np.float32), *map(vector_of, texts)])))
            if len(ahead) == 3:
                yield ahead.popleft()
        yield from ahead


def encode_once() -> DeduplicatedEncoder:
    return DeduplicatedEncoder(Encoder())  # type: ignore[arg-type]


@given(st.lists(st.lists(st.integers(0, 30).map(str), max_size=25), max_size=12))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_gets_its_vector_however_few_are_remembered(
    monkeypatch: pytest.MonkeyPatch, blocks: list[list[str]]
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_TEXTS", 7)
    with encode_once() as once:
        stream = list(once.encode(enumerate(blocks)))
        size_bytes = os.fstat(once._ring.fileno()).st_size
    assert [number for number, _ in stream] == list(range(len(blocks)))
    for block, (_, vectors) in zip(blocks, stream, strict=True):
        np.testing.assert_array_equal(vectors, np.concatenate([vectors[:0], *map(vector_of, block)]))
    assert size_bytes <= 7 * DIMENSION * 4


def test_what_is_remembered_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_TEXTS", 3)
    with encode_once() as once:
        list(once.encode(enumerate([["a", "b", "a"], ["c", "b"], ["d"], ["d", "b", "a"]])))
        assert once.encoded == 5  # "a" was forgotten when "d" came


def test_a_full_disk_is_named() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    blocks: Any = [[f"{block} {number}" for number in range(1000)] for block in range(5)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"/.*: File too large"), encode_once() as once:
            list(once.encode(enumerate(blocks)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
