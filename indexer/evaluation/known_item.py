"""Queries out of the documents themselves, for collections that nobody has judged.

A document is drawn, a part of it (its title, or a sentence of its text) becomes the query and is taken out of the
document, and the document is what should be found.  Taking out happens in a copy beside the collection: its files
are linked, not copied, so that only the drawn documents are encoded again.
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
from indexer.building.text_boundaries import BoundaryStrength, find_boundaries
from indexer.maintenance.linked_copy import linked_copy
from retrieval.errors import InputError, NotACollection
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import EvaluationTask
from retrieval.types import Document

SENTENCE, TITLE = "sentence", "title"
LEAST_WORDS = 5  # of a sentence that can be a query; a word without spaces counts by its characters
MOST_CHARACTERS = 300
CAUTION = (
    "Known-item figures say how often a text is found again from a part of it. They compare settings on the same "
    "documents; they do not say how well real questions are answered: such queries share words with their document, "
    "which favours search by words, and other documents that answer as well count as misses."
)


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A query and the document it was taken out of; `rest` is the document without it."""

    query: str
    rest: Document


def draw_items(reader: IndexReader, count: int, part: str, seed: int) -> tuple[KnownItem, ...]:
    """Items from `count` live documents drawn without replacement, or from all that are fit, if fewer are.

    Raises InputError when `part` is unknown or no document is fit.
    """
    if part not in (SENTENCE, TITLE):
        raise InputError(f"queries are made from {part!r}; choose {SENTENCE} or {TITLE}")
    if count < 1:
        raise InputError(f"{count} queries were asked for; ask for 1 or more")
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
        raise InputError(f"{reader.name}: no document has a {part} that can be taken out; try --known-from {other}")
    return tuple(items)


def extract_query(document: Document, part: str, rng: np.random.Generator) -> KnownItem | None:
    """The document's query and what is left of it; None where it has none, or nothing would be left."""
    if part == TITLE:
        title = document.title.strip()
        fit = bool(title and document.text.strip())
        return KnownItem(title, replace(document, title="", sections=(), metadata={})) if fit else None
    starts = [0, *sentence_starts(document.text), len(document.text)]
    spans = [(start, end) for start, end in pairwise(starts) if _fit(document.text[start:end])]
    if not spans or len(starts) < 3:
        return None
    start, end = spans[int(rng.integers(len(spans)))]
    left = document.text[:start] + document.text[end:]
    query = " ".join(document.text[start:end].split())
    return KnownItem(query, replace(document, text=left, sections=(), metadata={})) if left.strip() else None


def sentence_starts(text: str) -> list[int]:
    """Where sentences begin, the first aside."""
    found = find_boundaries(text)
    return [int(offset) for offset in found.offsets[found.strengths >= BoundaryStrength.SENTENCE]]


def known_item_task(items: Sequence[KnownItem]) -> EvaluationTask:
    """Each item's query, judged by its one document."""
    topics = tuple(Topic(f"k{i}", item.query) for i, item in enumerate(items, start=1))
    judgments = {topic.id: {item.rest.id: 1} for topic, item in zip(topics, items, strict=True)}
    return EvaluationTask("known items", topics, Qrels("known items", judgments))


@contextmanager
def collection_without(path: Path, items: Sequence[KnownItem]) -> Iterator[Path]:
    """A copy of the collection in which the items' documents lack their queries; gone afterwards."""
    with linked_copy(path) as copy:
        changed = copy.with_name("changed.jsonl")
        with changed.open("w", encoding="utf-8") as file:
            for item in items:
                record = {"id": item.rest.id, "title": item.rest.title, "text": item.rest.text}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        build_collection([changed], copy)
        yield copy


def known_items(path: Path, count: int, part: str, seed: int) -> tuple[KnownItem, ...]:
    """Items drawn from the collection at `path`."""
    if not path.is_dir():
        raise NotACollection(f"{path}: known items are drawn from a collection on this machine")
    with open_index_reader(path) as reader:
        return draw_items(reader, count, part, seed)


def _fit(sentence: str) -> bool:
    words = sum(1 if word.isascii() else len(word) / 2 for word in sentence.split())
    return words >= LEAST_WORDS and len(sentence) <= MOST_CHARACTERS
