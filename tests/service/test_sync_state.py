"""The state of synchronizations, over HTTP and as metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from indexer.building.source_sync import sync_collection
from indexer.building.sync_record import record_run
from indexer.sources.settings import SourceSettings
from indexer.writing.sync_status import SYNC_STATUS, read_status
from retrieval.errors import StorageError
from service.client import Client
from service.client.answers.sync import SyncAnswer
from tests.service.conftest import Serve, Served

PATH = "/v1/collections/notes/sync"


@pytest.fixture(scope="module")
def notes(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a collection with two sources: a folder, and one that is missing."""
    root, folder = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("folder")
    (folder / "a.txt").write_text("A weir is a low dam.")
    sources = [SourceSettings(source=str(folder)), SourceSettings(source=f"{folder}-missing")]
    report = sync_collection(root / "notes", sources)
    record_run(root / "notes", sources, report, lambda source: source.interval_s)
    with serve(root) as served:
        yield served


def test_sources_their_counts_and_errors_are_shown(notes: Served) -> None:
    answer = notes.http.get(PATH)
    read, missing = SyncAnswer.model_validate(answer.json(), extra="forbid").sources
    assert (read.items, read.read, read.failed, read.error, read.succeeded) == (1, 1, 0, "", read.ended)
    assert read.next == read.ended + timedelta(minutes=10)
    assert missing.source.endswith("-missing")
    assert (missing.succeeded, missing.error != "") == (None, True)
    with Client(notes.url) as client:
        assert client.sync_state("notes").sources == [read, missing]
    metrics = notes.http.get("/metrics").text
    assert 'attendex_sync_failed_sources{collection="notes"} 1.0' in metrics
    assert 'attendex_sync_age_seconds{collection="notes"}' in metrics


def test_a_failed_run_keeps_the_time_of_the_last_good_one(notes: Served) -> None:
    first, second = read_status(notes.root / "notes").values()
    record_run(
        notes.root / "notes", [SourceSettings(source=first.source)], StorageError("the disk is full", path=notes.root)
    )
    changed = read_status(notes.root / "notes")
    assert (changed[first.source].succeeded, changed[first.source].next) == (first.ended, None)
    assert "the disk is full" in changed[first.source].error
    assert changed[second.source] == second


def test_a_collection_without_sources_and_a_damaged_file_tell_nothing(small: Served, tmp_path: Path) -> None:
    assert small.http.get("/v1/collections/small/sync").json() == {"sources": []}
    for damaged in (b"{", b"[]", b'{"sources": [{"source": "a", "ended": "soon"}]}', b'{"sources": [{"colour": 1}]}'):
        (tmp_path / SYNC_STATUS).write_bytes(damaged)
        assert read_status(tmp_path) == {}
