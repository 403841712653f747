"""BEIR folders and query files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from retrieval.errors import BadJudgments
from retrieval.metrics.tasks import read_beir, read_topics


def folder(tmp_path: Path) -> Path:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    with gzip.open(tmp_path / "queries.jsonl.gz", "wt") as file:
        file.write('{"_id": "q1", "text": "one", "metadata": {"kind": "short"}}\n{"_id": "q2", "text": "two"}\n')
    return tmp_path


def test_queries_without_judgments_are_counted_and_left_aside(tmp_path: Path) -> None:
    read = read_beir(folder(tmp_path))
    assert [(topic.id, topic.text, dict(topic.attributes)) for topic in read.topics] == [
        ("q1", "one", {"kind": "short"})
    ]
    assert read.unjudged == 1


def test_a_missing_split_names_those_there(tmp_path: Path) -> None:
    with pytest.raises(BadJudgments, match=r"dev.tsv: no such file; splits there: test"):
        read_beir(folder(tmp_path), "dev")


def test_queries_of_a_table_carry_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "queries.tsv"
    path.write_text("qid\ttext\tlength\nq1\tone\tshort\r\n")
    (topic,) = read_topics(path)
    assert (topic.id, topic.text, dict(topic.attributes)) == ("q1", "one", {"length": "short"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":1: not JSON"),
        ("[]", ":1: a query is a JSON object"),
        ('{"_id": "q"}', ":1: a query without id or text"),
        ('{"_id": "q", "text": "a"}\n{"_id": "q", "text": "b"}', ":2: query 'q' occurs twice"),
    ],
)
def test_bad_queries_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(line)
    with pytest.raises(BadJudgments, match=message):
        read_topics(path)


def test_real_folders(shared_data: Path) -> None:
    assert len(read_beir(shared_data / "scifact").topics) == 300
    assert len(read_beir(shared_data / "cranfield").topics) == 225 - 0
