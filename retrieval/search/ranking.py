"""Document rankings: group passages into documents; order by score or by a field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.sorting import order_by, parse_sort
from retrieval.search.fusion import PassageRanker
from retrieval.types import Bitmap, Ranking, Rows, Scores

_SPARE_PASSAGES = 10  # passages in the first round beyond the number of documents


@dataclass(frozen=True, slots=True)
class DocumentRanking:
    """Document rows, best first, each with the score of its best passage.

    A ranking of passages has their rows, too; then a document has a place for each of its passages.
    """

    documents: NDArray[np.int64]
    scores: Scores
    rows: Rows | None = None

    @property
    def units(self) -> Rows:
        """The rows of what is ranked: passages, or documents."""
        return self.documents if self.rows is None else self.rows

    def take(self, positions: Rows) -> DocumentRanking:
        """Return the ranking of some positions, in their order."""
        rows = None if self.rows is None else self.rows[positions]
        return DocumentRanking(self.documents[positions], self.scores[positions], rows)


def rank_by_score(
    ranker: PassageRanker, reader: IndexReader, depth: int, min_score: float | None = None
) -> DocumentRanking:
    """Return the first `depth` documents by (score descending, id ascending).

    Each round doubles the number of passages, until no further passage can change the result.
    """
    count = depth + _SPARE_PASSAGES
    while True:
        ranking = ranker.rank(count)
        grouped = group(ranking, reader.document_of)
        if settled(ranking, grouped, depth, count):
            ordered = order_ties(grouped, reader.ids, depth)
            kept = ordered.scores >= (-np.inf if min_score is None else min_score)
            return DocumentRanking(ordered.documents[kept], ordered.scores[kept])
        count *= 2


def rank_passages(
    ranker: PassageRanker, reader: IndexReader, depth: int, min_score: float | None = None
) -> DocumentRanking:
    """Return the first `depth` passages by (score descending, id, row ascending)."""

    def tie_keys(rows: Rows) -> list[tuple[str, int]]:
        return list(zip(reader.ids(reader.document_of[rows]), rows.tolist(), strict=True))

    count = depth + _SPARE_PASSAGES
    while True:
        ranking = ranker.rank(count)
        each_alone = DocumentRanking(ranking.rows, ranking.scores)
        if settled(ranking, each_alone, depth, count):
            ordered = order_ties(each_alone, tie_keys, depth)
            kept = ordered.scores >= (-np.inf if min_score is None else min_score)
            return passage_ranking(ordered.documents[kept], ordered.scores[kept], reader)
        count *= 2


def passage_ranking(rows: Rows, scores: Scores, reader: IndexReader) -> DocumentRanking:
    """Return a ranking of passages."""
    return DocumentRanking(reader.document_of[rows], scores, rows)


def rank_by_field(
    ranker: PassageRanker, reader: IndexReader, depth: int, min_score: float | None, sort: str
) -> DocumentRanking:
    """Return the first `depth` documents by (fields, score descending, id ascending).

    `sort` names fields, as in `metadata/sorting.py`.
    """
    documents = np.flatnonzero(matching_documents(ranker, reader, min_score))
    ranks = order_by(reader.column, documents, parse_sort(sort, reader.schema))
    if len(documents) > depth:
        last_rank = np.partition(ranks, depth - 1)[depth - 1]
        documents, ranks = documents[ranks <= last_rank], ranks[ranks <= last_rank]
    scores = _document_scores(ranker, reader, documents)
    ids = reader.ids(documents)
    order = sorted(range(len(documents)), key=lambda i: (ranks[i], -scores[i], ids[i]))[:depth]
    return DocumentRanking(documents[order], scores[order])


def ordered_by_field(reader: IndexReader, documents: Rows, sort: str) -> Rows:
    """Return documents by (fields, position in the collection), as `rank_by_field`.

    Documents without a field come last in its order.  Raises FilterError.
    """
    ranks = order_by(reader.column, documents, parse_sort(sort, reader.schema))
    return documents[np.lexsort((documents, ranks))]


def unranked(documents: Bitmap, depth: int) -> DocumentRanking:
    """Return the first `depth` of the documents, in the order of the collection."""
    first = np.flatnonzero(documents)[:depth]
    return DocumentRanking(first, np.zeros(len(first), np.float32))


def unranked_passages(rows: Rows, reader: IndexReader, depth: int) -> DocumentRanking:
    """Return the first `depth` of the passages, in the order of the collection."""
    first = rows[:depth]
    return passage_ranking(first, np.zeros(len(first), np.float32), reader)


def matching_documents(ranker: PassageRanker, reader: IndexReader, min_score: float | None) -> Bitmap:
    """Return documents with a matching passage of at least `min_score`, (documents,)."""
    return documents_of(matching_passages(ranker, min_score), reader)


def matching_passages(ranker: PassageRanker, min_score: float | None) -> Rows:
    """Return the matching rows with a score of at least `min_score`, ascending."""
    rows = np.flatnonzero(ranker.matches())
    return rows if min_score is None else rows[ranker.score(rows).score >= min_score]


def documents_of(rows: Rows, reader: IndexReader) -> Bitmap:
    """Return the live documents of passages, (documents,)."""
    found = np.zeros(len(reader.live_documents), np.bool_)
    found[reader.document_of[rows]] = True
    return found & reader.live_documents


def group(ranking: Ranking, document_of: NDArray[np.int64]) -> DocumentRanking:
    """Return documents by their best passage (MaxP, Dai and Callan 2019)."""
    documents = document_of[ranking.rows]
    _, first = np.unique(documents, return_index=True)
    first.sort()
    return DocumentRanking(documents[first], ranking.scores[first])


def settled(ranking: Ranking, grouped: DocumentRanking, depth: int, count: int) -> bool:
    """Check whether further passages leave the first `depth` documents unchanged.

    `ranking` is the answer for `count` passages.  Documents that tie with the last one count too.
    """
    if len(ranking.rows) < count:
        return True
    return len(grouped.scores) > depth and bool(grouped.scores[depth - 1] > ranking.scores[-1])


def order_ties(
    grouped: DocumentRanking, ids_of: Callable[[NDArray[np.int64]], Sequence[Any]], depth: int
) -> DocumentRanking:
    """Return the first `depth` documents by (score descending, id ascending)."""
    end = len(grouped.scores)
    if depth < end:  # all documents that tie with the last one
        end = int(np.searchsorted(-grouped.scores, -grouped.scores[depth - 1], side="right"))
    documents, scores = grouped.documents[:end], grouped.scores[:end]
    if np.all(scores[1:] < scores[:-1]):
        return DocumentRanking(documents[:depth], scores[:depth])
    ids = ids_of(documents)
    order = np.array(sorted(range(end), key=lambda i: (-scores[i], ids[i]))[:depth], dtype=np.int64)
    return DocumentRanking(documents[order], scores[order])


def document_scores(
    ranker: PassageRanker, reader: IndexReader, min_score: float | None = None, among: Bitmap | None = None
) -> tuple[Rows, Scores]:
    """Return all matching live documents, ascending, and the best score of each.

    `among`, (documents,), and `min_score` leave some out.
    """
    matching = ranker.matches()
    rows = np.flatnonzero(matching if among is None else matching & among[reader.document_of])
    best = np.full(len(reader.live_documents), -np.inf, np.float32)
    np.maximum.at(best, reader.document_of[rows], ranker.score(rows).score)
    lowest = best > -np.inf if min_score is None else (best > -np.inf) & (best >= min_score)
    documents = np.flatnonzero(lowest & reader.live_documents)
    return documents, best[documents]


def _document_scores(ranker: PassageRanker, reader: IndexReader, documents: Rows) -> Scores:
    """Return each document's best matching score; `documents` are ascending."""
    wanted = np.zeros(len(reader.live_documents), np.bool_)
    wanted[documents] = True
    rows = np.flatnonzero(wanted[reader.document_of] & ranker.matches())
    best = np.full(len(reader.live_documents), -np.inf, np.float32)
    np.maximum.at(best, reader.document_of[rows], ranker.score(rows).score)
    scores: Scores = best[documents]
    return scores
