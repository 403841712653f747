"""Known-item evaluation: queries from documents, without judgments.

The title or a sentence of a drawn document becomes the query, and the document is the only relevant one.  The query is
removed from the document in a copy of the collection.  The copy links the files, so only the drawn documents are
encoded again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from indexer.building.pipeline import build_collection
from indexer.maintenance.linked_copy import linked_copy
from retrieval.errors import InputError, NotACollection
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import open_reader
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import EvaluationTask
from retrieval.types import Document
from retrieval.util.text_boundaries import BoundaryStrength, find_boundaries

SENTENCE, TITLE = "sentence", "title"
MIN_WORDS = 5  # in a sentence that becomes a query; a non-ASCII word counts half a word per character
MAX_CHARACTERS = 300
CAUTION = (
    "Known-item measures show how often the search finds a document by a part of its text. They compare settings on "
    "the same documents. They do not show how well real questions are answered: the queries share words with their "
    "documents, which favours lexical search, and other good documents count as misses."
)


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A query and its document; `document` no longer has the text of the query."""

    query: str
    document: Document


def draw_items(reader: IndexReader, count: int, part: str, seed: int) -> tuple[KnownItem, ...]:
    """Draw up to `count` live documents, and make an item of each.  Raises InputError."""
    if part not in (SENTENCE, TITLE):
        raise InputError(f"queries are made from {part!r}; choose {SENTENCE} or {TITLE}")
    if count < 1:
        raise InputError(f"{count} queries are too few; make 1 or more")
    rng = np.random.default_rng(seed)
    items: list[KnownItem] = []
    for row in rng.permutation(np.flatnonzero(reader.live_documents)).tolist():
        if len(items) == count:
            break
        item = extract_query(reader.documents([row])[0], part, rng)
        if item is not None:
            items.append(item)
    if not items:
        other = TITLE if part == SENTENCE else SENTENCE
        raise InputError(f"{reader.name}: no document has a {part} that can become a query; try --known-from {other}")
    return tuple(items)


def extract_query(document: Document, part: str, rng: np.random.Generator) -> KnownItem | None:
    """Take a query out of a document; None if there is no query or no remaining text."""
    if part == TITLE:
        title = document.title.strip()
        usable = bool(title and document.text.strip())
        return KnownItem(title, replace(document, title="", sections=(), metadata={})) if usable else None
    boundaries = find_boundaries(document.text)
    inner_starts = boundaries.offsets[boundaries.strengths >= BoundaryStrength.SENTENCE].tolist()
    starts = [0, *inner_starts, len(document.text)]
    spans = [(start, end) for start, end in pairwise(starts) if _is_usable(document.text[start:end])]
    if not spans or len(starts) < 3:
        return None
    start, end = spans[int(rng.integers(len(spans)))]
    remaining = document.text[:start] + document.text[end:]
    query = " ".join(document.text[start:end].split())
    if not remaining.strip():
        return None
    return KnownItem(query, replace(document, text=remaining, sections=(), metadata={}))


def known_item_task(items: Sequence[KnownItem]) -> EvaluationTask:
    """Return the task: each query has its document as the only relevant one."""
    topics = tuple(Topic(f"k{i}", item.query) for i, item in enumerate(items, start=1))
    judgments = {topic.id: {item.document.id: 1} for topic, item in zip(topics, items, strict=True)}
    return EvaluationTask("known items", topics, Qrels("known items", judgments))


@contextmanager
def collection_without(path: Path, items: Sequence[KnownItem]) -> Iterator[Path]:
    """Make a temporary copy of the collection with the items' shortened documents."""
    with linked_copy(path) as copy:
        changed = copy.with_name("changed.jsonl")
        with changed.open("w", encoding="utf-8") as file:
            for item in items:
                record = {"id": item.document.id, "title": item.document.title, "text": item.document.text}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        build_collection([changed], copy)
        yield copy


def known_items(path: Path, count: int, part: str, seed: int) -> tuple[KnownItem, ...]:
    """Draw items from the collection at `path`.  Raises NotACollection, InputError."""
    if not path.is_dir():
        raise NotACollection(f"{path}: no collection; known items need the directory of a collection on this machine")
    with open_reader(path) as reader:
        return draw_items(reader, count, part, seed)


def _is_usable(sentence: str) -> bool:
    words = sum(1 if word.isascii() else len(word) / 2 for word in sentence.split())
    return words >= MIN_WORDS and len(sentence) <= MAX_CHARACTERS
