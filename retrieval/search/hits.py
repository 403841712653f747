"""Ranked documents to hits: what is read of them, their best passages, why these are shown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from retrieval.index.collection.index_reader import IndexReader
from retrieval.search.grouping import DocumentRanking
from retrieval.search.retrievers import Retrieval, RowScores
from retrieval.types import Document, Hit, Passage, PassageHit, Rows, ScoreParts, Scores, SearchRequest


def fetch(
    request: SearchRequest, ranked: DocumentRanking, retrieval: Retrieval, reader: IndexReader
) -> tuple[Hit, ...]:
    """The hits of the page that is asked for."""
    page = slice(request.offset, request.offset + request.k)
    documents = ranked.documents[page]
    if not len(documents):
        return ()
    rows = _rows(documents, retrieval, reader)
    scores = retrieval.score(np.concatenate(rows))
    best = _best(scores.score, [len(each) for each in rows], request.passages_per_document)
    if retrieval.words_alone and scores.lexical is not None:
        best = [places[scores.lexical[places] > 0] for places in best]
    passages = iter(reader.passages(np.concatenate(rows)[np.concatenate(best)]))
    return tuple(
        _hit(rank, document, float(score), [(place, next(passages)) for place in places.tolist()], scores, request)
        for rank, (document, score, places) in enumerate(
            zip(reader.documents(documents), ranked.scores[page], best, strict=True), start=request.offset + 1
        )
    )


def _rows(documents: Rows, retrieval: Retrieval, reader: IndexReader) -> list[Rows]:
    """The passages of each document that may match."""
    ends = np.searchsorted(reader.document_of, [documents, documents + 1]).T.tolist()
    rows = [np.arange(first, last, dtype=np.int64) for first, last in ends]
    return rows if retrieval.allowed is None else [each[retrieval.allowed[each]] for each in rows]


def _best(scores: Scores, sizes: Sequence[int], count: int) -> list[Rows]:
    """Places of the best passages, best first, of documents that have `sizes` of them, one after the other."""
    order = np.lexsort((-scores, np.repeat(np.arange(len(sizes)), sizes)))
    starts = accumulate(sizes, initial=0)
    return [order[start : start + min(size, count)] for start, size in zip(starts, sizes, strict=False)]


def _hit(
    rank: int,
    document: Document,
    score: float,
    passages: Sequence[tuple[int, Passage]],
    scores: RowScores,
    request: SearchRequest,
) -> Hit:
    shown = tuple(
        PassageHit(
            document.text[each.start : each.end], each.start, each.end, float(scores.score[place]), each.location
        )
        for place, each in passages
    )
    best = passages[0][0]
    metadata = document.metadata
    if request.fields is not None:
        metadata = {name: value for name, value in metadata.items() if name in request.fields}
    return Hit(
        rank=rank,
        id=document.id,
        score=score,
        title=document.title,
        text=document.text,
        metadata=metadata,
        passages=shown,
        scores=ScoreParts(_at(scores.dense, best), _at(scores.lexical, best), _at(scores.fused, best)),
    )


def _at(scores: Scores | None, place: int) -> float | None:
    return None if scores is None else float(scores[place])
