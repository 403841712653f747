"""Evaluation tasks: queries and judgments of files, BEIR folders or ir_datasets."""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

from retrieval.errors import BadJudgments, InputError, MissingExtra
from retrieval.metrics.files import beir_qrels, numbered_lines, read_qrels
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.trec_topics import is_trec_topics, trec_topics

Lines: TypeAlias = Sequence[tuple[int, str]]  # with their numbers from 1
ReadTopics: TypeAlias = Callable[[Path, Lines], Iterator[tuple[int, Topic]]]

# Without a network, the defaults of ir_datasets (three tries of 15 s for each mirror) take more than a minute to fail.
DOWNLOAD_LIMITS = {"IR_DATASETS_DL_TRIES": "2", "IR_DATASETS_DL_TIMEOUT": "5"}


@dataclass(frozen=True, slots=True)
class TaskSource:
    """The source of a task: a folder, a dataset id, or files; "" and None mean none."""

    queries: Path | None = None
    qrels: Path | None = None
    beir: Path | None = None
    split: str = "test"
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """The judged queries and their judgments."""

    name: str
    topics: tuple[Topic, ...]  # empty if only judgments are given, which is enough for run files
    qrels: Qrels
    unjudged: int = 0  # queries without judgments, which the task leaves out
    without_text: int = 0  # judged queries that are not among the queries


def read_task(source: TaskSource) -> EvaluationTask:
    """Read the task.  Raises InputError unless exactly one source is given."""
    given = [source.beir is not None, bool(source.dataset), source.qrels is not None]
    if sum(given) != 1:
        raise InputError("give one of: --qrels FILE (with --queries FILE), --beir FOLDER, --dataset ID")
    if source.beir is not None:
        return read_beir(source.beir, source.split)
    if source.dataset:
        folder = Path(source.dataset).expanduser()
        return read_beir(folder, source.split) if _is_beir(folder) else read_dataset(source.dataset)
    assert source.qrels is not None
    qrels = read_qrels(source.qrels)
    if source.queries is None:
        return EvaluationTask(source.qrels.name, (), qrels)
    return make_task(source.qrels.name, read_topics(source.queries), qrels)


def make_task(name: str, topics: tuple[Topic, ...], qrels: Qrels) -> EvaluationTask:
    """Make a task of the judged queries.  Raises BadJudgments if no query is judged."""
    judged = tuple(topic for topic in topics if topic.id in qrels.judgments)
    if not judged:
        raise BadJudgments(
            f"{name}: none of the {len(topics)} queries is judged; queries are named like "
            f"{_first([topic.id for topic in topics])}, judgments like {_first(qrels.judgments)}"
        )
    return EvaluationTask(name, judged, qrels, len(topics) - len(judged), len(qrels.judgments) - len(judged))


def read_beir(folder: Path, split: str = "test") -> EvaluationTask:
    """Read `queries.jsonl` and `qrels/<split>.tsv` of a BEIR folder.

    Both may end in `.gz`.  Raises BadJudgments; for a missing split the message lists the splits that exist.
    """
    if not folder.is_dir():
        raise BadJudgments(f"{folder}: no such folder; check the path")
    path = _split_file(folder, split)
    qrels = beir_qrels(path, numbered_lines(path))
    return make_task(f"{folder.resolve().name}/{split}", read_topics(_existing(folder / "queries.jsonl")), qrels)


def read_topics(path: Path) -> tuple[Topic, ...]:
    """Read queries from JSON Lines (.jsonl, .json), TREC topics or a table with tabs.

    A JSON record has `_id` or `id`, `text` and further fields.  A table has id and text; a header line that starts with
    "id" or "query-id" names further columns.  Raises BadJudgments for a query without id or text, or an id used twice.
    """
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    lines = list(numbered_lines(path))  # read once, since the file may be a pipe
    read: ReadTopics = _json_topics if suffix in (".jsonl", ".json") else _tabular_topics
    if is_trec_topics(lines[0][1]) or (lines[0][1].startswith("<") and is_trec_topics(_joined(lines))):
        read = _trec_topics
    topics: dict[str, Topic] = {}
    for number, topic in read(path, lines):
        if not topic.id or not topic.text.strip():
            raise BadJudgments(f"{path}:{number}: a query without id or text; give it both")
        if topic.id in topics:
            raise BadJudgments(f"{path}:{number}: query {topic.id!r} occurs twice; keep one of the two")
        topics[topic.id] = topic
    return tuple(topics.values())


def topic_lines(topics: Iterable[Topic]) -> Iterator[str]:
    """Yield the lines of BEIR's `queries.jsonl`."""
    for topic in topics:
        yield json.dumps({"_id": topic.id, "text": topic.text}, ensure_ascii=False) + "\n"


def read_dataset(identifier: str) -> EvaluationTask:
    """Read queries and judgments of an ir_datasets id, such as `beir/scifact/test`.

    Raises InputError for a dataset that is not in the cache of ir_datasets and cannot be downloaded.
    """
    for name, value in DOWNLOAD_LIMITS.items():
        os.environ.setdefault(name, value)
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
    try:
        qrels, queries = list(dataset.qrels_iter()), list(dataset.queries_iter())
    except Exception as error:  # of requests, of archives, of files that need an agreement first
        reason = str(error).splitlines()[0] if str(error) else "no details"
        raise InputError(
            f"dataset {identifier!r} is not complete in {ir_datasets.util.home_path()} and cannot be downloaded "
            f"({type(error).__name__}: {reason}); connect to a network, or give a local copy with --beir FOLDER"
        ) from error
    judgments: dict[str, dict[str, int]] = {}
    for qrel in qrels:
        judgments.setdefault(qrel.query_id, {})[qrel.doc_id] = int(qrel.relevance)
    topics = tuple(Topic(query.query_id, _query_text(query), _fields(query)) for query in queries)
    return make_task(identifier, topics, Qrels(identifier, judgments))


def _is_beir(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("queries.jsonl", "queries.jsonl.gz"))


def _trec_topics(_path: Path, lines: Lines) -> Iterator[tuple[int, Topic]]:
    ends = list(accumulate(len(line) + 1 for _, line in lines))  # of the lines in the joined text
    for position, topic in trec_topics(_joined(lines)):
        yield lines[bisect_right(ends, position)][0], topic


def _joined(lines: Lines) -> str:
    return "\n".join(line for _, line in lines)


def _json_topics(path: Path, lines: Lines) -> Iterator[tuple[int, Topic]]:
    for number, line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadJudgments(f"{path}:{number}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise BadJudgments(f"{path}:{number}: a query is a JSON object with _id and text")
        identifier, text = record.pop("_id", record.pop("id", "")), record.pop("text", "")
        yield number, Topic(str(identifier), str(text), _attributes(record))


def _attributes(record: Mapping[str, object]) -> dict[str, str]:
    """Return the scalar fields of a record and of its `metadata` object, for slices."""
    nested = record.get("metadata")
    flat = {**record, **(nested if isinstance(nested, dict) else {})}
    return {name: str(value) for name, value in flat.items() if isinstance(value, str | int | float | bool)}


def _tabular_topics(path: Path, lines: Lines) -> Iterator[tuple[int, Topic]]:
    names: list[str] = []
    for number, line in lines:
        fields = line.split("\t")
        if number == 1 and fields[0].strip().lower() in ("id", "_id", "qid", "query-id", "query_id"):
            names = [name.strip() for name in fields[2:]]
            continue
        if len(fields) < 2:
            raise BadJudgments(f"{path}:{number}: a query line is id<TAB>text, or JSON in a .jsonl file")
        yield number, Topic(fields[0].strip(), fields[1].strip(), dict(zip(names, fields[2:], strict=False)))


def _split_file(folder: Path, split: str) -> Path:
    path = folder / "qrels" / f"{split}.tsv"
    try:
        return _existing(path)
    except BadJudgments:
        splits = sorted({file.name.split(".tsv")[0] for file in folder.glob("qrels/*.tsv*")})
        known = f"splits there: {', '.join(splits)}" if splits else "the folder has no qrels/*.tsv"
        raise BadJudgments(f"{path}: no such file; {known}") from None


def _existing(path: Path) -> Path:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise BadJudgments(f"{path}: no such file; check the path")


def _query_text(query: Any) -> str:
    """Return the text to search for; TREC topics have a title instead of a text."""
    for name in ("text", "title", "query"):
        if getattr(query, name, ""):
            return str(getattr(query, name))
    raise InputError(f"query {query.query_id!r} has no text; choose another dataset")


def _fields(query: Any) -> dict[str, str]:
    return {name: str(getattr(query, name)) for name in query._fields if name not in ("query_id", "text")}


def _first(ids: Iterable[str]) -> str:
    return repr(next(iter(ids), ""))
