"""Read and write the files of an evaluation: runs, qrels and plain or `.gz` text.

The name of the file and its first line decide the format.

.json, .json.gz          query → document → number (ranx, BEIR)
.tsv with three columns  BEIR qrels
any other file           TREC; columns are separated by white space, as trec_eval 9.0.8 reads them:
    run    qid  iter  docno  rank  sim  run_id     the rank and further fields are ignored
    qrels  qid  iter  docno  rel                   a negative rel means not judged
    lines that begin with "#" are comments
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from retrieval.errors import BadJudgments
from retrieval.metrics.runs import (
    Qrels,
    RetrievalRun,
    SubtopicJudgment,
    make_run,
    ranking_by_score,
    strictly_decreasing,
)
from retrieval.util.files import storage_errors
from retrieval.util.temporaries import replace_atomically

RUN_FIELDS = 6
QRELS_FIELDS = 4
BEIR_HEADER = "query-id\tcorpus-id\tscore\n"
BEIR_COLUMNS = 3
_NUMBER_START = re.compile(r"[+-]?\.?\d")

NumberedLines: TypeAlias = Iterable[tuple[int, str]]


def read_run(path: Path) -> RetrievalRun:
    """Read a TREC or JSON run.  Raises BadJudgments, which names file and line."""
    if _is_json(path):
        table = _read_table(path)
        _refuse_judgments(path, table)
        return make_run(path.name.split(".")[0], table)
    number, first, lines = _first_line(path)
    if "\t" in first and len(first.split("\t")) == BEIR_COLUMNS:
        raise BadJudgments(f"{path}:1: {BEIR_COLUMNS} columns, as BEIR judgments (qrels) have; a run line has 6 fields")
    return _trec_run(path, chain([(number, first)], lines))


def read_qrels(path: Path) -> Qrels:
    """Read TREC, BEIR or JSON judgments.  Raises BadJudgments, as `read_run` does."""
    if _is_json(path):
        table = _read_table(path)
        for query, documents in table.items():
            for document, value in documents.items():
                if not float(value).is_integer():
                    where = f"{path}: query {query!r}, document {document!r}"
                    raise BadJudgments(f"{where}: relevance {value!r} is no whole number; is this a run?")
        return Qrels(path.name, {query: {doc: int(value) for doc, value in d.items()} for query, d in table.items()})
    number, first, lines = _first_line(path)
    read = beir_qrels if len(first.split("\t")) == BEIR_COLUMNS else _trec_qrels
    return read(path, chain([(number, first)], lines))


def write_run(run: RetrievalRun, path: Path) -> None:
    """Write a run: .json as JSON, any other name as TREC; readers find the same order."""
    if _is_json(path):
        table = {
            query: dict(zip(ranking.ids, strictly_decreasing(ranking.scores).tolist(), strict=True))
            for query, ranking in run.rankings.items()
        }
        write_text(path, [json.dumps(table, ensure_ascii=False)])
    else:
        write_text(path, trec_run_lines(run))


def write_qrels(qrels: Qrels, path: Path) -> None:
    """Write judgments: .json as JSON, .tsv as BEIR, any other name as TREC."""
    lines: Iterable[str]
    if _is_json(path):
        table = {query: dict(documents) for query, documents in qrels.judgments.items()}
        lines = [json.dumps(table, ensure_ascii=False)]
    else:
        lines = beir_qrels_lines(qrels) if ".tsv" in path.suffixes else trec_qrels_lines(qrels)
    write_text(path, lines)


def trec_run_lines(run: RetrievalRun) -> Iterator[str]:
    """Yield lines whose scores strictly decrease as 32-bit floats, without ties."""
    tag = run.name or "attendex"
    for query, ranking in run.rankings.items():
        scores = strictly_decreasing(ranking.scores).tolist()
        for rank, (document, score) in enumerate(zip(ranking.ids, scores, strict=True), start=1):
            yield f"{_trec_field(query)} Q0 {_trec_field(document)} {rank} {score!r} {_trec_field(tag)}\n"


def trec_qrels_lines(qrels: Qrels) -> Iterator[str]:
    """Yield one line per judgment, with its aspect if the judgments have aspects."""
    if qrels.subtopics:
        for judgment in qrels.subtopics:
            query, aspect, document = map(_trec_field, (judgment.query, judgment.aspect, judgment.document))
            yield f"{query} {aspect} {document} {judgment.relevance}\n"
        return
    for query, documents in qrels.judgments.items():
        for document, relevance in documents.items():
            yield f"{_trec_field(query)} 0 {_trec_field(document)} {relevance}\n"


def beir_qrels_lines(qrels: Qrels) -> Iterator[str]:
    yield BEIR_HEADER
    for query, documents in qrels.judgments.items():
        for document, relevance in documents.items():
            yield f"{_beir_field(query)}\t{_beir_field(document)}\t{relevance}\n"


class QrelsBuilder:
    """Collects the judgments of a file line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._judgments: dict[tuple[str, str, str], int] = {}  # (query, document, aspect) → relevance
        self._repeated = 0

    def add(self, number: int, query: str, document: str, relevance: str, aspect: str = "0") -> None:
        """Add the judgment of line `number`; ignore a header.

        Raises BadJudgments if the relevance is no whole number or contradicts an earlier line.
        """
        try:
            value = _parse_grade(relevance)
        except ValueError:
            if _is_header(number, relevance):
                return
            raise BadJudgments(
                f"{self._path}:{number}: relevance {relevance!r} is no whole number; correct the line"
            ) from None
        key = query, document, aspect
        before = self._judgments.get(key, value)
        if before != value:
            raise BadJudgments(
                f"{self._path}:{number}: document {document!r} of query {query!r} is judged {value} here and "
                f"{before} before; keep one of the two"
            )
        self._repeated += key in self._judgments
        self._judgments[key] = value

    def qrels(self) -> Qrels:
        """Return all judgments.  Raises BadJudgments if there are none."""
        if not self._judgments:
            raise BadJudgments(f"{self._path}: a header and no lines; check the file")
        judgments: dict[str, dict[str, int]] = {}
        for (query, document, _), value in self._judgments.items():
            documents = judgments.setdefault(query, {})
            documents[document] = max(value, documents.get(document, value))
        subtopics = tuple(
            SubtopicJudgment(query, doc, aspect, value) for (query, doc, aspect), value in self._judgments.items()
        )
        has_aspects = len({judgment.aspect for judgment in subtopics}) > 1
        return Qrels(self._path.name, judgments, subtopics if has_aspects else (), self._repeated)


def beir_qrels(path: Path, lines: NumberedLines) -> Qrels:
    """Read tab-separated judgments, with or without the header."""
    builder = QrelsBuilder(path)
    for number, line in lines:
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != BEIR_COLUMNS:
            raise BadJudgments(
                f"{path}:{number}: {len(fields)} tab-separated fields where BEIR qrels have {BEIR_COLUMNS}"
            )
        builder.add(number, *fields)
    return builder.qrels()


def _trec_run(path: Path, lines: NumberedLines) -> RetrievalRun:
    rankings: dict[str, tuple[list[str], list[float]]] = {}
    name = ""
    for number, line in _without_comments(lines):
        fields = line.split()
        _require_run_fields(path, number, fields)
        try:
            score = float(fields[4])
        except ValueError:
            if _is_header(number, fields[4]):
                continue
            raise BadJudgments(f"{path}:{number}: {fields[4]!r}, the fifth field, is no score") from None
        ids, scores = rankings.setdefault(fields[0], ([], []))
        ids.append(fields[2])
        scores.append(score)
        name = fields[5]
    if not rankings:
        raise BadJudgments(f"{path}: a header and no lines; check the file")
    return RetrievalRun(
        name,
        {query: ranking_by_score(*ranking, where=f"{path}: query {query!r}") for query, ranking in rankings.items()},
    )


def _first_line(path: Path) -> tuple[int, str, Iterator[tuple[int, str]]]:
    """Return the first line that is no comment, its number, and the later lines.

    The file is read once, since it may be a pipe.
    """
    lines = numbered_lines(path)
    first = next(_without_comments(lines), None)
    if first is None:
        raise BadJudgments(f"{path}: comments and no lines; check the file")
    return (*first, lines)


def _without_comments(lines: NumberedLines) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in lines if not line.lstrip().startswith("#"))


def _require_run_fields(path: Path, number: int, fields: list[str]) -> None:
    if len(fields) == QRELS_FIELDS:
        raise BadJudgments(
            f"{path}:{number}: {QRELS_FIELDS} fields, as judgments (qrels) have; a run line has {RUN_FIELDS}"
        )
    shifted = len(fields) > RUN_FIELDS and _NUMBER_START.match(fields[3]) is None  # the rank is no number
    if len(fields) < RUN_FIELDS or shifted:
        hint = "; has an id a space?" if shifted else ""
        raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a run line has {RUN_FIELDS}{hint}")


def _trec_qrels(path: Path, lines: NumberedLines) -> Qrels:
    builder = QrelsBuilder(path)
    for number, line in _without_comments(lines):
        fields = line.split()
        if len(fields) != QRELS_FIELDS:
            hint = "; this looks like a run" if len(fields) >= RUN_FIELDS else ""
            raise BadJudgments(f"{path}:{number}: {len(fields)} fields where a qrels line has {QRELS_FIELDS}{hint}")
        builder.add(number, fields[0], fields[2], fields[3], fields[1])
    return builder.qrels()


def _is_header(number: int, value: str) -> bool:
    """Check whether line 1 names the columns: `value` does not start like a number."""
    return number == 1 and _NUMBER_START.match(value) is None


def _parse_grade(text: str) -> int:
    value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value)


def _trec_field(identifier: str) -> str:
    """Return the id.  Raises BadJudgments for an id that a TREC file cannot have."""
    if not identifier or len(identifier.split()) != 1 or identifier != identifier.strip():
        raise BadJudgments(f"id {identifier!r} cannot stand in a TREC file (empty, or has spaces); write a .json file")
    return identifier


def _beir_field(identifier: str) -> str:
    """Return the id.  Raises BadJudgments for an id that a table cannot have."""
    if not identifier or "\t" in identifier or "\n" in identifier or identifier != identifier.strip():
        raise BadJudgments(f"id {identifier!r} cannot stand in a tab-separated file; write a .json file")
    return identifier


def _is_json(path: Path) -> bool:
    return path.name.endswith((".json", ".json.gz"))


def _read_table(path: Path) -> Mapping[str, Mapping[str, float]]:
    """Read query → document → number; later checks refuse NaN and name its query."""
    try:
        table = json.loads(read_text(path), object_pairs_hook=_distinct_keys)
    except ValueError as error:
        raise BadJudgments(f"{path}: not usable JSON ({error})") from error
    if not isinstance(table, dict) or not table or not all(isinstance(value, dict) for value in table.values()):
        raise BadJudgments(f"{path}: expected one JSON object: query → document → number")
    for query, documents in table.items():
        for document, value in documents.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadJudgments(f"{path}: query {query!r}, document {document!r}: {value!r} is no number")
    return table


def _distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    distinct = dict(pairs)
    if len(distinct) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return distinct


def _refuse_judgments(path: Path, table: Mapping[str, Mapping[str, float]]) -> None:
    """Raise BadJudgments if all values are small integers: grades instead of scores."""
    values = [value for documents in table.values() for value in documents.values()]
    if values and all(isinstance(value, int) and 0 <= value <= 4 for value in values):
        raise BadJudgments(f"{path}: every value is a grade from 0 to 4, as in judgments (qrels); write scores as 1.0")


def read_text(path: Path) -> str:
    """Read decompressed UTF-8 text without a byte-order mark.  Raises BadJudgments."""
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BadJudgments(f"{path}: no such file; check the path") from error
    except UnicodeDecodeError as error:
        raise BadJudgments(f"{path}: not UTF-8 (byte {error.start}); convert it first") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadJudgments(f"{path}: not a complete gzip file ({error}); fetch or write it again") from error
    except OSError as error:
        raise BadJudgments(f"{path}: cannot be read ({error.strerror})") from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield non-blank lines with their numbers from 1.  Raises BadJudgments."""
    text = read_text(path)
    if not text.strip():
        raise BadJudgments(f"{path}: the file is empty; check the path")
    if "\0" in text:
        raise BadJudgments(f"{path}: the file has NUL characters; give a text file")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write the pieces to a file, compressed if its name ends in `.gz`.

    The new file replaces the old one when it is complete.  Raises StorageError.
    """
    data = "".join(pieces).encode()
    data = gzip.compress(data, mtime=0) if path.suffix == ".gz" else data
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, data)
