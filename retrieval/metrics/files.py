"""The door for runs and judgments: which form a file has, decided by its name and its first line.

.json, .json.gz          query → document → number (ranx, BEIR)
.tsv with three columns  BEIR qrels
anything else            TREC
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from retrieval.errors import BadJudgments
from retrieval.metrics.line_files import NumberedLines, numbered_lines, read_text, write_text
from retrieval.metrics.runs import (
    Qrels,
    RetrievalRun,
    SubtopicJudgment,
    make_run,
    ranking_by_score,
    strictly_decreasing,
)


def read_run(path: Path) -> RetrievalRun:
    """A run from a TREC or JSON file.  BadJudgments names the file, the line and what is wrong."""
    if _is_json(path):
        table = _read_table(path)
        _refuse_judgments(path, table)
        return make_run(path.name.split(".")[0], table)
    lines = numbered_lines(path)  # read once: the file may be a pipe
    number, first = next(lines)
    if "\t" in first and len(first.split("\t")) == BEIR_COLUMNS:
        raise BadJudgments(f"{path}:1: {BEIR_COLUMNS} columns, as BEIR judgments (qrels) have; a run line has 6 fields")
    return trec_run(path, chain([(number, first)], lines))


def read_qrels(path: Path) -> Qrels:
    """Judgments from a TREC, BEIR or JSON file.  BadJudgments names the file, the line and what is wrong."""
    if _is_json(path):
        table = _read_table(path)
        for query, documents in table.items():
            for document, value in documents.items():
                if not _whole(value):
                    where = f"{path}: query {query!r}, document {document!r}"
                    raise BadJudgments(f"{where}: relevance {value!r} is no whole number; is this a run?")
        return Qrels(path.name, {query: {doc: int(value) for doc, value in d.items()} for query, d in table.items()})
    lines = numbered_lines(path)
    number, first = next(lines)
    read = beir_qrels if len(first.split("\t")) == BEIR_COLUMNS else trec_qrels
    return read(path, chain([(number, first)], lines))


def write_run(run: RetrievalRun, path: Path) -> None:
    """Write a run in the form that its name asks for; a reader finds the same order."""
    if _is_json(path):
        write_text(path, [json.dumps(_run_table(run), ensure_ascii=False)])
    else:
        write_text(path, trec_run_lines(run))


def write_qrels(qrels: Qrels, path: Path) -> None:
    """Write judgments: .json as JSON, .tsv as BEIR, anything else as TREC."""
    lines: Iterable[str]
    if _is_json(path):
        lines = [
            json.dumps({query: dict(documents) for query, documents in qrels.judgments.items()}, ensure_ascii=False)
        ]
    else:
        lines = beir_qrels_lines(qrels) if ".tsv" in path.suffixes else trec_qrels_lines(qrels)
    write_text(path, lines)


def _run_table(run: RetrievalRun) -> dict[str, dict[str, float]]:
    return {
        query: dict(zip(ranking.ids, strictly_decreasing(ranking.scores).tolist(), strict=True))
        for query, ranking in run.rankings.items()
    }


def _is_json(path: Path) -> bool:
    return path.name.endswith((".json", ".json.gz"))


def _read_table(path: Path) -> Mapping[str, Mapping[str, float]]:
    """query → document → number.  JSON's NaN and Infinity are read, so that they are refused with their place."""
    try:
        table = json.loads(read_text(path), object_pairs_hook=_distinct)
    except (json.JSONDecodeError, _Repeated) as error:
        raise BadJudgments(f"{path}: not usable JSON ({error})") from error
    if not isinstance(table, dict) or not table or not all(isinstance(each, dict) for each in table.values()):
        raise BadJudgments(f"{path}: expected one JSON object: query → document → number")
    for query, documents in table.items():
        for document, value in documents.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadJudgments(f"{path}: query {query!r}, document {document!r}: {value!r} is no number")
    return table


class _Repeated(ValueError):
    """A key that stands twice in one JSON object."""


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    distinct = dict(pairs)
    if len(distinct) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Repeated(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return distinct


def _whole(value: float) -> bool:
    return float(value).is_integer()


def _refuse_judgments(path: Path, table: Mapping[str, Mapping[str, float]]) -> None:
    """Small numbers written without a point are grades; scores are written with one."""
    values = [value for documents in table.values() for value in documents.values()]
    if values and all(isinstance(value, int) and 0 <= value <= 4 for value in values):
        raise BadJudgments(f"{path}: every value is a grade from 0 to 4, as in judgments (qrels); write scores as 1.0")


RUN_FIELDS = 6
QRELS_FIELDS = 4
_NUMBER_BEGINS = re.compile(r"[+-]?\.?\d")


def trec_run(path: Path, lines: NumberedLines) -> RetrievalRun:
    """The run of a file's lines; a first line whose score does not begin like a number is taken for a header."""
    collected: dict[str, tuple[list[str], list[float]]] = {}
    name = ""
    for number, line in lines:
        fields = line.split()
        _require_run(path, number, fields)
        try:
            score = float(fields[4])
        except ValueError:
            if _is_header(number, fields[4]):
                continue
            raise BadJudgments(f"{path}:{number}: {fields[4]!r}, the fifth field, is no score") from None
        ids, scores = collected.setdefault(fields[0], ([], []))
        ids.append(fields[2])
        scores.append(score)
        name = fields[5]
    if not collected:
        raise BadJudgments(f"{path}: a header and no lines")
    rankings = {
        query: ranking_by_score(ids, scores, where=f"{path}: query {query!r}")
        for query, (ids, scores) in collected.items()
    }
    return RetrievalRun(name, rankings)


def trec_qrels(path: Path, lines: NumberedLines) -> Qrels:
    """The judgments of a file's lines; a first line whose relevance does not begin like a number is taken for a
    header."""
    judged = QrelsBuilder(path)
    for number, line in lines:
        fields = line.split()
        if len(fields) != QRELS_FIELDS:
            hint = "; this looks like a run" if len(fields) >= RUN_FIELDS else ""
            raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a qrels line has {QRELS_FIELDS}{hint}")
        judged.add(number, fields[0], fields[2], fields[3], fields[1])
    return judged.qrels()


def trec_run_lines(run: RetrievalRun) -> Iterator[str]:
    """Lines whose scores strictly decrease as 32-bit floats, so that no reader can re-order ties."""
    tag = run.name or "attendex"
    for query, ranking in run.rankings.items():
        for rank, (document, score) in enumerate(
            zip(ranking.ids, strictly_decreasing(ranking.scores).tolist(), strict=True), start=1
        ):
            yield f"{_trec_id(query)} Q0 {_trec_id(document)} {rank} {score!r} {_trec_id(tag)}\n"


def trec_qrels_lines(qrels: Qrels) -> Iterator[str]:
    """One line a judgment; aspects are written where there are any."""
    if qrels.subtopics:
        for each in qrels.subtopics:
            yield f"{_trec_id(each.query)} {_trec_id(each.aspect)} {_trec_id(each.document)} {each.relevance}\n"
        return
    for query, documents in qrels.judgments.items():
        for document, relevance in documents.items():
            yield f"{_trec_id(query)} 0 {_trec_id(document)} {relevance}\n"


class QrelsBuilder:
    """Judgments as they are read, line by line, from a file of any form."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aspects: dict[tuple[str, str, str], int] = {}
        self._repeated = 0

    def add(self, number: int, query: str, document: str, relevance: str, aspect: str = "0") -> None:
        """Take one line.  BadJudgments for a relevance that is no whole number or contradicts an earlier line."""
        try:
            value = _parse_grade(relevance)
        except ValueError:
            if _is_header(number, relevance):
                return
            raise BadJudgments(f"{self._path}:{number}: relevance {relevance!r} is no whole number") from None
        key = (query, document, aspect)
        if key in self._aspects:
            self._again(number, key, value)
        self._aspects[key] = value

    def _again(self, number: int, key: tuple[str, str, str], value: int) -> None:
        if self._aspects[key] != value:
            query, document, _ = key
            raise BadJudgments(
                f"{self._path}:{number}: document {document!r} of query {query!r} is judged {value} here and "
                f"{self._aspects[key]} before; keep one of the two"
            )
        self._repeated += 1

    def qrels(self) -> Qrels:
        """What was read."""
        if not self._aspects:
            raise BadJudgments(f"{self._path}: a header and no lines")
        judgments: dict[str, dict[str, int]] = {}
        for (query, document, _), value in self._aspects.items():
            documents = judgments.setdefault(query, {})
            documents[document] = max(value, documents.get(document, value))
        subtopics = tuple(
            SubtopicJudgment(query, doc, aspect, value) for (query, doc, aspect), value in self._aspects.items()
        )
        diverse = len({each.aspect for each in subtopics}) > 1
        return Qrels(self._path.name, judgments, subtopics if diverse else (), self._repeated)


def _require_run(path: Path, number: int, fields: list[str]) -> None:
    if len(fields) == QRELS_FIELDS:
        raise BadJudgments(
            f"{path}:{number}: {QRELS_FIELDS} fields, as judgments (qrels) have; a run line has {RUN_FIELDS}"
        )
    if len(fields) != RUN_FIELDS:
        hint = "; has an id a space?" if len(fields) > RUN_FIELDS else ""
        raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a run line has {RUN_FIELDS}{hint}")


def _is_header(number: int, value: str) -> bool:
    """Whether a line, by its number and by what stands where a value should, names the fields; what begins like a
    number is a value gone wrong."""
    return number == 1 and _NUMBER_BEGINS.match(value) is None


def _parse_grade(text: str) -> int:
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def _trec_id(identifier: str) -> str:
    """The id itself; BadJudgments where it would break the format."""
    if not identifier or len(identifier.split()) != 1 or identifier != identifier.strip():
        raise BadJudgments(f"id {identifier!r} cannot stand in a TREC file (empty, or has spaces); write a .json file")
    return identifier


BEIR_HEADER = "query-id\tcorpus-id\tscore\n"
BEIR_COLUMNS = 3


def beir_qrels(path: Path, lines: NumberedLines) -> Qrels:
    """Judgments of a tab-separated file's lines, with or without its header."""
    judged = QrelsBuilder(path)
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != BEIR_COLUMNS:
            raise BadJudgments(
                f"{path}:{number}: {len(fields)} tab-separated fields where BEIR qrels have {BEIR_COLUMNS}"
            )
        judged.add(number, fields[0].strip(), fields[1].strip(), fields[2].strip())
    return judged.qrels()


def beir_qrels_lines(qrels: Qrels) -> Iterator[str]:
    """The header and one line a judgment."""
    yield BEIR_HEADER
    for query, documents in qrels.judgments.items():
        for document, relevance in documents.items():
            yield f"{_cell(query)}\t{_cell(document)}\t{relevance}\n"


def _cell(identifier: str) -> str:
    if not identifier or "\t" in identifier or "\n" in identifier or identifier != identifier.strip():
        raise BadJudgments(f"id {identifier!r} cannot stand in a tab-separated file; write a .json file")
    return identifier
