"""What is asked and judged, from files, folders and ir_datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.tasks import TaskSource, read_task


class TrecQuery(NamedTuple):
    """A TREC topic has a title and a description, and no text."""

    query_id: str
    title: str
    description: str


@pytest.fixture
def dataset() -> Any:
    """A data set registered with ir_datasets under a name of our own."""
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
