"""TREC run and qrels files: white-space separated lines, read by column, written so that order survives a reader.

run    qid  iter  docno  rank  sim  run_id     the rank is ignored, as trec_eval ignores it
qrels  qid  iter  docno  rel
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import BadJudgments
from retrieval.metrics.line_files import NumberedLines
from retrieval.metrics.runs import Qrels, Run, Subtopic, by_score, strictly_decreasing

RUN_FIELDS = 6
QRELS_FIELDS = 4
_NUMBER_BEGINS = re.compile(r"[+-]?\.?\d")


def trec_run(path: Path, lines: NumberedLines) -> Run:
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
        query: by_score(ids, scores, where=f"{path}: query {query!r}") for query, (ids, scores) in collected.items()
    }
    return Run(name, rankings)


def trec_qrels(path: Path, lines: NumberedLines) -> Qrels:
    """The judgments of a file's lines; a first line whose relevance does not begin like a number is taken for a
    header."""
    judged = Judged(path)
    for number, line in lines:
        fields = line.split()
        if len(fields) != QRELS_FIELDS:
            hint = "; this looks like a run" if len(fields) >= RUN_FIELDS else ""
            raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a qrels line has {QRELS_FIELDS}{hint}")
        judged.add(number, fields[0], fields[2], fields[3], fields[1])
    return judged.qrels()


def trec_run_lines(run: Run) -> Iterator[str]:
    """Lines whose scores strictly decrease as 32-bit floats, so that no reader can re-order ties."""
    tag = run.name or "attendex"
    for query, ranking in run.rankings.items():
        for rank, (document, score) in enumerate(
            zip(ranking.ids, strictly_decreasing(ranking.scores).tolist(), strict=True), start=1
        ):
            yield f"{_plain(query)} Q0 {_plain(document)} {rank} {score!r} {_plain(tag)}\n"


def trec_qrels_lines(qrels: Qrels) -> Iterator[str]:
    """One line a judgment; aspects are written where there are any."""
    if qrels.subtopics:
        for each in qrels.subtopics:
            yield f"{_plain(each.query)} {_plain(each.aspect)} {_plain(each.document)} {each.relevance}\n"
        return
    for query, documents in qrels.judgments.items():
        for document, relevance in documents.items():
            yield f"{_plain(query)} 0 {_plain(document)} {relevance}\n"


class Judged:
    """Judgments as they are read, line by line, from a file of any form."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aspects: dict[tuple[str, str, str], int] = {}
        self._repeated = 0

    def add(self, number: int, query: str, document: str, relevance: str, aspect: str = "0") -> None:
        """Take one line.  BadJudgments for a relevance that is no whole number or contradicts an earlier line."""
        try:
            value = _whole(relevance)
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
        subtopics = tuple(Subtopic(query, doc, aspect, value) for (query, doc, aspect), value in self._aspects.items())
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


def _whole(text: str) -> int:
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def _plain(identifier: str) -> str:
    """The id itself; BadJudgments where it would break the format."""
    if not identifier or len(identifier.split()) != 1 or identifier != identifier.strip():
        raise BadJudgments(f"id {identifier!r} cannot stand in a TREC file (empty, or has spaces); write a .json file")
    return identifier
