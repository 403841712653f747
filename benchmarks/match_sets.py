"""Measure match sets: their share of the documents, and what they keep.

    python -m benchmarks.match_sets papers --beir data/papers

Each query of the BEIR folder is asked in hybrid mode.  `kept` is the share of the judged relevant documents of all
queries that the match sets have; `low` is the share of queries whose answer has a low confidence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from retrieval.metrics.tasks import EvaluationTask, read_beir
from retrieval.results import Confidence
from retrieval.search.request_limits import MAX_DEPTH
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import SearchRequest


def show_match_sets(searcher: Searcher, task: EvaluationTask) -> None:
    """Print the measures of a collection as a row of a table."""
    documents = searcher.reader.manifest.documents
    shares, kept, relevant, low = 0.0, 0, 0, 0
    for topic in task.topics:
        request = SearchRequest(topic.text, k=min(documents, MAX_DEPTH), count=True, passages_per_document=1, fields=())
        result = searcher.search(request)
        found = {hit.id for hit in result.hits[: result.total.value]}
        wanted = {name for name, grade in task.qrels.judgments[topic.id].items() if grade > 0}
        shares += result.total.value / documents
        kept += len(wanted & found)
        relevant += len(wanted)
        low += result.confidence is Confidence.LOW
    queries = len(task.topics)
    print(
        f"| {searcher.reader.name} | {queries} | {shares / queries:.1%} | {kept / relevant:.3f} | {low / queries:.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--beir", type=Path, required=True)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    print("| collection | queries | share of the documents | kept | low |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with open_searcher(options.collection) as searcher:
        show_match_sets(searcher, read_beir(options.beir, options.split))


if __name__ == "__main__":
    main()
