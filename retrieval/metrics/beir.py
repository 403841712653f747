"""BEIR's files: queries (JSON Lines), qrels (tab-separated, with a header), and the folder that holds both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import BadJudgments
from retrieval.metrics.line_files import NumberedLines, numbered_lines
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.trec import Judged

HEADER = "query-id\tcorpus-id\tscore\n"
COLUMNS = 3


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


def beir_qrels(path: Path, lines: NumberedLines) -> Qrels:
    """Judgments of a tab-separated file's lines, with or without its header."""
    judged = Judged(path)
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != COLUMNS:
            raise BadJudgments(f"{path}:{number}: {len(fields)} tab-separated fields where BEIR qrels have {COLUMNS}")
        judged.add(number, fields[0].strip(), fields[1].strip(), fields[2].strip())
    return judged.qrels()


def beir_qrels_lines(qrels: Qrels) -> Iterator[str]:
    """The header and one line a judgment."""
    yield HEADER
    for query, documents in qrels.judgments.items():
        for document, relevance in documents.items():
            yield f"{_cell(query)}\t{_cell(document)}\t{relevance}\n"


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


def _cell(identifier: str) -> str:
    if not identifier or "\t" in identifier or "\n" in identifier or identifier != identifier.strip():
        raise BadJudgments(f"id {identifier!r} cannot stand in a tab-separated file; write a .json file")
    return identifier
