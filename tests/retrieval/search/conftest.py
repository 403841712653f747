"""Collections of different sizes, searched with the real encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from indexer.building.pipeline import build_collection
from indexer.writing.sparse_build import sparse_settings
from indexer.writing.writer import Writer
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sparse import load_sparse_encoder
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document
from tests.retrieval.encoder.sparse_encoders import save_inference_free

SUBJECTS = {
    "roses": "Roses are thorny shrubs. Their flowers smell sweet. Gardeners prune them in late winter. ",
    "oaks": "Oaks are large trees. They bear acorns, which squirrels bury. Their wood makes good barrels. ",
    "python": "Python is a language. Lists hold items in order. Call str.rstrip to strip blanks. ",
    "bread": "Bread is baked from flour, water and yeast. The dough rests before baking. Crust forms in heat. ",
    "comets": "Comets are bodies of ice and dust. Near the sun they grow a tail. Halley returns every 76 years. ",
}


FEW = [
    ("aspirin", "Aspirin lowers the risk of stroke in adults.", {"year": 2003, "kind": "trial", "tags": ["a", "b"]}),
    ("wing", "A wing in the slipstream of a propeller lifts more.", {"year": 1953, "kind": "paper", "tags": ["b"]}),
    ("cats", "Cats sleep for most of the day and hunt at night.", {"kind": "paper", "tags": []}),
]


@pytest.fixture(scope="module")
def small_collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three documents of one passage."""
    root = tmp_path_factory.mktemp("small")
    lines = [json.dumps({"id": id_, "text": text, "metadata": metadata}) for id_, text, metadata in FEW]
    (root / "documents.jsonl").write_text("\n".join(lines))
    build_collection([root / "documents.jsonl"], root / "small")
    return root / "small"


@pytest.fixture(scope="module")
def small(small_collection: Path) -> Iterator[Searcher]:
    with open_searcher(small_collection) as opened:
        yield opened


def documents() -> list[Document]:
    """Return forty documents: eight of each subject, some without some fields."""
    made = []
    for i in range(40):
        name = sorted(SUBJECTS)[i % 5]
        metadata = {"year": 2000.0 + i % 7, "tags": (name, "even" if i % 2 == 0 else "odd")}
        if i % 3:
            metadata["author"] = f"Author {i % 4}"
        if i % 4 == 0:
            metadata["date"] = datetime(2024, 1, 1 + i % 20, tzinfo=UTC)
        text = SUBJECTS[name] * (1 + i % 3) + f"This is text number {i} about {name}."
        made.append(Document(f"d{i:02}", text, title=f"{name.title()} {i}", metadata=metadata))
    return made


@pytest.fixture(scope="package")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """Open the collection, after a few documents were replaced and deleted."""
    path = tmp_path_factory.mktemp("library") / "library"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    stale = [Document(f"d{i:02}", "Roses and bread that no search should find.") for i in (3, 8)]
    apply_changes(path, encoder, [CollectionChange(upserts=(*stale, Document("gone", "Roses that were deleted")))])
    apply_changes(path, encoder, [CollectionChange(upserts=tuple(documents()), deletes=("gone",))])
    with open_searcher(path, encoder=encoder) as opened:
        yield opened


@pytest.fixture(scope="package")
def sparse_library(library: Searcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """Open a copy of the library with a sparse index, made by a small random encoder."""
    root = tmp_path_factory.mktemp("sparse")
    encoder = load_sparse_encoder(save_inference_free(root / "encoder"))
    shutil.copytree(library.reader.path, root / "library")
    settings = replace(library.reader.manifest.settings, sparse=sparse_settings(encoder))
    with Writer(root / "library", create=settings) as writer:
        writer.commit(sparse_encoder=encoder)
    with open_searcher(root / "library", encoder=library.encoder, sparse_encoder=encoder) as opened:
        yield opened


@pytest.fixture(scope="package")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """Open a collection of 1,500 one-sentence documents, more than rank fusion lists."""
    path = tmp_path_factory.mktemp("many") / "many"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    places, things = ("field", "barn", "attic", "yard", "lane"), ("rose", "oak", "loaf", "comet", "snake", "barrel")
    made = tuple(
        Document(
            f"n{i:04}",
            f"{1 + i % 11} {things[i % 6]} in the {places[i % 5]}, number {i}.",
            metadata={"size": i * 7.0 % 1500},
        )
        for i in range(1500)
    )
    apply_changes(path, encoder, [CollectionChange(upserts=made)])
    with open_searcher(path, encoder=encoder) as opened:
        yield opened
