"""A small collection with fields, titles and several passages a document, searched with the real encoder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from indexer.building.document_changes import CollectionChange, apply_changes, create_collection
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document

SUBJECTS = {
    "roses": "Roses are thorny shrubs. Their flowers smell sweet. Gardeners prune them in late winter. ",
    "oaks": "Oaks are large trees. They bear acorns, which squirrels bury. Their wood makes good barrels. ",
    "python": "Python is a language. Lists hold items in order. Call str.rstrip to strip blanks. ",
    "bread": "Bread is baked from flour, water and yeast. The dough rests before baking. Crust forms in heat. ",
    "comets": "Comets are bodies of ice and dust. Near the sun they grow a tail. Halley returns every 76 years. ",
}


def documents() -> list[Document]:
    """Forty documents: each subject eight times, the texts varied, some without some fields."""
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
    """The collection, after a few documents were replaced and deleted."""
    path = tmp_path_factory.mktemp("library") / "library"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    stale = [Document(f"d{i:02}", "Roses and bread that nobody should find.") for i in (3, 8)]
    apply_changes(path, encoder, [CollectionChange(upserts=(*stale, Document("gone", "Roses that were deleted")))])
    apply_changes(path, encoder, [CollectionChange(upserts=tuple(documents()), deletes=("gone",))])
    with open_searcher(path, encoder=encoder) as opened:
        yield opened


@pytest.fixture(scope="package")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """1,500 documents of one sentence, most of them unlike the others: more than the lists whose ranks are fused."""
    path = tmp_path_factory.mktemp("many") / "many"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    places, things = ("field", "barn", "attic", "yard", "lane"), ("rose", "oak", "loaf", "comet", "snake", "barrel")
    made = tuple(
        Document(f"n{i:04}", f"{1 + i % 11} {things[i % 6]} in the {places[i % 5]}, number {i}.") for i in range(1500)
    )
    apply_changes(path, encoder, [CollectionChange(upserts=made)])
    with open_searcher(path, encoder=encoder) as opened:
        yield opened
