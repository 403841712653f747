"""The door for runs and judgments: which form a file has, decided by its name and its first line.

.json, .json.gz          query → document → number (ranx, BEIR)
.tsv with three columns  BEIR qrels
anything else            TREC
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from retrieval.errors import BadJudgments
from retrieval.metrics.beir import COLUMNS, beir_qrels, beir_qrels_lines
from retrieval.metrics.line_files import numbered_lines, read_text, write_text
from retrieval.metrics.runs import Qrels, Run, make_run, strictly_decreasing
from retrieval.metrics.trec import trec_qrels, trec_qrels_lines, trec_run, trec_run_lines


def read_run(path: Path) -> Run:
    """A run from a TREC or JSON file.  BadJudgments names the file, the line and what is wrong."""
    if _is_json(path):
        table = _read_table(path)
        _refuse_judgments(path, table)
        return make_run(path.name.split(".")[0], table)
    lines = numbered_lines(path)  # read once: the file may be a pipe
    number, first = next(lines)
    if "\t" in first and len(first.split("\t")) == COLUMNS:
        raise BadJudgments(f"{path}:1: {COLUMNS} columns, as BEIR judgments (qrels) have; a run line has 6 fields")
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
    read = beir_qrels if len(first.split("\t")) == COLUMNS else trec_qrels
    return read(path, chain([(number, first)], lines))


def write_run(run: Run, path: Path) -> None:
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


def _run_table(run: Run) -> dict[str, dict[str, float]]:
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
