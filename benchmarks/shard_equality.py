"""Compare a collection with its documents in shards: order and scores, bit by bit.

    python -m benchmarks.shard_equality COLLECTION QUERIES.jsonl --shards 2,4,8
    python -m benchmarks.shard_equality COLLECTION QUERIES.jsonl --documents 100000 --exact

It copies documents, passages and vectors, so that only the queries are encoded, and prints a line for each number of
shards.  The exit code is 1 if an answer differs.  Give `--exact` for a collection with an ANN index: each shard chooses
its own, so that approximate search can find other neighbours.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from indexer.writing.sharded_writer import open_writer
from retrieval.encoder.loading import load_recorded_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.search.request import checked
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Mode, Passage, SearchRequest, Vectors

BLOCK = 2_048  # documents
HITS = 20
Block = tuple[list[Document], list[list[Passage]], Vectors]


def blocks(reader: IndexReader, documents: int) -> Iterator[Block]:
    """Yield the first live documents with their passages and vectors."""
    rows = np.flatnonzero(reader.live_documents)[:documents]
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        first = np.searchsorted(reader.document_of, some)
        last = np.searchsorted(reader.document_of, some, side="right")
        passages = [reader.passages(np.arange(low, high)) for low, high in zip(first, last, strict=True)]
        all_rows = np.concatenate([np.arange(low, high) for low, high in zip(first, last, strict=True)])
        yield reader.documents(some), passages, reader.vectors.rows(all_rows)


def copy(reader: IndexReader, encoder: SentenceEncoder, path: Path, shards: int, documents: int) -> Searcher:
    """Return a searcher of a copy in so many shards; 0 for one collection."""
    with open_writer(path, create=reader.manifest.settings, shards=shards) as writer:
        for made, passages, vectors in blocks(reader, documents):
            writer.add(made, passages, vectors)
        writer.commit(encoder)
    return open_searcher(path, encoder=encoder)


def answers(searcher: Searcher, requests: Sequence[SearchRequest]) -> list[list[tuple[str, float]]]:
    """Return ids and scores of the hits of each request."""
    return [
        [(hit.id, hit.score) for hit in searcher.answer(encoded).hits]
        for each in requests
        for encoded in searcher.encoded([each])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("queries", type=Path, help="JSONL with a field `text`")
    parser.add_argument("--shards", default="2,4,8")
    parser.add_argument("--documents", type=int, default=sys.maxsize)
    parser.add_argument("--most", type=int, default=sys.maxsize, help="queries")
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    lines = options.queries.read_text(encoding="utf-8").splitlines()[: options.most]
    requests = [
        checked(SearchRequest(json.loads(line)["text"], mode=mode, k=HITS, exact=options.exact))
        for line in lines
        for mode in (Mode.DENSE, Mode.LEXICAL, Mode.HYBRID)
    ]
    differ = 0
    with open_index_reader(options.collection) as reader, tempfile.TemporaryDirectory() as folder:
        encoder = load_recorded_encoder(reader.manifest.encoder)
        expected = answers(copy(reader, encoder, Path(folder) / "one", 0, options.documents), requests)
        for count in map(int, options.shards.split(",")):
            found = answers(copy(reader, encoder, Path(folder) / str(count), count, options.documents), requests)
            wrong = sum(one != other for one, other in zip(expected, found, strict=True))
            print(f"{reader.name}, {count} shards, {len(lines):,} queries: {wrong} of {len(found):,} answers differ")
            differ += wrong
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
