"""Searches near a place, in every mode, also after merges and changes, and in a collection without positions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import document_from
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.errors import FilterError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.metadata.geo import distances_m
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Matching, Mode, SearchRequest

PLACES = {f"s{i:02}": (50 + i * 0.01, 10 + (i % 7) * 0.05) for i in range(30)}


def shop(name: str, place: tuple[float, float]) -> Document:
    record = {"id": name, "text": f"A shop with bread and roses, {name}.", "at": {"lat": place[0], "lng": place[1]}}
    return document_from(record, ReadOptions())


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """Open a collection of two segments, the first of which had other places."""
    path = tmp_path_factory.mktemp("shops") / "shops"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    moved = [shop(name, (0.0, 0.0)) for name in list(PLACES)[:12]]
    apply_changes(path, encoder, [CollectionChange(upserts=(*moved, Document("web", "A shop with bread, online.")))])
    apply_changes(path, encoder, [CollectionChange(upserts=tuple(shop(*each) for each in PLACES.items()))])
    with open_searcher(path, encoder=encoder) as opened:
        yield opened


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize("km", [3, 12, 40])
def test_hits_near_a_place_are_those_of_brute_force(shops: Searcher, mode: Mode, km: int) -> None:
    centre = (50.1, 10.1)
    distances = distances_m(*centre, *np.array(list(PLACES.values())).T)
    near = {name for name, each in zip(PLACES, distances.tolist(), strict=True) if each < km * 1000}
    request = SearchRequest("bread", k=40, mode=mode, matching=Matching.ALL)
    ranked = [hit.id for hit in shops.search(request).hits]
    filtered = SearchRequest("bread", k=40, mode=mode, filter=f"near(at, 50.1, 10.1) < {km}km", matching=Matching.ALL)
    assert [hit.id for hit in shops.search(filtered).hits] == [name for name in ranked if name in near]
    assert near


def test_a_collection_without_positions_says_so(library: Searcher) -> None:
    with pytest.raises(FilterError, match=r"'at' has no positions.*no field has positions.*index documents with"):
        library.search(SearchRequest("roses", filter="near(at, 1, 2) < 5km"))


def test_a_collection_of_format_1_says_so() -> None:
    golden = Path(__file__).parents[2] / "golden" / "format-1"
    with open_index_reader(golden) as reader, pytest.raises(FilterError, match="has no positions"):
        reader.matching_documents("box(at, 1, 2, 3, 4)")
