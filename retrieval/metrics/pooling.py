"""Pools of documents to judge, and the session in which a person judges a pool.

A pool has the documents that several systems found for a query.  It does not show which system found a document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.files import numbered_lines
from retrieval.metrics.runs import Qrels, RetrievalRun, Topic
from retrieval.types import Document

HEADER = ("query-id", "corpus-id", "query", "title", "text")
MAX_CHARACTERS = 4_000  # of a document's text in a pool
GRADES = {0: "not relevant", 1: "related", 2: "relevant", 3: "exactly what was asked"}


@dataclass(frozen=True, slots=True)
class PooledDocument:
    """A query and a document to judge, with the texts that a judge reads."""

    query_id: str
    document_id: str
    query: str
    title: str = ""
    text: str = ""


def pool_documents(
    runs: Sequence[RetrievalRun], topics: Sequence[Topic], depth: int, *, judged: Qrels | None = None, seed: int = 0
) -> dict[str, list[str]]:
    """Return query → unjudged documents of the runs' first `depth`, in random order."""
    if depth < 1:
        raise InputError(f"depth is {depth}; pool at least the first document of each run")
    rng = np.random.default_rng(seed)
    pools: dict[str, list[str]] = {}
    for topic in topics:
        known = judged.judged(topic.id) if judged else {}
        rankings = [run.rankings[topic.id] for run in runs if topic.id in run.rankings]
        found = sorted({document for ranking in rankings for document in ranking.ids[:depth] if document not in known})
        if found:
            pools[topic.id] = [found[index] for index in rng.permutation(len(found))]
    return pools


def fill_pool(
    pools: Mapping[str, Sequence[str]], topics: Sequence[Topic], texts: Mapping[str, Document]
) -> tuple[PooledDocument, ...]:
    """Return the pool with texts, by topic; an unknown document has no text."""
    pooled = [(topic, identifier) for topic in topics for identifier in pools.get(topic.id, ())]
    documents = [texts.get(identifier, Document(identifier, "")) for _, identifier in pooled]
    return tuple(
        PooledDocument(topic.id, document.id, topic.text, document.title, document.text)
        for (topic, _), document in zip(pooled, documents, strict=True)
    )


def pool_lines(pool: Sequence[PooledDocument]) -> Iterator[str]:
    """Yield a header and a tab-separated line per document, with white space joined."""
    yield "\t".join(HEADER) + "\n"
    for item in pool:
        for identifier in (item.query_id, item.document_id):
            if "\t" in identifier or "\n" in identifier:
                raise BadJudgments(f"id {identifier!r} has a tab or a line break; rename it, a table cannot have it")
        texts = _one_line(item.query), _one_line(item.title), _one_line(item.text)[:MAX_CHARACTERS]
        yield "\t".join((item.query_id, item.document_id, *texts)) + "\n"


def read_pool(path: Path) -> tuple[PooledDocument, ...]:
    """Read a pool.  Raises BadJudgments for another kind of file or a repeated pair."""
    lines = numbered_lines(path)
    _, header = next(lines)
    if tuple(header.split("\t")) != HEADER:
        raise BadJudgments(f"{path}:1: not a pool; its header is {'<TAB>'.join(HEADER)} (`attendex pool` writes one)")
    pool: dict[tuple[str, str], PooledDocument] = {}
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(HEADER):
            raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a pool has {len(HEADER)}")
        item = PooledDocument(*fields)
        key = item.query_id, item.document_id
        if key in pool:
            raise BadJudgments(
                f"{path}:{number}: document {item.document_id!r} occurs twice for query {item.query_id!r}; "
                "keep one of the two lines"
            )
        pool[key] = item
    return tuple(pool.values())


class JudgingSession:
    """The judging of a pool: grade, skip, undo.  Earlier judgments are kept."""

    def __init__(self, pool: Sequence[PooledDocument], before: Qrels | None = None) -> None:
        self._judgments = {query: dict(documents) for query, documents in (before.judgments if before else {}).items()}
        self._waiting = [
            item for item in pool if self._judgments.get(item.query_id, {}).get(item.document_id, -1) < 0
        ]  # a negative value means not judged
        self._done: list[PooledDocument] = []
        self.total = len(pool)

    @property
    def current(self) -> PooledDocument | None:
        """The document to judge now; None at the end."""
        return self._waiting[0] if self._waiting else None

    @property
    def remaining(self) -> int:
        return len(self._waiting)

    def grade(self, value: int) -> None:
        """Judge the current document.  Raises InputError for an unknown grade."""
        if value not in GRADES:
            raise InputError(f"grade {value} does not exist; grades: {', '.join(map(str, GRADES))}")
        item = self._waiting.pop(0)
        self._judgments.setdefault(item.query_id, {})[item.document_id] = value
        self._done.append(item)

    def skip(self) -> None:
        self._waiting.append(self._waiting.pop(0))

    def undo(self) -> bool:
        """Remove the last grade of this session; return False if there is none."""
        if not self._done:
            return False
        item = self._done.pop()
        documents = self._judgments[item.query_id]
        del documents[item.document_id]
        if not documents:
            del self._judgments[item.query_id]
        self._waiting.insert(0, item)
        return True

    def qrels(self) -> Qrels:
        return Qrels("judgments", {query: dict(documents) for query, documents in self._judgments.items()})


def _one_line(text: str) -> str:
    return " ".join(text.split())
