"""Runs and judgments survive a round trip in every format; faults are named."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import BadJudgments, StorageError
from retrieval.metrics.files import read_qrels, read_run, write_qrels, write_run, write_text
from retrieval.metrics.runs import Qrels, RetrievalRun, make_run

ids = st.text(alphabet="abcé雪0-_.%", min_size=1, max_size=6)
scores = st.floats(-1e6, 1e6, allow_nan=False)
tables = st.dictionaries(ids, st.dictionaries(ids, scores, min_size=1, max_size=8), min_size=1, max_size=5)
grades = st.dictionaries(ids, st.dictionaries(ids, st.integers(-1, 4), min_size=1), min_size=1, max_size=5)


@settings(max_examples=50, deadline=None)
@given(table=tables, ending=st.sampled_from(["run.trec", "run.txt.gz", "run.json", "run.json.gz"]))
def test_a_run_keeps_its_order_in_every_form(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, dict[str, float]], ending: str
) -> None:
    run = make_run(
        "tag", {query: {doc: score + 0.5**20 for doc, score in docs.items()} for query, docs in table.items()}
    )
    path = tmp_path_factory.mktemp("run") / ending
    write_run(run, path)
    again = read_run(path)
    assert {query: r.ids for query, r in again.rankings.items()} == {query: r.ids for query, r in run.rankings.items()}


@settings(max_examples=50, deadline=None)
@given(table=grades, ending=st.sampled_from(["q.tsv", "q.tsv.gz", "q.trec", "q.json"]))
def test_judgments_are_the_same_in_every_form(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, dict[str, int]], ending: str
) -> None:
    path = tmp_path_factory.mktemp("qrels") / ending
    write_qrels(Qrels("q", table), path)
    assert read_qrels(path).judgments == table


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_crlf_headers_blank_lines_and_byte_order_marks_are_understood(tmp_path: Path) -> None:
    run = write(
        tmp_path / "run", "﻿qid iter docno rank sim run_id\r\nq1 Q0 d1 1 2.5 mine\r\n\r\nq1\tQ0\td2\t2\t1.5\tmine\r\n"
    )
    assert read_run(run).rankings["q1"].ids == ("d1", "d2")
    assert read_run(run).name == "mine"
    for header in ("", "query-id\tcorpus-id\tscore\r\n"):
        qrels = write(tmp_path / "qrels.tsv", header + "q1\td one\t2\r\nq1\td2\t0\r\n")
        assert read_qrels(qrels).judgments == {"q1": {"d one": 2, "d2": 0}}


def test_the_rank_field_is_ignored_and_scores_decide(tmp_path: Path) -> None:
    path = write(tmp_path / "run", "q Q0 a first 0.1 t\nq Q0 b 2 0.9 t\n")
    assert read_run(path).rankings["q"].ids == ("b", "a")


def test_pipes_are_read(tmp_path: Path) -> None:
    for read, text in ((read_run, "q Q0 a 1 0.9 t\n"), (read_qrels, "q 0 a 1\n"), (read_qrels, "q\ta\t1\n")):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(pipe.write_text, text)
            found = read(pipe)
            written.result()
        assert list(found.rankings if isinstance(found, RetrievalRun) else found.judgments) == ["q"]
        pipe.unlink()


def test_what_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    def pieces() -> Iterator[str]:
        yield "q Q0 a 1 0.9 t\n"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "new" / "run", pieces())
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        write_text(tmp_path / "folder", ["text"])
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_aspects_of_diversity_judgments_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "qrels", "q 1 d 1\nq 2 d 0\nq 2 e 2\n")
    qrels = read_qrels(path)
    assert qrels.judgments == {"q": {"d": 1, "e": 2}}
    assert [(each.aspect, each.document, each.relevance) for each in qrels.subtopics] == [
        ("1", "d", 1),
        ("2", "d", 0),
        ("2", "e", 2),
    ]


def test_a_judgment_said_twice_is_counted(tmp_path: Path) -> None:
    assert read_qrels(write(tmp_path / "qrels", "q 0 d 1\nq 0 d 1\n")).repeated == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("  \n\r\n", "the file is empty"),
        ("q 0 d 1\n", "as judgments \\(qrels\\) have"),
        ("q\td\t1\n", "as BEIR judgments"),
        ("q Q0 d 1 0.5\n", "run:1: 5 fields where a run line has 6"),
        ("q Q0 a b 1 0.5 t\n", "run:1: 7 fields where a run line has 6; has an id a space"),
        ("q Q0 d 1 1 t\nq Q0 e 2 high t\n", "run:2: 'high', the fifth field, is no score"),
        ("q Q0 d 1 0,5 t\nq Q0 e 2 0.4 t\n", "run:1: '0,5', the fifth field, is no score"),
        ("q Q0 d 1 nan t\n", "score of document 'd' is nan"),
        ("q Q0 d 1 inf t\n", "score of document 'd' is inf"),
        ("q Q0 d 1 2 t\nq Q0 d 2 1 t\n", "query 'q': document 'd' is ranked more than once"),
        ("qid iter docno rank sim run_id\n", "a header and no lines"),
        ("q Q0 d\0 1 2 t\n", "NUL"),
    ],
)
def test_bad_runs_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadJudgments, match=message):
        read_run(write(tmp_path / "run", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("q Q0 d 1 0.5 t\n", "looks like a run"),
        ("q 0 d 1\nq 0 d 2\n", "qrels:2: document 'd' of query 'q' is judged 2 here and 1 before"),
        ("q 0 e 1.5\nq 0 d 1\n", "qrels:1: relevance '1.5' is no whole number"),
        ("q\te\t1x\nq\td\t1\n", "qrels:1: relevance '1x' is no whole number"),
        ("q 0 a b 1\n", "qrels:1: 5 fields where a qrels line has 4"),
        ("q 0 d 1\nq 0 e 1.5\n", "qrels:2: relevance '1.5' is no whole number"),
        ("query-id\tcorpus-id\tscore\n", "a header and no lines"),
    ],
)
def test_bad_judgments_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadJudgments, match=message):
        read_qrels(write(tmp_path / "qrels", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected one JSON object"),
        ('{"q": {"d": "high"}}', "'high' is no number"),
        ('{"q": {"d": NaN}}', "is nan"),
        ('{"q": {"d": 2.5, "d": 1}}', "'d' occurs twice"),
        ('{"q": {"d": 1, "e": 1}, "r": {"d": 0}}', "as in judgments"),
        ("{", "not usable JSON"),
    ],
)
def test_bad_json_runs_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadJudgments, match=message):
        read_run(write(tmp_path / "run.json", text))


def test_scores_as_judgments_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadJudgments, match="is this a run"):
        read_qrels(write(tmp_path / "qrels.json", '{"q": {"d": 0.25}}'))


def test_files_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"q Q0 caf\xe9 1 2 t\n")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"q Q0 d 1 2 t\n" * 100)[:-9])
    with pytest.raises(BadJudgments, match="not UTF-8"):
        read_run(tmp_path / "latin")
    with pytest.raises(BadJudgments, match="not a complete gzip file"):
        read_run(tmp_path / "cut.gz")
    with pytest.raises(BadJudgments, match="no such file"):
        read_run(tmp_path / "none")


def test_ids_with_spaces_are_refused_by_trec_and_kept_by_json(tmp_path: Path) -> None:
    run = make_run("t", {"q": {"a doc": math.pi}})
    with pytest.raises(BadJudgments, match=r"'a doc' cannot stand in a TREC file.*\.json"):
        write_run(run, tmp_path / "run.trec")
    assert not (tmp_path / "run.trec").exists()
    write_run(run, tmp_path / "run.json")
    assert read_run(tmp_path / "run.json").rankings["q"].ids == ("a doc",)
