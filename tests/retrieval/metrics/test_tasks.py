"""Queries and judgments from files, BEIR folders and ir_datasets."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.files import write_text
from retrieval.metrics.tasks import TaskSource, read_beir, read_task, read_topics


class TrecQuery(NamedTuple):
    """A TREC topic has a title and a description, and no text."""

    query_id: str
    title: str
    description: str


@pytest.fixture
def dataset() -> Any:
    """Register a data set with ir_datasets and return its name."""
    ir_datasets = pytest.importorskip("ir_datasets")
    from ir_datasets.formats import BaseQrels, BaseQueries, TrecQrel

    class Queries(BaseQueries):
        def queries_iter(self) -> Any:
            yield TrecQuery("1", "falling leaves", "Why do leaves fall in autumn?")
            yield TrecQuery("2", "unjudged", "Nobody judged this.")

        def queries_cls(self) -> type:
            return TrecQuery

    class Judgments(BaseQrels):
        def qrels_iter(self) -> Any:
            yield TrecQrel("1", "d1", 2, "0")
            yield TrecQrel("1", "d2", 0, "0")

        def qrels_cls(self) -> type:
            return TrecQrel

    name = "attendex-test/leaves"
    if name not in ir_datasets.registry:
        ir_datasets.registry.register(name, ir_datasets.Dataset(Queries(), Judgments()))
    return name


def test_ir_datasets_ids_are_read(dataset: str) -> None:
    task = read_task(TaskSource(dataset=dataset))
    (topic,) = task.topics
    assert (topic.id, topic.text) == ("1", "falling leaves")
    assert topic.attributes["description"] == "Why do leaves fall in autumn?"
    assert task.qrels.judgments == {"1": {"d1": 2, "d2": 0}}
    assert task.unjudged == 1


def test_an_unknown_dataset_is_named() -> None:
    pytest.importorskip("ir_datasets")
    with pytest.raises(InputError, match="knows no dataset 'no/such'"):
        read_task(TaskSource(dataset="no/such"))


def test_a_dataset_that_cannot_be_downloaded_is_an_error_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ir_datasets")
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # refuses connections, as if there were no network
    with pytest.raises(InputError, match=r"cannot be downloaded .*--beir FOLDER"):
        read_task(TaskSource(dataset="beir/scifact/test"))


def test_a_local_beir_folder_is_a_dataset_too(tmp_path: Path) -> None:
    assert read_task(TaskSource(dataset=str(folder(tmp_path)))).topics[0].id == "q1"


def test_one_source_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give one of"):
        read_task(TaskSource())
    with pytest.raises(InputError, match="give one of"):
        read_task(TaskSource(beir=tmp_path, dataset="x"))


def test_queries_of_another_collection_are_named(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("q1\tone\n")
    (tmp_path / "qrels").write_text("1 0 d 1\n")
    with pytest.raises(
        BadJudgments, match="none of the 1 queries is judged; queries are named like 'q1', judgments like '1'"
    ):
        read_task(TaskSource(queries=tmp_path / "q.tsv", qrels=tmp_path / "qrels"))


def test_judgments_alone_are_enough_for_run_files(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("1 0 d 1\n")
    assert read_task(TaskSource(qrels=tmp_path / "qrels")).topics == ()


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


OLD_TOPICS = """
<top>

<num> Number: 301
<title> International Organized Crime

<desc> Description:
Identify organizations that participate in
international criminal activity.

<narr> Narrative:
A relevant document must name it.

</top>

<top>
<head> Tipster Topic Description
<num> Number:  051
<dom> Domain:  International Economics
<title> Topic:  Airbus &amp; Subsidies

<desc> Description:
Document will discuss aid.
<con> Concept(s):
1. Airbus
"""
NEW_TOPICS = """<?xml version="1.0"?>
<topics task="web">
  <!-- <topic number="0"><query>left out</query></topic> -->
  <topic number="1" type="faceted">
    <query>obama family
      tree</query>
    <description>Find information on his family.</description>
    <subtopic number="1" type="nav">Find the photo essay.</subtopic>
  </topic>
  <topic number="2">A woman of 50 years with a cough.</topic>
  <TOPIC><NUM>3</NUM><DESC>Only a description.</DESC></TOPIC>
  <top lang="en"><num>C041</num><EN-title>Floods where a < b, and Ä</EN-title><EN-desc>İzmir</EN-desc></top>
</topics>
"""


@pytest.mark.parametrize("name", ["topics.301-350", "topics.txt", "topics.xml.gz", "topics"])
def test_old_trec_topics(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, [OLD_TOPICS])
    first, second = read_topics(tmp_path / name)
    assert (first.id, first.text) == ("301", "International Organized Crime")
    assert first.attributes == {
        "description": "Identify organizations that participate in international criminal activity.",
        "narrative": "A relevant document must name it.",
    }
    assert (second.id, second.text, second.attributes["concepts"]) == ("51", "Airbus & Subsidies", "1. Airbus")
    assert second.attributes["domain"] == "International Economics"


def test_new_trec_topics(tmp_path: Path) -> None:
    (tmp_path / "topics.xml").write_text(NEW_TOPICS)
    found = {topic.id: topic for topic in read_topics(tmp_path / "topics.xml")}
    assert {number: topic.text for number, topic in found.items()} == {
        "1": "obama family tree",
        "2": "A woman of 50 years with a cough.",
        "3": "Only a description.",
        "C041": "Floods where a < b, and Ä",
    }
    assert found["1"].attributes["description"] == "Find information on his family."


def test_a_trec_topic_without_a_number_is_named(tmp_path: Path) -> None:
    (tmp_path / "topics").write_text("<top>\n<num> 1\n<title> a\n</top>\n\n<top>\n<title> b\n</top>\n")
    with pytest.raises(BadJudgments, match="topics:6: a query without id or text"):
        read_topics(tmp_path / "topics")
