"""What an evaluation asks and what it is judged by: queries and judgments from files, a BEIR folder or ir_datasets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import BadJudgments, InputError, MissingExtra
from retrieval.metrics.beir import read_beir, read_topics
from retrieval.metrics.files import read_qrels
from retrieval.metrics.runs import Qrels, Topic


@dataclass(frozen=True, slots=True)
class TaskSource:
    """Where a task comes from; give a folder, a dataset id, or files.  "" and None mean "not given"."""

    queries: Path | None = None
    qrels: Path | None = None
    beir: Path | None = None
    split: str = "test"
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """Queries to ask (those that are judged) and their judgments.

    `topics` is empty where only judgments were given, which is enough for run files.  `unjudged` counts queries that
    have no judgments, `unasked` judged queries that are not among the queries; both are left aside.
    """

    name: str
    topics: tuple[Topic, ...]
    qrels: Qrels
    unjudged: int = 0
    unasked: int = 0


def read_task(source: TaskSource) -> Task:
    """The task, from the one source that is given.  Raises InputError when it is none or several."""
    given = [source.beir is not None, bool(source.dataset), source.qrels is not None]
    if sum(given) != 1:
        raise InputError("give one of: --qrels FILE (with --queries FILE), --beir FOLDER, --dataset ID")
    if source.beir is not None:
        folder = read_beir(source.beir, source.split)
        return make_task(f"{source.beir.resolve().name}/{source.split}", folder.topics, folder.qrels, folder.unjudged)
    if source.dataset:
        return read_dataset(source.dataset)
    assert source.qrels is not None
    qrels = read_qrels(source.qrels)
    if source.queries is None:
        return Task(source.qrels.name, (), qrels)
    return make_task(source.qrels.name, read_topics(source.queries), qrels)


def make_task(name: str, topics: tuple[Topic, ...], qrels: Qrels, unjudged: int = 0) -> Task:
    """Keep the queries that are judged; BadJudgments when none is."""
    asked = tuple(topic for topic in topics if topic.id in qrels.judgments)
    if not asked:
        raise BadJudgments(
            f"{name}: none of the {len(topics)} queries is judged; queries are named like "
            f"{_first(topic.id for topic in topics)}, judgments like {_first(iter(qrels.judgments))}"
        )
    return Task(name, asked, qrels, unjudged + len(topics) - len(asked), len(qrels.judgments) - len(asked))


def read_dataset(identifier: str) -> Task:
    """Queries and judgments of an ir_datasets id, such as `beir/scifact/test`."""
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingExtra("ir-datasets", f"the dataset {identifier!r}") from error
    try:
        dataset: Any = ir_datasets.load(identifier)
    except KeyError as error:
        raise InputError(f"ir_datasets knows no dataset {identifier!r}; see `ir_datasets list`") from error
    if not (dataset.has_queries() and dataset.has_qrels()):
        raise InputError(
            f"dataset {identifier!r} has no queries with judgments; name a split, such as {identifier}/test"
        )
    judgments: dict[str, dict[str, int]] = {}
    for each in dataset.qrels_iter():
        judgments.setdefault(each.query_id, {})[each.doc_id] = int(each.relevance)
    topics = tuple(Topic(each.query_id, _query_text(each), _fields(each)) for each in dataset.queries_iter())
    return make_task(identifier, topics, Qrels(identifier, judgments))


def _query_text(query: Any) -> str:
    """The text to search: TREC topics have a title and a description instead of a text."""
    for name in ("text", "title", "query"):
        if getattr(query, name, ""):
            return str(getattr(query, name))
    raise InputError(f"query {query.query_id!r} has no text")


def _fields(query: Any) -> dict[str, str]:
    return {name: str(getattr(query, name)) for name in query._fields if name not in ("query_id", "text")}


def _first(ids: Iterator[str]) -> str:
    return repr(next(ids, ""))
