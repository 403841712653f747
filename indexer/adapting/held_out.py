"""Held-out queries: those that choose between weights, and those that judge.

Training never sees either.  The development queries rank a small pool of passages many times during a run; the test
queries search the whole collection, once with the base encoder and once with the trained one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.adapting.pairs import TrainingPassage, passages_of
from indexer.evaluation.known_item import SENTENCE, TITLE, KnownItem, collection_without, draw_items, known_item_task
from indexer.maintenance.linked_copy import linked_copy
from retrieval.errors import InputError
from retrieval.index.collection.index_reader import IndexReader
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.runs import Qrels, RankedDocuments, RetrievalRun, Topic
from retrieval.metrics.tasks import EvaluationTask
from retrieval.search.searcher import Searcher
from retrieval.training.trainable import TokenIds, TrainableEncoder
from retrieval.types import Scores, SearchRequest

MEASURE = "nDCG@10"
DEVELOPMENT = (0.1, 0.2, 30)  # share of the judged queries; a greater one where that gives fewer than so many
TEST = (0.2, 0.3, 150)
KNOWN_ITEMS = (100, 300)  # development and test, where there are no judgments
POOL_DEPTH = 4  # hits of each development query in the pool
RANDOM_DOCUMENTS = 40  # others in the pool
POOL_DOCUMENTS = 300  # at most


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The parts of the judged queries; without judgments, `items` are the known items."""

    train: EvaluationTask | None
    development: EvaluationTask
    test: EvaluationTask
    items: tuple[KnownItem, ...] = ()

    @property
    def parts(self) -> tuple[EvaluationTask, EvaluationTask]:
        """The queries that choose, and those that judge."""
        return self.development, self.test

    @property
    def documents(self) -> frozenset[str]:
        """The ids of documents that give no training pair."""
        return frozenset(item.document.id for item in self.items)

    def copy_of(self, collection: Path) -> AbstractContextManager[Path]:
        """Make a temporary copy, in which known items lack the text of their query."""
        return collection_without(collection, self.items) if self.items else linked_copy(collection)


def split_task(task: EvaluationTask) -> HeldOut:
    """Divide judged queries, in the order of a digest of their text.

    Queries of equal text come into the same part.
    """
    topics: dict[bytes, list[Topic]] = {}
    for topic in task.topics:
        topics.setdefault(hashlib.sha256(topic.text.strip().lower().encode()).digest(), []).append(topic)
    ordered = [topics[digest] for digest in sorted(topics)]
    choosing, testing = (_count(len(ordered), *sizes) for sizes in (DEVELOPMENT, TEST))
    trained = len(ordered) - choosing - testing
    parts = ordered[:trained], ordered[trained : trained + choosing], ordered[trained + choosing :]
    names = ("train", "development", "test")
    train, development, test = (
        _part(task, name, [topic for same in part for topic in same]) for name, part in zip(names, parts, strict=True)
    )
    return HeldOut(train, development, test)


def _count(queries: int, share: float, greater: float, enough: int) -> int:
    return round(max(share * queries, min(enough, greater * queries)))


def draw_held_out(reader: IndexReader, seed: int) -> HeldOut:
    """Draw known items: a sentence is the query, the document without it the answer.

    Titles are the queries where no document has a second sentence; without both there are no items.  At most half of
    the documents become items, so that the others give training pairs.
    """
    items: tuple[KnownItem, ...] = ()
    count = max(1, min(sum(KNOWN_ITEMS), int(np.count_nonzero(reader.live_documents)) // 2))
    for part in (SENTENCE, TITLE):
        with suppress(InputError):
            items = items or draw_items(reader, count, part, seed)
    task = known_item_task(items)
    cut = len(task.topics) * KNOWN_ITEMS[0] // sum(KNOWN_ITEMS)
    development, test = _part(task, "development", task.topics[:cut]), _part(task, "test", task.topics[cut:])
    return HeldOut(None, development, test, items)


def _part(task: EvaluationTask, name: str, topics: Sequence[Topic]) -> EvaluationTask:
    judgments = {topic.id: task.qrels.judgments[topic.id] for topic in topics}
    return EvaluationTask(f"{task.name}/{name}", tuple(topics), Qrels(task.qrels.name, judgments))


class PassagePool:
    """A task over few passages, which an encoder in training can rank in seconds."""

    def __init__(self, task: EvaluationTask, passages: Sequence[TrainingPassage], *, bf16: bool) -> None:
        self._task = task
        self._documents = [passage.document for passage in passages]
        self._texts = [passage.text for passage in passages]
        self._bf16 = bf16
        self._ids: tuple[list[TokenIds], list[TokenIds]] | None = None

    def values(self, encoder: TrainableEncoder) -> dict[str, float]:
        """Return the measure of each query, in dense mode."""
        if self._ids is None:
            limit = encoder.folder.max_tokens
            queries = encoder.query_ids([topic.text for topic in self._task.topics], limit)
            self._ids = queries, encoder.passage_ids(self._texts, limit)
        vectors = [encoder.encode(ids, bf16=self._bf16) for ids in self._ids]
        scores = vectors[0] @ vectors[1].T
        rankings = {topic.id: self._ranked(row) for topic, row in zip(self._task.topics, scores, strict=True)}
        found = evaluate(RetrievalRun("pool", rankings), self._task.qrels, MEASURE)
        return dict(zip(found.queries, found.values[MEASURE].per_query.tolist(), strict=True))

    def measure(self, encoder: TrainableEncoder) -> float:
        """Return the mean of the measure."""
        return float(np.mean(list(self.values(encoder).values())))

    def _ranked(self, scores: Scores) -> RankedDocuments:
        best: dict[str, float] = {}
        for row in np.argsort(-scores, kind="stable"):
            best.setdefault(self._documents[row], float(scores[row]))
        return RankedDocuments(tuple(best), np.array(list(best.values())))


def development_pool(searcher: Searcher, task: EvaluationTask, seed: int, *, bf16: bool) -> PassagePool:
    """Return a task's pool: judged documents, hits of the base, and random documents."""
    reader = searcher.reader
    names: dict[str, None] = {name: None for grades in task.qrels.judgments.values() for name in grades}
    requests = [SearchRequest(topic.text, k=POOL_DEPTH, passages_per_document=1, fields=()) for topic in task.topics]
    for result in searcher.search_many(requests):
        names.update((hit.id, None) for hit in result.hits)
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(reader.live_documents))[:RANDOM_DOCUMENTS]
    names.update((name, None) for name in reader.ids(drawn))
    passages = [passage for name in list(names)[:POOL_DOCUMENTS] for passage in passages_of(reader, name)]
    return PassagePool(task, passages, bf16=bf16)
