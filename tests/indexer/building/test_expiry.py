"""Documents that expire: none of them is found, and the next change removes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.building.document_changes import CollectionChange, apply_changes, delete_documents, matching_rows
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.writing.commit import CommitOptions, commit_change
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.errors import DocumentNotFound, InputError, SchemaError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import Manifest, read_manifest
from retrieval.search.overview import overview
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Mode, SearchRequest

START = datetime(2100, 1, 1, tzinfo=UTC)  # offer n expires n days later; the last one never
OFFERS = 6
MODES = [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]


def offer(number: int) -> dict[str, Any]:
    until = {} if number == OFFERS - 1 else {"until": (START + timedelta(days=number)).isoformat()}
    return {"id": f"o{number}", "text": f"An offer of shoe {number}.", "kind": "ab"[number % 2], **until}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expiry")
    source = folder / "offers.jsonl"
    source.write_text("".join(json.dumps(offer(number)) + "\n" for number in range(OFFERS)))
    build_collection([source], folder / "shop", BuildSettings(expires="until"))
    return folder / "shop"


@pytest.fixture(scope="module")
def searcher(shop: Path) -> Iterator[Searcher]:
    with open_searcher(shop) as opened:
        yield opened


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("days", [-1.0, 0.0, 0.5, 3.0, 400.0])
@pytest.mark.parametrize("filter", ["", 'kind = "a"'])
def test_no_expired_document_is_found_or_counted(searcher: Searcher, mode: Mode, days: float, filter: str) -> None:
    now = START + timedelta(days=days)
    left = [n for n in range(OFFERS) if n == OFFERS - 1 or n > days]
    kept = {f"o{n}" for n in left if not filter or n % 2 == 0}
    request = SearchRequest("shoe", 10, mode=mode, filter=filter, facets=("kind",), now=now, matching="all")  # type: ignore[arg-type]
    result = searcher.search(request)
    assert {hit.id for hit in result.hits} == kept
    assert result.total.value == len(kept)
    assert sum(each.count for each in result.facets["kind"]) == len(kept)
    assert {hit.id for hit in searcher.search(replace(request, facets=())).hits} == kept
    listed = searcher.search(replace(request, query="*", sort="until"))
    assert {hit.id for hit in listed.hits} == kept
    assert listed.total.value == len(kept)


def test_a_search_without_an_expired_document_has_no_filter(searcher: Searcher) -> None:
    reader = searcher.reader
    assert reader.expired_documents() is None
    assert reader.found_documents() is reader.live_documents
    assert reader.find("o0", START - timedelta(seconds=1)) is not None
    assert reader.find("o0", START) is None


@pytest.fixture
def offers(tmp_path: Path) -> Path:
    """A collection whose document "old" has expired and is not removed yet."""
    source, path = tmp_path / "c.jsonl", tmp_path / "c"
    until = {"old": "2001-01-01", "new": "2999-01-01T12:00:00+02:00", "none": None}
    source.write_text(
        "".join(json.dumps({"id": each, "text": "a text", "until": until[each]}) + "\n" for each in until)
    )
    build_collection([source], path)
    assert live(path) == ["old", "new", "none"]

    def expire(current: Manifest) -> Manifest:
        return replace(current, settings=replace(current.settings, expires="until"))

    commit_change(path, "expire", expire, CommitOptions())
    return path


def live(path: Path) -> list[str]:
    with open_index_reader(path) as reader:
        return reader.ids(np.flatnonzero(reader.live_documents))


def test_an_expired_document_is_not_shown(offers: Path) -> None:
    with open_searcher(offers) as searcher:
        reader = searcher.reader
        assert reader.ids(matching_rows(reader, "")) == ["new", "none"]
        assert reader.ids(matching_rows(reader, "until EXISTS")) == ["new"]
        assert [each.documents for each in overview(reader)] == [1]
        with pytest.raises(DocumentNotFound):
            searcher.document("old")
        with pytest.raises(DocumentNotFound):
            searcher.search(SearchRequest("", like=("old",)))


def test_the_next_change_removes_expired_documents(offers: Path) -> None:
    change = CollectionChange(
        (Document("past", "a text", metadata={"until": "2002-01-01"}), Document("more", "a text"))
    )
    apply_changes(offers, load_encoder(DEFAULT), [change])
    assert live(offers) == ["new", "none", "more"]


def test_a_command_removes_expired_documents(offers: Path) -> None:
    assert delete_documents(offers, expired=True).deleted == 1
    assert live(offers) == ["new", "none"]
    assert read_manifest(offers).cause == "delete 1 documents that expired"


def test_the_field_must_be_a_date_and_stay_the_same(offers: Path, shop: Path, tmp_path: Path) -> None:
    source = shop.parent / "offers.jsonl"
    with pytest.raises(InputError, match="'until', not 'kind'"):
        build_collection([source], offers, BuildSettings(expires="kind"))
    build_collection([source], tmp_path / "plain")
    with pytest.raises(SchemaError, match="'kind' is string in the collection, not date"):
        build_collection([source], tmp_path / "plain", BuildSettings(expires="kind"))
    with pytest.raises(InputError, match="--expires"):
        delete_documents(tmp_path / "plain", expired=True)
    build_collection([source], tmp_path / "plain", BuildSettings(expires="until"))  # may come later
    assert read_manifest(tmp_path / "plain").settings.expires == "until"
