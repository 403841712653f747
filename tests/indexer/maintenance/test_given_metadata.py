"""Metadata come back as they were given after every kind of maintenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexer.building.document_patches import DocumentPatch, patched
from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.backup import restore_backup, save_backup
from indexer.maintenance.reembed import reembed
from indexer.maintenance.rollback import roll_back
from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import document_from
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.metadata.given import shown_metadata
from retrieval.types import Document
from tests.indexer.maintenance.test_reembed import Other

GIVEN: dict[str, dict[str, Any]] = {
    "a": {"day": "2024-05-01", "sizes": [1, 2], "author": {"name": "Ada", "tags": ["x"]}, "none": None},
    "b": {"day": "2024-05-01T10:00:00+02:00", "parts": [{"n": 1}, {"n": 2, "at": {"lat": 1.5, "lon": 2}}, None, "x"]},
    "c": {"sizes": [], "day": "", "mixed": [1, "a", [2, {"b": None}]], "big": 9007199254740993},
    "d": {"draft": True, "price": 2.5, "empty": {}, "": "nameless"},
    "e": {},
}


def document(name: str) -> Document:
    return document_from({"id": name, "text": f"text of {name}", "metadata": GIVEN[name]}, ReadOptions())


def shown(path: Path) -> dict[str, Any]:
    with open_index_reader(path) as reader:
        found = reader.documents(reader.live_documents.nonzero()[0])
    return {each.id: shown_metadata(each) for each in found}


@pytest.fixture
def kept(bench: Any) -> Any:
    """Return a bench with the documents in three segments, one of them replaced."""
    for names in ("ab", "cd", "ae"):
        bench.add(*map(document, names))
    assert shown(bench.path) == GIVEN
    return bench


def test_merges_keep_them(kept: Any) -> None:
    merge_collection(kept.path, fully=True)
    with open_index_reader(kept.path) as reader:
        assert len(reader.segments) == 1
    assert shown(kept.path) == GIVEN


def test_rolling_back_and_reembedding_keep_them(kept: Any) -> None:
    kept.add(document_from({"id": "a", "text": "other", "metadata": {"day": "2000-01-01"}}, ReadOptions()))
    assert shown(kept.path)["a"] == {"day": "2000-01-01"}
    with open_index_reader(kept.path) as reader:
        before = reader.manifest.generation - 1
    roll_back(kept.path, before)
    assert shown(kept.path) == GIVEN
    reembed(kept.path, Other())  # type: ignore[arg-type]
    assert shown(kept.path) == GIVEN


def test_backups_keep_them(kept: Any, tmp_path: Path) -> None:
    save_backup(kept.path, tmp_path / "backup.tar")
    restore_backup(tmp_path / "backup.tar", tmp_path / "restored")
    assert shown(tmp_path / "restored") == GIVEN


def test_updates_keep_the_rest_also_through_a_merge(kept: Any) -> None:
    patch = DocumentPatch("b", {"parts": [{"n": 3}], "note": {"on": "2024-05-01"}})
    with kept.writer() as writer:
        after = patched(writer.stored(["b"])["b"], patch)
        writer.update_metadata(writer.typed([after]))
        writer.commit()
    expected = {**GIVEN, "b": {"day": GIVEN["b"]["day"], "parts": [{"n": 3}], "note": {"on": "2024-05-01"}}}
    assert shown(kept.path) == expected
    merge_collection(kept.path, fully=True)
    assert shown(kept.path) == expected
