"""Calibration: measured from unrelated pairs, when a collection needs it, and never lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.building.document_changes import CollectionChange, apply_changes, delete_documents
from indexer.building.pipeline import build_collection
from indexer.maintenance.change_settings import SettingsChange, change_settings
from indexer.writing.calibration import MIN_PASSAGES, calibrate
from indexer.writing.commit import CommitOptions, commit_change
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import InputError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import CosineBackground, read_manifest
from retrieval.index.storage.settings import SearchDefaults
from retrieval.search.searcher import open_searcher
from retrieval.types import Document, Mode, SearchRequest
from service.cli import app

NOUNS = ("river", "lamp", "bread", "tax", "comet", "violin", "harbour", "glacier", "saddle", "novel")
VERBS = ("crosses", "lights", "feeds", "pays", "passes", "charms", "shelters", "carves")


def documents(count: int) -> list[Document]:
    return [
        Document(f"d{i:03}", f"The {NOUNS[i % 10]} {VERBS[i % 8]} the {NOUNS[(3 * i + 1) % 10]} number {i}.")
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_encoder(DEFAULT)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    lines = (json.dumps({"id": each.id, "text": each.text}) for each in documents(60))
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    build_collection([tmp_path / "lines.jsonl"], tmp_path / "lines")
    return tmp_path / "lines"


def background_of(collection: Path) -> CosineBackground | None:
    return read_manifest(collection).background


def without_background(collection: Path, search: SearchDefaults | None = None) -> None:
    """Make the collection as an earlier version made it."""

    def change(current):  # type: ignore[no-untyped-def]
        settings = replace(current.settings, search=search or current.settings.search)
        return replace(current, background=None, settings=settings)

    commit_change(collection, "earlier version", change, CommitOptions())


def ranking(collection: Path, encoder: SentenceEncoder, query: str) -> Sequence[str]:
    with open_searcher(collection, encoder=encoder) as searcher:
        return [hit.id for hit in searcher.search(SearchRequest(query, k=20)).hits]


def test_it_is_the_mean_and_the_deviation_of_pairs_of_unrelated_passages(
    collection: Path, encoder: SentenceEncoder
) -> None:
    background = background_of(collection)
    assert background is not None
    assert background.passages == 60
    with open_index_reader(collection) as reader:
        rows = np.arange(reader.rows)
        texts = [each.text.removesuffix(".") for each in reader.documents(reader.document_of)]  # shorter than a query
        cosines = encoder.encode_queries(texts) @ reader.vectors.rows(rows).T
    far = rows[:, np.newaxis] != rows  # each document has one passage
    deviations = [row[mask].std() for row, mask in zip(cosines, far, strict=True)]
    assert background.mean == pytest.approx(cosines[far].mean(), abs=0.03)  # the full stop is a token, too
    assert background.deviation == pytest.approx(np.mean(deviations), abs=0.01)


def test_few_passages_are_not_calibrated(tmp_path: Path, encoder: SentenceEncoder, collection: Path) -> None:
    assert background_of(collection) is not None
    (tmp_path / "few.txt").write_text("One line about rivers.")
    build_collection([tmp_path / "few.txt"], tmp_path / "few")
    assert background_of(tmp_path / "few") is None
    with pytest.raises(InputError, match="1 passages are too few to calibrate"):
        calibrate(tmp_path / "few", encoder)
    assert read_manifest(tmp_path / "few").generation == 1


def test_a_collection_is_measured_again_when_it_doubles(collection: Path, encoder: SentenceEncoder) -> None:
    first = background_of(collection)
    apply_changes(collection, encoder, [CollectionChange(upserts=(Document("new", "One more line."),))])
    assert background_of(collection) == first
    delete_documents(collection, ["new"])
    assert background_of(collection) == first
    more = tuple(replace(each, id=f"more {each.id}") for each in documents(70))
    apply_changes(collection, encoder, [CollectionChange(upserts=more)])
    again = background_of(collection)
    assert again is not None
    assert again.passages == 130


def test_a_collection_of_an_earlier_version_ranks_as_before_until_it_is_calibrated(
    collection: Path, encoder: SentenceEncoder
) -> None:
    without_background(collection)
    with open_searcher(collection, encoder=encoder) as searcher:
        result = searcher.search(SearchRequest("music in the harbour"))
    assert (result.weight, result.feedback, result.score_ranges["dense"]) == (0.7, None, (0.0, 1.0))
    assert calibrate(collection, encoder).background is not None
    with open_searcher(collection, encoder=encoder) as searcher:
        result = searcher.search(SearchRequest("music in the harbour"))
    assert (result.weight, result.feedback) == (0.6, 0.4)


@pytest.mark.parametrize("weight", [0.0, 0.35, 0.9, 1.0])
def test_a_tuned_weight_ranks_as_before(collection: Path, encoder: SentenceEncoder, weight: float) -> None:
    queries = ("music in the harbour", "what lights the lamp", "number 7 passes")
    without_background(collection, SearchDefaults(weight=weight))
    before = [ranking(collection, encoder, query) for query in queries]
    calibrate(collection, encoder)
    assert [ranking(collection, encoder, query) for query in queries] == before
    assert read_manifest(collection).settings.search.feedback == 0.0


def test_the_next_change_calibrates_an_earlier_collection(collection: Path, encoder: SentenceEncoder) -> None:
    without_background(collection)
    apply_changes(collection, encoder, [CollectionChange(upserts=(Document("new", "One more line."),))])
    assert background_of(collection) is not None


def test_other_settings_keep_it(collection: Path) -> None:
    before = background_of(collection)
    change_settings(collection, SettingsChange({"k1": 0.9}))
    assert background_of(collection) == before


def test_the_command(collection: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", str(collection), "--json"])
    found = json.loads(done.stdout)
    assert found["generation"] == 2
    assert 0 < found["background"]["deviation"] < 0.3
    done = CliRunner().invoke(app, ["info", str(collection)])
    assert f"deviation {found['background']['deviation']:.3f} between unrelated texts" in done.stdout


def test_equal_texts_have_no_deviation(tmp_path: Path, encoder: SentenceEncoder) -> None:
    lines = (json.dumps({"id": str(i), "text": "The same line."}) for i in range(MIN_PASSAGES))
    (tmp_path / "same.jsonl").write_text("\n".join(lines))
    build_collection([tmp_path / "same.jsonl"], tmp_path / "same")
    assert ranking(tmp_path / "same", encoder, "same")[:2] == ["0", "1"]
    with open_searcher(tmp_path / "same", encoder=encoder) as searcher:
        assert len(searcher.search(SearchRequest("line", mode=Mode.HYBRID)).hits) == 10
