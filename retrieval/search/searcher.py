"""A collection and its encoder, put together to answer queries: encode → retrieve → group → fetch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import DocumentNotFound
from retrieval.index.snapshot import Snapshot, open_snapshot
from retrieval.search.canaries import check_canaries, check_fingerprint
from retrieval.search.grouping import DocumentRanking, group, order_ties, settled
from retrieval.search.reasons import Reasons
from retrieval.search.request import checked
from retrieval.types import (
    Document,
    Hit,
    Mode,
    PassageHit,
    Ranking,
    ScoreParts,
    SearchRequest,
    SearchResult,
    Timings,
    Vectors,
)


class Searcher:
    """Answers searches over one open generation.  Safe to call from several threads."""

    def __init__(self, snapshot: Snapshot, encoder: SentenceEncoder) -> None:
        self.snapshot = snapshot
        self.encoder = encoder
        self.reasons = Reasons(snapshot, encoder)

    def __enter__(self) -> Searcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the generation go."""
        self.snapshot.close()

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one request.  Raises BadQuery and FilterError for what cannot be answered."""
        return self.search_many([request])[0]

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """Answer several requests; their queries are encoded together."""
        requests = [checked(request) for request in requests]
        started = time.perf_counter()
        vectors = self.encoder.encode_queries([request.query for request in requests])
        encode_ms = _ms_since(started)
        return [self._answer(request, vector, encode_ms) for request, vector in zip(requests, vectors, strict=True)]

    def document(self, document_id: str) -> Document:
        """The live document with that id; DocumentNotFound otherwise."""
        row = self.snapshot.find(document_id)
        if row is None:
            raise DocumentNotFound(f"no document {document_id!r} in {self.snapshot.name}")
        return self.snapshot.documents([row])[0]

    def _answer(self, request: SearchRequest, vector: NDArray[np.float32], encode_ms: float) -> SearchResult:
        started = time.perf_counter()
        ranked = self._retrieve(request, vector[np.newaxis])
        retrieve_ms = _ms_since(started)
        fetched = time.perf_counter()
        hits = self._fetch(request, vector, ranked)
        fetch_ms = _ms_since(fetched)
        if request.explain:
            hits = self.reasons.added(request.query, hits, Mode.DENSE)
        return SearchResult(
            query=request.query,
            collection=self.snapshot.name,
            generation=self.snapshot.manifest.generation,
            mode=Mode.DENSE,
            hits=hits,
            timings_ms=Timings(encode_ms, retrieve_ms, fetch_ms, encode_ms + retrieve_ms + fetch_ms),
        )

    def _retrieve(self, request: SearchRequest, vector: Vectors) -> DocumentRanking:
        """The first offset + k documents; more passages are asked for until none beyond can matter."""
        depth = request.offset + request.k
        asked = depth + 10
        while True:
            ranking: Ranking = self.snapshot.vectors.search(vector, asked, allowed=self.snapshot.live)[0]
            grouped = group(ranking, self.snapshot.document_of)
            if settled(ranking, grouped, depth, asked):
                return order_ties(grouped, self.snapshot.ids, depth)
            asked *= 2

    def _fetch(
        self, request: SearchRequest, vector: NDArray[np.float32], ranked: DocumentRanking
    ) -> tuple[Hit, ...]:
        page = slice(request.offset, request.offset + request.k)
        documents = self.snapshot.documents(ranked.documents[page])
        return tuple(
            self._hit(rank, document, int(row), float(score), request, vector)
            for rank, (document, row, score) in enumerate(
                zip(documents, ranked.documents[page], ranked.scores[page], strict=True), start=request.offset + 1
            )
        )

    def _hit(
        self,
        rank: int,
        document: Document,
        row: int,
        score: float,
        request: SearchRequest,
        vector: NDArray[np.float32],
    ) -> Hit:
        first, last = np.searchsorted(self.snapshot.document_of, [row, row + 1])
        rows = np.arange(first, last, dtype=np.int64)
        scores = self.snapshot.vectors.score(vector, rows)
        best = np.argsort(-scores, kind="stable")[: request.passages_per_document]
        passages = tuple(
            PassageHit(document.text[each.start : each.end], each.start, each.end, float(value), each.location)
            for each, value in zip(self.snapshot.passages(rows[best]), scores[best], strict=True)
        )
        return Hit(
            rank=rank,
            id=document.id,
            score=score,
            title=document.title,
            text=document.text,
            metadata=document.metadata,
            passages=passages,
            scores=ScoreParts(dense=score),
        )


def open_searcher(path: Path, *, encoder: SentenceEncoder | None = None, generation: int | None = None) -> Searcher:
    """Open a collection with the encoder that made it, or check that `encoder` is the same one.

    Raises NotACollection, CorruptCollection, EncoderMismatch.
    """
    snapshot = open_snapshot(path, generation)
    try:
        made_by = snapshot.manifest.encoder
        encoder = encoder or load_encoder(made_by.name)
        check_fingerprint(snapshot.name, made_by, encoder.fingerprint)
        canaries = snapshot.manifest.canaries
        check_canaries(snapshot.name, canaries.texts, canaries.vectors, encoder)
    except BaseException:
        snapshot.close()
        raise
    return Searcher(snapshot, encoder)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
