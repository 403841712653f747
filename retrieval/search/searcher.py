"""A collection and its encoder, put together to answer queries: encode → plan → rank → count → fetch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import DocumentNotFound
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.metadata.facets import count_values
from retrieval.search.encoder_check import check_canaries, check_fingerprint
from retrieval.search.explain.highlight import Marks
from retrieval.search.explain.hit_explanation import Reasons
from retrieval.search.grouping import DocumentRanking
from retrieval.search.hits import fetch
from retrieval.search.plan import Plan, plan, retrieval, text_to_encode
from retrieval.search.ranking import by_field, by_score, matching
from retrieval.search.readability import Readability
from retrieval.search.request import checked
from retrieval.search.retrievers import Retrieval
from retrieval.types import Document, FacetCount, Hit, Mode, SearchRequest, SearchResult, Timings


@dataclass(frozen=True, slots=True)
class Encoded:
    """A checked request, the vector of its query, (dimension,), where it needs one, and what encoding took."""

    request: SearchRequest
    vector: NDArray[np.float32] | None
    encode_ms: float


class Searcher:
    """Answers searches over one open generation.  Safe to call from several threads."""

    def __init__(self, reader: IndexReader, encoder: SentenceEncoder) -> None:
        self.reader = reader
        self.encoder = encoder
        self.reasons = Reasons(reader, encoder)
        self._readability = Readability(encoder.tokenizer)

    def __enter__(self) -> Searcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the generation go."""
        self.reader.close()

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one request.  Raises BadQuery and FilterError for what cannot be answered."""
        return self.search_many([request])[0]

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """Answer several requests; their queries are encoded together."""
        return [self.answer(each) for each in self.encoded([checked(request) for request in requests])]

    def encoded(self, requests: Sequence[SearchRequest], *, thrifty: bool = False) -> list[Encoded]:
        """Checked requests with the vectors of their queries, which are encoded together, `thrifty` or soon."""
        started = time.perf_counter()
        texts = [text_to_encode(request, self.reader) for request in requests]
        some = [text for text in texts if text]
        vectors = iter(self.encoder.encode_queries(some, thrifty=thrifty) if some else ())
        encode_ms = _ms_since(started)
        return [
            Encoded(request, next(vectors) if text else None, encode_ms)
            for request, text in zip(requests, texts, strict=True)
        ]

    def answer(self, encoded: Encoded) -> SearchResult:
        """Rank, count and fetch.  Raises BadQuery and FilterError for what cannot be answered."""
        request, vector, encode_ms = encoded.request, encoded.vector, encoded.encode_ms
        started = time.perf_counter()
        planned = plan(request, self.reader, self._readability)
        found = retrieval(planned, self.reader, vector)
        ranked = self._ranked(found, request)
        facets = self._facets(found, request)
        retrieve_ms = _ms_since(started)
        fetched = time.perf_counter()
        hits = fetch(request, ranked, found, self.reader)
        if request.highlight:
            hits = self._highlighted(planned, vector, hits)
        fetch_ms = _ms_since(fetched)
        if request.explain:
            hits = self.reasons.added(request.query, hits, planned.mode, vector)
        total_ms = encode_ms + _ms_since(started)
        return SearchResult(
            query=request.query,
            collection=self.reader.name,
            generation=self.reader.manifest.generation,
            mode=planned.mode,
            hits=hits,
            timings_ms=Timings(encode_ms, retrieve_ms, fetch_ms, total_ms),
            facets=facets,
            weight=planned.weight.value if planned.weight else None,
            weight_reason=planned.weight.reason if planned.weight else "",
        )

    def document(self, document_id: str) -> Document:
        """The live document with that id; DocumentNotFound otherwise."""
        row = self.reader.find(document_id)
        if row is None:
            raise DocumentNotFound(f"no document {document_id!r} in {self.reader.name}")
        return self.reader.documents([row])[0]

    def _ranked(self, found: Retrieval, request: SearchRequest) -> DocumentRanking:
        depth = request.offset + request.k
        if request.sort:
            return by_field(found, self.reader, depth, request.min_score, request.sort)
        return by_score(found, self.reader, depth, request.min_score)

    def _facets(self, found: Retrieval, request: SearchRequest) -> dict[str, tuple[FacetCount, ...]]:
        if not request.facets:
            return {}
        documents = matching(found, self.reader, request.min_score)
        return {field: count_values(self.reader.column(field), documents) for field in request.facets}

    def _highlighted(self, plan: Plan, vector: NDArray[np.float32] | None, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        words = self.reader.lexical
        marks = Marks(
            words if plan.mode is not Mode.DENSE else None,
            self.encoder if vector is not None else None,
        )
        return marks.added(plan.request.query, vector, hits)


def open_searcher(
    path: Path,
    *,
    encoder: SentenceEncoder | None = None,
    generation: int | None = None,
    previous: IndexReader | None = None,
) -> Searcher:
    """Open a collection with the encoder that made it, or check that `encoder` is the same one.

    With `previous`, an earlier generation that is open, only what changed since is opened, and canaries that it had
    are not encoded again.  Raises NotACollection, CorruptCollection, EncoderMismatch.
    """
    reader = open_index_reader(path, generation, previous=previous)
    try:
        made_by = reader.manifest.encoder
        encoder = encoder or load_encoder(made_by.name)
        check_fingerprint(reader.name, made_by, encoder.fingerprint)
        canaries = reader.manifest.canaries
        if previous is None or previous.manifest.encoder != made_by:
            check_canaries(reader.name, canaries.texts, canaries.vectors, encoder)
    except BaseException:
        reader.close()
        raise
    return Searcher(reader, encoder)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
