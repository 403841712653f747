"""Windows: vectors of a few sentences inside each passage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.building.document_changes import CollectionChange, apply_changes
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.linked_copy import linked_copy
from indexer.maintenance.reembed import reembed
from indexer.writing.window_build import window_spans
from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import CorruptCollection, InputError
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.storage.settings import VectorSettings
from retrieval.index.vectors.window_store import WINDOW_FILES
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Mode, SearchRequest

TOPICS = {
    "bread": "Bread is baked from flour. The dough rests for an hour. Salt gives it taste. Yeast makes it rise.",
    "wings": "A wing lifts an aeroplane. Air flows faster above it. Engineers test it in a tunnel. Flaps add lift.",
    "cats": "Cats sleep for most of the day. They hunt at night. Their eyes need little light. They purr when content.",
}
DOCUMENTS = [
    Document(f"{first}-{second}", f"{TOPICS[first]} {TOPICS[second]}") for first in TOPICS for second in TOPICS
] + [Document("short", "One sentence about salt.")]
FINE = BuildSettings(vectors=VectorSettings(window_sentences=3))


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_encoder()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("windows")
    rows = [json.dumps({"id": each.id, "text": each.text}) for each in DOCUMENTS]
    (root / "documents.jsonl").write_text("\n".join(rows))
    build_collection([root / "documents.jsonl"], root / "fine", FINE)
    return root / "fine"


@pytest.fixture
def collection(built: Path) -> Iterator[Path]:
    """Yield a copy that a test may change."""
    with linked_copy(built) as copy:
        yield copy


def expected_scores(reader: IndexReader, encoder: SentenceEncoder, query: str, share: float) -> dict[str, float]:
    """Return the dense score of each document, by encoding its windows again."""
    vector = encoder.encode_queries([query])[0]
    scores = {}
    for row in np.flatnonzero(reader.live):
        (document,) = reader.documents([reader.document_of[row]])
        own = float(encoder.encode_passages([document.text])[0] @ vector)
        spans = window_spans(document.text, 0, len(document.text), 3)
        near = [float(encoder.encode_passages([document.text[start:end]])[0] @ vector) for start, end in spans]
        scores[document.id] = (1 - share) * own + share * max([own, *near])
    return scores


def dense(searcher: Searcher, query: str, **options: float) -> dict[str, float]:
    found = searcher.search(SearchRequest(query, k=20, mode=Mode.DENSE, **options))  # type: ignore[arg-type]
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    return {hit.id: hit.score for hit in found.hits}


@pytest.mark.parametrize("share", [None, 0.0, 1.0])
def test_a_passage_is_scored_by_its_best_window_too(built: Path, encoder: SentenceEncoder, share: float | None) -> None:
    with open_searcher(built, encoder=encoder) as searcher:
        found = dense(searcher, "cats at night", **({} if share is None else {"window_share": share}))
        expected = expected_scores(searcher.reader, encoder, "cats at night", 0.5 if share is None else share)
    assert found == pytest.approx(expected, abs=2e-3)  # vectors are stored as float16


def test_a_merged_collection_scores_as_a_fresh_one(collection: Path, encoder: SentenceEncoder) -> None:
    changes = [
        CollectionChange(upserts=[Document("new", " ".join(TOPICS.values()))]),
        CollectionChange(deletes=["short"]),
    ]
    apply_changes(collection, encoder, changes)
    with open_searcher(collection, encoder=encoder) as searcher:
        before = dense(searcher, "salt and yeast")
        assert before == pytest.approx(expected_scores(searcher.reader, encoder, "salt and yeast", 0.5), abs=2e-3)
    merge_collection(collection, fully=True)
    with open_searcher(collection, encoder=encoder) as searcher:
        assert len(searcher.reader.segments) == 1
        assert dense(searcher, "salt and yeast") == before


def test_the_parts_of_a_score_are_explained(built: Path, encoder: SentenceEncoder) -> None:
    with open_searcher(built, encoder=encoder) as searcher:
        found = searcher.search(SearchRequest("a wing lifts", mode=Mode.DENSE, k=20, explain=True))
        documents = {hit.id: searcher.document(hit.id) for hit in found.hits}
    for hit in found.hits:
        assert hit.explanation is not None
        assert hit.explanation.dense is not None
        own, window = hit.explanation.dense.score, hit.explanation.window
        if hit.id == "short":
            assert window is None
            continue
        assert window is not None
        assert hit.score == pytest.approx(0.5 * own + 0.5 * max(own, window.score), abs=1e-5)
        assert (window.start, window.end) in window_spans(documents[hit.id].text, 0, len(documents[hit.id].text), 3)
    best = found.hits[0].explanation
    assert best is not None
    assert best.window is not None
    assert "A wing lifts" in documents[found.hits[0].id].text[best.window.start : best.window.end]


def test_another_encoder_encodes_the_windows_again(collection: Path, tmp_path: Path) -> None:
    default = locate("all-MiniLM-L6-v2")
    shutil.copytree(default, tmp_path / "other", copy_function=lambda source, link: Path(link).symlink_to(source))
    config = tmp_path / "other" / "sentence_bert_config.json"
    body = {**json.loads(config.read_text()), "max_seq_length": 12}  # a document is cut after its second sentence
    config.unlink()
    config.write_text(json.dumps(body))
    other = load_encoder(tmp_path / "other")
    assert reembed(collection, other).switched
    with open_searcher(collection, encoder=other) as searcher:
        found = dense(searcher, "salt and yeast")
        assert found == pytest.approx(expected_scores(searcher.reader, other, "salt and yeast", 0.5), abs=2e-3)


@pytest.mark.parametrize("name", WINDOW_FILES)
def test_damage_is_found(collection: Path, name: str) -> None:
    (path,) = collection.glob(f"segments/*/{name}")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()  # a hard link of the copy
    path.write_bytes(data)
    with pytest.raises(CorruptCollection), open_index_reader(collection) as reader:
        reader.check_all()


def test_windows_are_of_nearly_equal_numbers_of_sentences() -> None:
    text = "  A b. C d. E f. G h. I j. K l. M n. "
    spans = window_spans(text, 2, len(text), 3)
    assert [text[start:end].strip() for start, end in spans] == ["A b. C d. E f. G h.", "I j. K l. M n."]
    assert window_spans("A b. C d. E f.", 0, 14, 3) == []
    assert window_spans("", 0, 0, 3) == []
    tokenised = "a wing lifts . it has flaps . air flows . a wind blows . it is cold . the end ."
    assert len(window_spans(tokenised, 0, len(tokenised), 3)) == 2


def test_the_windows_of_a_collection_are_chosen_once(built: Path, tmp_path: Path) -> None:
    (tmp_path / "more.jsonl").write_text('{"id": "x", "text": "A text."}')
    with pytest.raises(InputError, match="window_sentences is 3 in the collection, not 5"):
        build_collection([tmp_path / "more.jsonl"], built, BuildSettings(vectors=VectorSettings(window_sentences=5)))
    with pytest.raises(InputError, match="window_sentences is -1; it must be from 1 to 100"):
        VectorSettings(window_sentences=-1)
