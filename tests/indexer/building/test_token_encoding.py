"""Collections that store the token vectors of a late-interaction model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from indexer.building.document_changes import CollectionChange, apply_changes
from indexer.building.pipeline import BuildSettings, build_collection
from retrieval.commands.info import describe
from retrieval.encoder.late_interaction import LateInteractionEncoder, load_late_interaction
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError, InputError, UnsupportedCheckpoint
from retrieval.index.collection.document_store import passage_text
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.vectors.token_codes import TokenCodec
from retrieval.types import Document
from tests.retrieval.encoder.late_models import save_late_model

TEXTS = {"cats": "Cats sleep, for most of the day.", "wing": "A wing lifts.", "long": "many words of a text " * 90}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_late_model(tmp_path_factory.mktemp("late"), skips={"skiplist_words": [","]})


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    root = tmp_path_factory.mktemp("tokens")
    lines = [json.dumps({"id": name, "title": f"On {name}", "text": text}) for name, text in TEXTS.items()]
    (root / "documents.jsonl").write_text("\n".join(lines), encoding="utf-8")
    build_collection([root / "documents.jsonl"], root / "papers", BuildSettings(late_interaction=str(model)))
    return root / "papers"


def assert_codes_are_those_of_the_texts(collection: Path, encoder: LateInteractionEncoder) -> None:
    codec = TokenCodec(encoder.dimension, 4)
    with open_index_reader(collection) as reader:
        rows = np.flatnonzero(reader.live)
        documents = reader.documents(reader.document_of[rows])
        texts = [
            passage_text(document.title, passage.heading, document.text[passage.start : passage.end])
            for document, passage in zip(documents, reader.passages(rows), strict=True)
        ]
        for found, vectors in zip(reader.token_codes(rows), encoder.encode_passages(texts), strict=True):
            assert found.counts.tolist() == [len(vectors)]
            decoded = codec.decode(found.codes, found.means[0])
            assert (decoded * vectors).sum(1).min() > 0.97


def test_a_build_and_a_change_store_the_token_vectors_of_passages(collection: Path, model: Path) -> None:
    encoder = load_late_interaction(model)
    assert_codes_are_those_of_the_texts(collection, encoder)
    settings = read_manifest(collection).settings.tokens
    assert settings is not None
    assert settings.encoder == encoder.fingerprint
    assert (settings.encoder.pooling, settings.bits) == ("tokens without ,", 4)
    tokens = describe(collection, read_manifest(collection))["tokens"]
    assert tokens["bytes_per_passage"] == round(tokens["size_bytes"] / 4)
    apply_changes(collection, load_encoder(), [CollectionChange(upserts=(Document("new", "Comets have tails."),))])
    assert_codes_are_those_of_the_texts(collection, encoder)


def test_another_model_is_refused(collection: Path, model: Path, tmp_path: Path) -> None:
    source = tmp_path / "more.jsonl"
    source.write_text('{"id": "x", "text": "more"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"in 4 bits, not those of .* in 1 bits"):
        build_collection([source], collection, BuildSettings(late_interaction=str(model), token_bits=1))
    with pytest.raises(InputError, match="4 or 1"):
        build_collection([source], tmp_path / "new", BuildSettings(late_interaction=str(model), token_bits=3))
    with pytest.raises(UnsupportedCheckpoint, match="no late-interaction model"):
        build_collection([source], tmp_path / "new", BuildSettings(late_interaction=str(tmp_path)))
    with pytest.raises(EncoderError, match="preset of the kind encoder; choose one of colbert-english"):
        build_collection([source], tmp_path / "new", BuildSettings(late_interaction="english"))
    assert not (tmp_path / "new").exists()
