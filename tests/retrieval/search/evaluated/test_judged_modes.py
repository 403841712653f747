"""Measures over the judgments of a real small collection."""

from __future__ import annotations

from pathlib import Path

from indexer.writing.writer import Writer
from retrieval.index.collection.judgments import JUDGMENTS, judge, read_judgments
from retrieval.metrics.files import trec_qrels_lines
from retrieval.metrics.runs import query_id
from retrieval.metrics.tasks import topic_lines
from retrieval.search.evaluated.judged_modes import measure_modes, qrels_of, topics_of
from retrieval.search.searcher import Searcher


def test_judgments_measure_the_modes(small_collection: Path, small: Searcher) -> None:
    judge(small_collection, "does aspirin prevent strokes", "aspirin", 3)
    judgments = judge(small_collection, "does aspirin prevent strokes", "cats", 0)
    found = measure_modes(small.search_many, judgments, list(small.reader.modes))
    assert [each.mode for each in found] == list(small.reader.modes)
    assert all(each.measures["nDCG@10"] == 1 for each in found)
    identifier = query_id("does aspirin prevent strokes")
    assert list(trec_qrels_lines(qrels_of(judgments))) == [f"{identifier} 0 aspirin 3\n", f"{identifier} 0 cats 0\n"]
    assert list(topic_lines(topics_of(judgments))) == [
        f'{{"_id": "{identifier}", "text": "does aspirin prevent strokes"}}\n'
    ]


def test_judgments_outlive_a_generation(small_collection: Path) -> None:
    judge(small_collection, "a query", "wing", 2)
    before = read_judgments(small_collection)
    with Writer(small_collection) as writer:
        writer.delete(["cats"])
        writer.commit()
    assert (small_collection / JUDGMENTS).exists()
    assert read_judgments(small_collection) == before
