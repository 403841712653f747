"""Pools: documents that several systems found for a query, for a person to judge who cannot see which found them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.line_files import numbered_lines
from retrieval.metrics.runs import Qrels, Run, Topic

HEADER = ("query-id", "corpus-id", "query", "title", "text")
MOST_CHARACTERS = 4_000  # of a document's text in a pool


@dataclass(frozen=True, slots=True)
class Pooled:
    """A query and a document to judge, with what a person needs to see."""

    query_id: str
    document_id: str
    query: str
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a document."""

    title: str
    text: str


def pool_documents(
    runs: Sequence[Run], topics: Sequence[Topic], depth: int, *, judged: Qrels | None = None, seed: int = 0
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
    pools: Mapping[str, Sequence[str]], topics: Sequence[Topic], shown: Mapping[str, Shown]
) -> tuple[Pooled, ...]:
    """The pool with texts, in the order of the topics; a document that is not in `shown` has none."""
    nothing = Shown("", "")
    return tuple(
        Pooled(topic.id, document, topic.text, shown.get(document, nothing).title, shown.get(document, nothing).text)
        for topic in topics
        for document in pools.get(topic.id, ())
    )


def pool_lines(pool: Sequence[Pooled]) -> Iterator[str]:
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
            _flat(each.text)[:MOST_CHARACTERS],
        )
        yield "\t".join(fields) + "\n"


def read_pool(path: Path) -> tuple[Pooled, ...]:
    """The pool of a file.  BadJudgments for another kind of file, or for a pair that stands there twice."""
    lines = numbered_lines(path)
    _, header = next(lines)
    if tuple(header.split("\t")) != HEADER:
        raise BadJudgments(f"{path}:1: not a pool; its header is {'<TAB>'.join(HEADER)} (`attendex pool` writes one)")
    pool: dict[tuple[str, str], Pooled] = {}
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(HEADER):
            raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a pool has {len(HEADER)}")
        each = Pooled(*fields)
        if (each.query_id, each.document_id) in pool:
            raise BadJudgments(
                f"{path}:{number}: document {each.document_id!r} stands twice for query {each.query_id!r}"
            )
        pool[each.query_id, each.document_id] = each
    return tuple(pool.values())


def _flat(text: str) -> str:
    return " ".join(text.split())
