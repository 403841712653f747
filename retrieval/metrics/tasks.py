"""What an evaluation asks and what it is judged by: queries and judgments from files, a BEIR folder or ir_datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.errors import BadJudgments, InputError, MissingExtra
from retrieval.metrics.files import beir_qrels, read_qrels
from retrieval.metrics.line_files import numbered_lines
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
class EvaluationTask:
    """Queries to ask (those that are judged) and their judgments.

    `topics` is empty where only judgments were given, which is enough for run files.  `unjudged` counts queries that
    have no judgments, `without_text` judged queries that are not among the queries; both are left aside.
    """

    name: str
    topics: tuple[Topic, ...]
    qrels: Qrels
    unjudged: int = 0
    without_text: int = 0


def read_task(source: TaskSource) -> EvaluationTask:
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
        return EvaluationTask(source.qrels.name, (), qrels)
    return make_task(source.qrels.name, read_topics(source.queries), qrels)


def make_task(name: str, topics: tuple[Topic, ...], qrels: Qrels, unjudged: int = 0) -> EvaluationTask:
    """Keep the queries that are judged; BadJudgments when none is."""
    asked = tuple(topic for topic in topics if topic.id in qrels.judgments)
    if not asked:
        raise BadJudgments(
            f"{name}: none of the {len(topics)} queries is judged; queries are named like "
            f"{_first(topic.id for topic in topics)}, judgments like {_first(iter(qrels.judgments))}"
        )
    return EvaluationTask(name, asked, qrels, unjudged + len(topics) - len(asked), len(qrels.judgments) - len(asked))


def read_dataset(identifier: str) -> EvaluationTask:
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


@dataclass(frozen=True, slots=True)
class BeirFolder:
    """Queries that have judgments in a split, and the judgments.  `unjudged` counts the queries left aside."""

    topics: tuple[Topic, ...]
    qrels: Qrels
    unjudged: int


def read_beir(folder: Path, split: str = "test") -> BeirFolder:
    """`queries.jsonl` and `qrels/<split>.tsv` of a folder, `.gz` too; a missing split is told with those there."""
    if not folder.is_dir():
        raise BadJudgments(f"{folder}: no such folder")
    path = _split_file(folder, split)
    qrels = beir_qrels(path, numbered_lines(path))
    topics = read_topics(_existing(folder / "queries.jsonl"))
    asked = tuple(topic for topic in topics if topic.id in qrels.judgments)
    return BeirFolder(asked, qrels, len(topics) - len(asked))


def read_topics(path: Path) -> tuple[Topic, ...]:
    """Queries of a `.jsonl` (`_id` or `id`, `text`, further fields) or of a tab-separated file (id, text; a header
    line that starts with "id" or "query-id" names further columns)."""
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    read = _json_topics if kind in (".jsonl", ".json") else _tabular_topics
    topics: dict[str, Topic] = {}
    for number, topic in read(path):
        if not topic.id or not topic.text.strip():
            raise BadJudgments(f"{path}:{number}: a query without id or text")
        if topic.id in topics:
            raise BadJudgments(f"{path}:{number}: query {topic.id!r} stands there twice")
        topics[topic.id] = topic
    return tuple(topics.values())


def _json_topics(path: Path) -> Iterator[tuple[int, Topic]]:
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadJudgments(f"{path}:{number}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise BadJudgments(f"{path}:{number}: a query is a JSON object with _id and text")
        identifier, text = record.pop("_id", record.pop("id", "")), record.pop("text", "")
        yield number, Topic(str(identifier), str(text), _attributes(record))


def _attributes(record: Mapping[str, object]) -> dict[str, str]:
    """Fields by which results can be sliced; those of a nested `metadata` object stand beside the others."""
    nested = record.get("metadata")
    flat = {**record, **(nested if isinstance(nested, dict) else {})}
    return {name: str(value) for name, value in flat.items() if isinstance(value, str | int | float | bool)}


def _tabular_topics(path: Path) -> Iterator[tuple[int, Topic]]:
    names: list[str] = []
    for number, line in numbered_lines(path):
        fields = line.split("\t")
        if number == 1 and fields[0].strip().lower() in ("id", "_id", "qid", "query-id", "query_id"):
            names = [each.strip() for each in fields[2:]]
            continue
        if len(fields) < 2:
            raise BadJudgments(f"{path}:{number}: a query line is id<TAB>text, or JSON in a .jsonl file")
        yield number, Topic(fields[0].strip(), fields[1].strip(), dict(zip(names, fields[2:], strict=False)))


def _split_file(folder: Path, split: str) -> Path:
    path = folder / "qrels" / f"{split}.tsv"
    try:
        return _existing(path)
    except BadJudgments:
        there = sorted({each.name.split(".tsv")[0] for each in folder.glob("qrels/*.tsv*")})
        known = f"splits there: {', '.join(there)}" if there else "the folder has no qrels/*.tsv"
        raise BadJudgments(f"{path}: no such file; {known}") from None


def _existing(path: Path) -> Path:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise BadJudgments(f"{path}: no such file")
