"""Speed of lexical indexing and search, compared with plain tantivy.

    python -m benchmarks.lexical BEIR_FOLDER_OR_JSONL [--queries 200] [--words 12] [-k 100] [--seed 0]

Both index the same texts in the same run.  The queries are the first words of random documents.  tantivy runs as its
Python package documents it: one field, lower case, English stemming, the default BM25; a filter is a set of terms on a
key.  Attendex computes exact BM25 over live passages with settings, a title weight, CJK and code-like words, and takes
any bitmap as a filter.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.writer import LexicalWriter, open_lexical
from retrieval.index.storage.manifest import LEXICAL
from retrieval.index.storage.settings import LexicalSettings
from retrieval.util.files import Files

SELECTIVITIES = (1.0, 0.5, 0.1, 0.01, 0.001)
HEAP_BYTES = 300_000_000


@dataclass(frozen=True, slots=True)
class Texts:
    """The documents in two columns."""

    titles: list[str]
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Built:
    """A timed index: documents per second, bytes on disk, and its search."""

    rate: float
    size_bytes: int
    search: Callable[[str, int, np.ndarray | None], Sequence[int]]


def read(source: Path) -> Texts:
    file = next(iter(sorted(source.glob("corpus.jsonl*")))) if source.is_dir() else source
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    rows = [json.loads(line) for line in data.splitlines()]
    return Texts([row.get("title") or "" for row in rows], [row["text"] for row in rows])


def build_ours(texts: Texts, folder: Path) -> Built:
    (folder / LEXICAL).mkdir(parents=True)
    keys = np.arange(len(texts.texts), dtype=np.uint64)
    settings = LexicalSettings(stop_words="none")  # as tantivy's analyzer here
    started = time.perf_counter()
    writer = LexicalWriter(folder, settings, None, Files())
    writer.add(keys, texts.titles, texts.texts)
    record = writer.commit(keys)
    seconds = time.perf_counter() - started
    reader: LexicalReader = open_lexical(folder, record, settings, keys, np.ones(len(keys), np.bool_))

    def search(query: str, k: int, allowed: np.ndarray | None) -> Sequence[int]:
        return reader.search(ParsedQuery(query), k, allowed=allowed).rows.tolist()  # type: ignore[no-any-return]

    return Built(len(keys) / seconds, sum(each.size_bytes for each in record.files), search)


def build_tantivy(texts: Texts, folder: Path) -> Built:
    import tantivy

    folder.mkdir()
    stemmed = (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("key", indexed=True, fast=True)
    builder.add_text_field("text", tokenizer_name="stemmed")
    schema = builder.build()
    index = tantivy.Index(schema, str(folder))
    index.register_tokenizer("stemmed", stemmed)
    started = time.perf_counter()
    writer = index.writer(HEAP_BYTES, os.cpu_count() or 1)
    for key, (title, text) in enumerate(zip(texts.titles, texts.texts, strict=True)):
        document = tantivy.Document(text=f"{title} {text}")
        document.add_unsigned("key", key)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    seconds = time.perf_counter() - started
    index.reload()
    searcher = index.searcher()
    size_bytes = sum(each.stat().st_size for each in folder.iterdir())

    def search(query: str, k: int, allowed: np.ndarray | None) -> Sequence[int]:
        terms = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "text", term)) for term in stemmed.analyze(query)
        ]
        wanted = tantivy.Query.boolean_query(terms)
        if allowed is not None:
            keys = tantivy.Query.term_set_query(schema, "key", np.flatnonzero(allowed).tolist())
            within = tantivy.Query.const_score_query(keys, 0.0)
            wanted = tantivy.Query.boolean_query([(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, within)])
        hits = searcher.search(wanted, k, count=False).hits
        return searcher.fast_field_values("key", [address for _, address in hits])  # type: ignore[no-any-return]

    return Built(len(texts.texts) / seconds, size_bytes, search)


def latencies_ms(built: Built, queries: Sequence[str], k: int, allowed: np.ndarray | None) -> list[float]:
    for query in queries[:3]:
        built.search(query, k, allowed)
    taken = []
    for query in queries:
        started = time.perf_counter()
        built.search(query, k, allowed)
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def compare_queries(
    ours: Built, peer: Built, queries: Sequence[str], count: int, arguments: argparse.Namespace
) -> None:
    random = np.random.default_rng(arguments.seed)
    print(f"\n{'filter keeps':>14}{'ours p50':>12}{'p95':>9}{'tantivy p50':>14}{'p95':>9}{'p50 ratio':>12}")
    for share in SELECTIVITIES:
        allowed = None if share == 1.0 else random.random(count) < share
        mine = latencies_ms(ours, queries, arguments.k, allowed)
        theirs = latencies_ms(peer, queries if share in (1.0, 0.01) else queries[:10], arguments.k, allowed)
        middle = statistics.median(mine), statistics.median(theirs)
        print(
            f"{share:>14.1%}{middle[0]:>9.2f} ms{np.percentile(mine, 95):>9.2f}{middle[1]:>11.2f} ms"
            f"{np.percentile(theirs, 95):>9.2f}{middle[1] / middle[0]:>11.1f}×"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--words", type=int, default=12)
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores; python -m benchmarks.lexical {' '.join(sys.argv[1:])}")
    texts = read(arguments.source)
    random = np.random.default_rng(arguments.seed)
    long_enough = [text for text in texts.texts if len(text.split()) >= arguments.words and '"' not in text]
    chosen: list[Any] = random.choice(np.array(long_enough, dtype=object), arguments.queries).tolist()
    queries = [" ".join(text.split()[: arguments.words]).replace(" -", " ") for text in chosen]
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = build_ours(texts, Path(folder, "ours")), build_tantivy(texts, Path(folder, "tantivy"))
        print(f"{len(texts.texts):,} documents; queries of {arguments.words} words, the best {arguments.k}")
        print(f"indexing: ours {ours.rate:,.0f} documents/s in {ours.size_bytes / 1e6:.0f} MB, one core; ", end="")
        print(
            f"tantivy {peer.rate:,.0f} in {peer.size_bytes / 1e6:.0f} MB, all cores; ratio {ours.rate / peer.rate:.2f}×"
        )
        compare_queries(ours, peer, queries, len(texts.texts), arguments)


if __name__ == "__main__":
    main()
