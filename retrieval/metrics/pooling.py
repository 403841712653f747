"""Pools: documents that several systems found for a query, for a person to judge who cannot see which found them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.line_files import numbered_lines
from retrieval.metrics.runs import Qrels, RetrievalRun, Topic

HEADER = ("query-id", "corpus-id", "query", "title", "text")
MAX_CHARACTERS = 4_000  # of a document's text in a pool


@dataclass(frozen=True, slots=True)
class PooledDocument:
    """A query and a document to judge, with what a person needs to see."""

    query_id: str
    document_id: str
    query: str
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class DocumentText:
    """What is shown of a document."""

    title: str
    text: str


def pool_documents(
    runs: Sequence[RetrievalRun], topics: Sequence[Topic], depth: int, *, judged: Qrels | None = None, seed: int = 0
) -> dict[str, list[str]]:
    """Query → documents among the first `depth` of any run, without those already judged, in random order."""
    if depth < 1:
        raise InputError(f"depth is {depth}; pool at least the first document of each run")
    rng = np.random.default_rng(seed)
    pools: dict[str, list[str]] = {}
    for topic in topics:
        known = judged.judgments.get(topic.id, {}) if judged else {}
        rankings = [run.rankings[topic.id] for run in runs if topic.id in run.rankings]
        found = sorted({document for ranking in rankings for document in ranking.ids[:depth] if document not in known})
        if found:
            pools[topic.id] = [found[place] for place in rng.permutation(len(found))]
    return pools


def fill_pool(
    pools: Mapping[str, Sequence[str]], topics: Sequence[Topic], shown: Mapping[str, DocumentText]
) -> tuple[PooledDocument, ...]:
    """The pool with texts, in the order of the topics; a document that is not in `shown` has none."""
    nothing = DocumentText("", "")
    return tuple(
        PooledDocument(
            topic.id, document, topic.text, shown.get(document, nothing).title, shown.get(document, nothing).text
        )
        for topic in topics
        for document in pools.get(topic.id, ())
    )


def pool_lines(pool: Sequence[PooledDocument]) -> Iterator[str]:
    """A table with a header; white space within a field becomes single spaces, and long texts are cut."""
    yield "\t".join(HEADER) + "\n"
    for each in pool:
        for identifier in (each.query_id, each.document_id):
            if "\t" in identifier or "\n" in identifier:
                raise BadJudgments(f"id {identifier!r} cannot stand in a table: it has a tab or a line break")
        fields = (
            each.query_id,
            each.document_id,
            _flat(each.query),
            _flat(each.title),
            _flat(each.text)[:MAX_CHARACTERS],
        )
        yield "\t".join(fields) + "\n"


def read_pool(path: Path) -> tuple[PooledDocument, ...]:
    """The pool of a file.  BadJudgments for another kind of file, or for a pair that stands there twice."""
    lines = numbered_lines(path)
    _, header = next(lines)
    if tuple(header.split("\t")) != HEADER:
        raise BadJudgments(f"{path}:1: not a pool; its header is {'<TAB>'.join(HEADER)} (`attendex pool` writes one)")
    pool: dict[tuple[str, str], PooledDocument] = {}
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(HEADER):
            raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a pool has {len(HEADER)}")
        each = PooledDocument(*fields)
        if (each.query_id, each.document_id) in pool:
            raise BadJudgments(
                f"{path}:{number}: document {each.document_id!r} stands twice for query {each.query_id!r}"
            )
        pool[each.query_id, each.document_id] = each
    return tuple(pool.values())


def _flat(text: str) -> str:
    return " ".join(text.split())


GRADES = {0: "not relevant", 1: "related", 2: "relevant", 3: "exactly what was asked"}


class JudgingSession:
    """Where a person stands in a pool.  What was judged before, also of other pools, is kept."""

    def __init__(self, pool: Sequence[PooledDocument], before: Qrels | None = None) -> None:
        self._judgments = {query: dict(documents) for query, documents in (before.judgments if before else {}).items()}
        self._waiting = [each for each in pool if not self._is_judged(each)]
        self._done: list[PooledDocument] = []
        self.total = len(pool)

    @property
    def current(self) -> PooledDocument | None:
        """What is to be judged now; None at the end."""
        return self._waiting[0] if self._waiting else None

    @property
    def remaining(self) -> int:
        """How many of the pool are not judged."""
        return len(self._waiting)

    def grade(self, value: int) -> None:
        """Judge the current document."""
        if value not in GRADES:
            raise InputError(f"grade {value} does not exist; grades: {', '.join(map(str, GRADES))}")
        each = self._waiting.pop(0)
        self._judgments.setdefault(each.query_id, {})[each.document_id] = value
        self._done.append(each)

    def skip(self) -> None:
        """Leave the current document for the end."""
        self._waiting.append(self._waiting.pop(0))

    def undo(self) -> bool:
        """Take back the last grade of this sitting; False when there is none."""
        if not self._done:
            return False
        each = self._done.pop()
        documents = self._judgments[each.query_id]
        del documents[each.document_id]
        if not documents:
            del self._judgments[each.query_id]
        self._waiting.insert(0, each)
        return True

    def qrels(self) -> Qrels:
        """All judgments so far."""
        return Qrels("judgments", {query: dict(documents) for query, documents in self._judgments.items()})

    def _is_judged(self, each: PooledDocument) -> bool:
        return each.document_id in self._judgments.get(each.query_id, {})
