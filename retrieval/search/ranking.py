"""Documents in the order of an answer: by score or by a field, and all those that match."""

from __future__ import annotations

import numpy as np

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.facets import order_by
from retrieval.search.grouping import DocumentRanking, group, order_ties, settled
from retrieval.search.retrievers import Retrieval
from retrieval.types import Bitmap, Rows, Scores

_SPARE_PASSAGES = 10  # asked for beyond the documents that are wanted


def by_score(retrieval: Retrieval, reader: IndexReader, depth: int, min_score: float | None) -> DocumentRanking:
    """The first `depth` documents by (score descending, id ascending); more passages are asked for until it is sure."""
    asked = depth + _SPARE_PASSAGES
    while True:
        ranking = retrieval.rank(asked)
        grouped = group(ranking, reader.document_of)
        if settled(ranking, grouped, depth, asked):
            ordered = order_ties(grouped, reader.ids, depth)
            return ordered if min_score is None else _at_least(ordered, min_score)
        asked *= 2


def by_field(
    retrieval: Retrieval, reader: IndexReader, depth: int, min_score: float | None, sort: str
) -> DocumentRanking:
    """The first `depth` matching documents by (field, score descending, id ascending); `-field` is descending."""
    documents = np.flatnonzero(matching(retrieval, reader, min_score))
    ranks = order_by(reader.column(sort.removeprefix("-")), documents, descending=sort.startswith("-"))
    if len(documents) > depth:
        reach = np.partition(ranks, depth - 1)[depth - 1]
        documents, ranks = documents[ranks <= reach], ranks[ranks <= reach]
    scores = _document_scores(retrieval, reader, documents)
    ids = reader.ids(documents)
    order = sorted(range(len(documents)), key=lambda i: (ranks[i], -scores[i], ids[i]))[:depth]
    return DocumentRanking(documents[order], scores[order])


def matching(retrieval: Retrieval, reader: IndexReader, min_score: float | None) -> Bitmap:
    """Every document with a matching passage, (documents,), of at least `min_score` where that is given."""
    rows = np.flatnonzero(retrieval.matches())
    if min_score is not None:
        rows = rows[retrieval.score(rows).score >= min_score]
    found = np.zeros(len(reader.live_documents), np.bool_)
    found[reader.document_of[rows]] = True
    return found & reader.live_documents


def _document_scores(retrieval: Retrieval, reader: IndexReader, documents: Rows) -> Scores:
    """The best score of a matching passage of each document; `documents` ascend."""
    wanted = np.zeros(len(reader.live_documents), np.bool_)
    wanted[documents] = True
    rows = np.flatnonzero(wanted[reader.document_of] & retrieval.matches())
    best = np.full(len(reader.live_documents), -np.inf, np.float32)
    np.maximum.at(best, reader.document_of[rows], retrieval.score(rows).score)
    scores: Scores = best[documents]
    return scores


def _at_least(ranking: DocumentRanking, min_score: float) -> DocumentRanking:
    kept = ranking.scores >= min_score
    return DocumentRanking(ranking.documents[kept], ranking.scores[kept])
