"""The choice of the ANN index."""

from __future__ import annotations

import pytest

from retrieval.index.storage.settings import VectorSettings
from retrieval.index.vectors.index_choice import available_memory_bytes, choose_ann_index, list_count

GIB = 1 << 30


@pytest.mark.parametrize(
    ("rows", "settings", "available", "factory"),
    [
        (0, VectorSettings(), 8 * GIB, None),
        (30_000, VectorSettings(), 8 * GIB, None),
        (30_000, VectorSettings(memory="small"), 8 * GIB, None),
        (530_000, VectorSettings(), 8 * GIB, "HNSW32,SQ8"),
        (530_000, VectorSettings(memory="exact"), 8 * GIB, None),
        (530_000, VectorSettings(recall=1.0), 8 * GIB, None),
        (530_000, VectorSettings(memory="small"), 8 * GIB, "IVF512,PQ96x4fs"),
        (10_000_000, VectorSettings(), 8 * GIB, "IVF2048,PQ96x4fs"),
        (10_000_000, VectorSettings(), 32 * GIB, "HNSW32,SQ8"),
        (100_000_000, VectorSettings(), 32 * GIB, "IVF8192,PQ96x4fs"),
        (5_000, VectorSettings(structure="IVF64,SQ8"), 8 * GIB, "IVF64,SQ8"),
        (500, VectorSettings(structure="IVF64,SQ8"), 8 * GIB, None),  # too few to measure
    ],
)
def test_the_index_follows_from_rows_memory_and_recall(
    rows: int, settings: VectorSettings, available: int, factory: str | None
) -> None:
    plan = choose_ann_index(rows, 384, settings, available)
    assert (plan and plan.factory) == factory


def test_dimensions_that_cannot_be_cut_in_fours_still_get_an_index() -> None:
    plan = choose_ann_index(100_000, 130, VectorSettings(memory="small"))
    assert plan is not None
    assert plan.factory == "IVF256,SQ4"


def test_bytes_are_predicted() -> None:
    graph = choose_ann_index(530_000, 384, VectorSettings(), 8 * GIB)
    lists = choose_ann_index(530_000, 384, VectorSettings(memory="small"), 8 * GIB)
    assert graph is not None
    assert lists is not None
    assert graph.bytes_per_vector <= 700
    assert lists.bytes_per_vector <= 80


def test_lists_hold_enough_rows() -> None:
    for rows in (1_000, 40_000, 10**6, 10**8):
        assert list_count(rows) <= rows / 30


def test_there_is_memory() -> None:
    assert available_memory_bytes() > 1 << 20
