"""Compare ways of cutting long documents, by nDCG@10 of dense retrieval.

The score of a document is that of its best passage.

    python -m benchmarks.chunking BEIR_FOLDER [--documents 1000] [--join 10] [--seed 0]

The long documents are made of a collection with judgments: its judged documents and others, in a seeded random order,
are joined ten at a time under their titles as headings.  A long document is relevant to a query when a part of it is.
Every strategy sees the same documents, queries and encoder.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.building.chunking import chunk
from indexer.readers.opening import open_documents
from retrieval.encoder.loading import load_encoder
from retrieval.index.collection.document_store import passage_text
from retrieval.index.storage.settings import ChunkSettings
from retrieval.protocols import Tokenizer
from retrieval.types import Document, Passage, Section, Vectors

Cut = Callable[[Document, Tokenizer], list[Passage]]
QUERIES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Collection:
    """Long documents, queries, and which documents are relevant to each."""

    documents: list[Document]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def long_documents(folder: Path, count: int, join: int, seed: int) -> Collection:
    """Make the collection that the docstring of this module describes."""
    corpus = {each.id: each for each in open_documents(folder) if isinstance(each, Document)}
    queries = {row["_id"]: row["text"] for row in map(json.loads, (folder / "queries.jsonl").open(encoding="utf-8"))}
    judged: dict[str, set[str]] = defaultdict(set)
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                judged[row["query-id"]].add(row["corpus-id"])
    order = random.Random(seed)
    wanted = sorted(set().union(*judged.values()) & corpus.keys())
    others = sorted(corpus.keys() - set(wanted))
    chosen = wanted + order.sample(others, max(0, min(count - len(wanted), len(others))))
    order.shuffle(chosen)
    groups = [chosen[start : start + join] for start in range(0, len(chosen), join)]
    home = {each: f"long-{number}" for number, group in enumerate(groups) for each in group}
    relevant = {query: {home[each] for each in found if each in home} for query, found in judged.items()}
    documents = [_joined(f"long-{number}", [corpus[each] for each in group]) for number, group in enumerate(groups)]
    return Collection(documents, {query: queries[query] for query in relevant}, relevant)


def _joined(name: str, parts: list[Document]) -> Document:
    text, sections = "", []
    for part in parts:
        start = len(text)
        text += f"{part.title}\n\n{part.text}\n\n"
        sections.append(Section(start, len(text), part.title, part.title))
    return Document(name, text, sections=tuple(sections))


def passages_of(**sizes: int) -> Cut:
    """Cut as the indexer does, with these sizes."""
    return lambda document, tokenizer: chunk(document, tokenizer, ChunkSettings("passages", **sizes))


def without_sections(cut: Cut) -> Cut:
    """Cut in the same way, without headings."""
    return lambda document, tokenizer: cut(Document(document.id, document.text), tokenizer)


def windows(size: int, step: int) -> Cut:
    """Cut windows of `size` tokens, without regard to boundaries."""

    def cut(document: Document, tokenizer: Tokenizer) -> list[Passage]:
        spans = tokenizer.spans(document.text)
        starts = range(0, max(1, len(spans) - size + step), step)
        return [Passage(int(spans[at][0]), int(spans[min(at + size, len(spans)) - 1][1])) for at in starts]

    return cut


STRATEGIES: dict[str, Cut] = {
    "whole document (the encoder cuts)": lambda document, _: [Passage(0, len(document.text))],
    "windows of 254 tokens, step 222, no boundaries": windows(254, 222),
    "windows of 128 tokens, step 96, no boundaries": windows(128, 96),
    "boundaries, 254 tokens, overlap 32, no headings": without_sections(passages_of()),
    "boundaries, 128 tokens, overlap 32, no headings": without_sections(passages_of(max_tokens=128)),
    "headings, 254 tokens, overlap 32 (default)": passages_of(),
    "headings, 254 tokens, overlap 0": passages_of(overlap_tokens=0),
    "headings, 128 tokens, overlap 32": passages_of(max_tokens=128),
    "headings, 64 tokens, overlap 16": passages_of(max_tokens=64, overlap_tokens=16, min_tokens=16),
}


def ndcg(ranked: list[str], relevant: set[str], k: int = 10) -> float:
    """nDCG@k with gains of 0 and 1."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gains = np.array([each in relevant for each in ranked[:k]], dtype=float)
    return float(gains @ discounts[: len(gains)] / discounts[: min(k, len(relevant))].sum())


def best_documents(queries: Vectors, passages: Vectors, owner: np.ndarray, count: int) -> Iterator[list[int]]:
    """Documents of each query by their best passage, best first."""
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        for scores in queries[start : start + QUERIES_AT_ONCE] @ passages.T:
            best = np.full(count, -np.inf, np.float32)
            np.maximum.at(best, owner, scores)
            yield np.argsort(-best, kind="stable").tolist()


def main() -> None:
    """Print one line a strategy."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--documents", type=int, default=1000)
    arguments.add_argument("--join", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    collection = long_documents(given.folder, given.documents, given.join, given.seed)
    encoder = load_encoder()
    queries = encoder.encode_queries(list(collection.queries.values()))
    counts = f"{len(collection.documents)} long documents, {len(queries)} queries"
    print(f"{platform.machine()}, {encoder.runtime.name}, {counts}")
    print("| strategy | nDCG@10 | passages | seconds to cut |\n| --- | --- | --- | --- |")
    for name, cut in STRATEGIES.items():
        started = time.perf_counter()
        cuts = [cut(document, encoder.tokenizer) for document in collection.documents]
        seconds = time.perf_counter() - started
        pairs = zip(collection.documents, cuts, strict=True)
        texts = [passage_text(d.title, p.heading, d.text[p.start : p.end]) for d, parts in pairs for p in parts]
        owner = np.repeat(np.arange(len(cuts)), [len(parts) for parts in cuts])
        ranked = best_documents(queries, encoder.encode_passages(texts), owner, len(cuts))
        scores = [
            ndcg([collection.documents[row].id for row in rows[:10]], collection.relevant[query])
            for query, rows in zip(collection.queries, ranked, strict=True)
        ]
        print(f"| {name} | {np.mean(scores):.4f} | {len(texts):,} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
