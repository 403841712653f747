"""Measure what typing errors cost: ranking quality, and the time of look-ups.

    python -m benchmarks.typos papers --beir data/papers           # nDCG@10 of clean queries and of queries with errors
    python -m benchmarks.typos papers --beir data/papers --split train --seeds 3
    python -m benchmarks.typos --terms 500000                       # ms per unknown word and per completion

Each query gets one edit in one of its words of four letters or more: a letter is inserted, deleted or replaced, or two
neighbours are swapped.  The words and edits are drawn by a seed.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.inverter import Inverter
from retrieval.index.lexical.postings import NAMES, Postings, file_name
from retrieval.index.lexical.spelling import Speller
from retrieval.index.storage.checksums import record_file
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.run_queries import run_queries
from retrieval.metrics.runs import Topic
from retrieval.metrics.tasks import EvaluationTask, read_beir
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Mode, SearchRequest
from retrieval.util.files import Files

MEASURE = "nDCG@10"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MIN_LETTERS = 4
LOOK_UPS = 300


def with_error(word: str, draw: random.Random) -> str:
    """Return a word with one edit."""
    at = draw.randrange(len(word) - 1)
    letter = draw.choice(LETTERS)
    edited = {
        "insert": word[:at] + letter + word[at:],
        "delete": word[:at] + word[at + 1 :],
        "replace": word[:at] + letter + word[at + 1 :],
        "swap": word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    }[draw.choice(("insert", "delete", "replace", "swap"))]
    return edited if edited != word else with_error(word, draw)


def with_errors(topics: Sequence[Topic], seed: int) -> list[Topic]:
    """Return the topics, each with an error in one word."""
    draw = random.Random(seed)
    return [replace(topic, text=_misspelt(topic.text, draw)) for topic in topics]


def _misspelt(text: str, draw: random.Random) -> str:
    words = text.split(" ")
    possible = [i for i, word in enumerate(words) if len(word) >= MIN_LETTERS and word.isalpha()]
    if possible:
        chosen = draw.choice(possible)
        words[chosen] = with_error(words[chosen], draw)
    return " ".join(words)


def show_quality(searcher: Searcher, task: EvaluationTask, seeds: int) -> None:
    """Print the measure of clean and of misspelt queries, with and without `typos`."""
    print(f"| {searcher.reader.name} | clean | clean, typos | errors | errors, typos |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for mode in (Mode.HYBRID, Mode.LEXICAL):
        template = SearchRequest("", k=10, mode=mode, passages_per_document=1, fields=())
        values = [measure(searcher, task, task.topics, replace(template, typos=on)) for on in (False, True)]
        misspelt = [with_errors(task.topics, seed) for seed in range(seeds)]
        for on in (False, True):
            request = replace(template, typos=on)
            values.append(float(np.mean([measure(searcher, task, topics, request) for topics in misspelt])))
        print(f"| {mode} | {' | '.join(f'{value:.4f}' for value in values)} |", flush=True)


def measure(searcher: Searcher, task: EvaluationTask, topics: Sequence[Topic], template: SearchRequest) -> float:
    run = run_queries(searcher.search_many, topics, template).run
    return evaluate(run, task.qrels, MEASURE).aggregates[MEASURE]


def show_times(count: int) -> None:
    """Print the time of look-ups among made-up terms."""
    draw = random.Random(0)
    words = _vocabulary(count, draw)
    with tempfile.TemporaryDirectory() as folder:
        postings = _segment(Path(folder), words)
        speller = Speller([postings], lambda term: int(postings.find(term) is not None), Analyzer("none"), ["none"])
        started = time.perf_counter()
        speller.nearest("unknown")
        print(
            f"{postings.num_terms:,} terms; the first look-up makes the tables: {time.perf_counter() - started:.2f} s"
        )
        long = [word for word in words if len(word) >= 8]
        misspelt = [with_error(draw.choice(words), draw) for _ in range(LOOK_UPS)]
        twice = [with_error(with_error(draw.choice(long), draw), draw) for _ in range(LOOK_UPS)]
        for name, look_up, asked in (
            ("unknown word, one edit", speller.nearest, misspelt),
            ("unknown word, two edits", speller.nearest, twice),
            ("completion of three letters", speller.completions, [word[:3] for word in misspelt]),
        ):
            print_times(name, [_timed(look_up, word) for word in asked])


def show_suggestions(searcher: Searcher, task: EvaluationTask) -> None:
    """Print the time of suggestions for the starts of the queries."""
    draw = random.Random(0)
    starts = [topic.text[: draw.randint(3, 30)] for topic in task.topics]
    print_times("suggest", [_timed(searcher.suggest, start) for start in starts])


def print_times(name: str, times: Sequence[float]) -> None:
    p50, p99 = np.percentile(np.array(times) * 1000, [50, 99])
    print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def _timed(look_up: object, word: str) -> float:
    assert callable(look_up)
    started = time.perf_counter()
    look_up(word)
    return time.perf_counter() - started


def _vocabulary(count: int, draw: random.Random) -> list[str]:
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "is", "on", "st")]
    words: dict[str, None] = {}
    while len(words) < count:
        length = draw.randint(4, 14)
        words["".join(draw.choices(syllables, k=7))[:length]] = None
    return list(words)


def _segment(folder: Path, words: Sequence[str]) -> Postings:
    inverter = Inverter(Analyzer("none"), 1.0)
    texts = [" ".join(words[start : start + 100]) for start in range(0, len(words), 100)]
    inverter.add(np.arange(len(texts), dtype=np.uint64), [""] * len(texts), texts)
    inverter.write(Files(), folder, "000001")
    records = [record_file(folder, file_name("000001", name)) for name in NAMES]
    return Postings(folder, "000001", {record.name: record for record in records})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path, nargs="?")
    parser.add_argument("--beir", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--terms", type=int, default=0)
    options = parser.parse_args()
    if options.terms:
        show_times(options.terms)
    if options.collection and options.beir:
        with open_searcher(options.collection) as searcher:
            task = read_beir(options.beir, options.split)
            show_suggestions(searcher, task)
            show_quality(searcher, task, options.seeds)


if __name__ == "__main__":
    main()
