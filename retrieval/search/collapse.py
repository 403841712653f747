"""Collapse: of the documents with one value of a field, only the best is a hit.

The best one is the first in the order of the search: by score, by the field of `sort`, or by the place in the
collection if the query lists all documents.  A document without the field stays a hit of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.collapsed import Collapsed
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.schema import plain_number
from retrieval.index.metadata.sorting import order_by, parse_sort
from retrieval.results import Hit
from retrieval.search.fusion import PassageRanker
from retrieval.search.ranking import DocumentRanking, document_scores
from retrieval.types import Bitmap, Rows, Scores, SearchRequest

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CollapsedRanking:
    """A ranking of the best document of each value."""

    ranked: DocumentRanking
    total: int  # hits in the match set
    collapsed: Mapping[int, Collapsed]  # by document row of `ranked`; none without the field


def rank_collapsed(
    request: SearchRequest, ranker: PassageRanker, reader: IndexReader, depth: int, matching: Bitmap
) -> CollapsedRanking:
    """Return the first `depth` hits; `matching`, (documents,), is the match set."""
    documents, scores = document_scores(ranker, reader)
    least = -np.inf if request.min_score is None else request.min_score
    kept = matching[documents] if request.sort else scores >= least
    documents, scores = documents[kept], scores[kept]
    if not len(documents):
        return CollapsedRanking(DocumentRanking(documents, scores), 0, {})
    groups, has_value = _groups(reader.column(request.collapse), documents)
    sizes = np.bincount(groups[matching[documents]], minlength=int(groups.max()) + 1)
    chosen = _best(groups, _positions(request, reader, documents, scores), documents, reader, depth)
    ranked = DocumentRanking(documents[chosen], scores[chosen])
    named = chosen[has_value[chosen]]
    values = reader.column(request.collapse).take(pa.array(documents[named])).to_pylist()
    more = np.maximum(sizes[groups[named]] - 1, 0).tolist()
    collapsed = {
        document: Collapsed(_shown(value), count)
        for document, value, count in zip(documents[named].tolist(), values, more, strict=True)
    }
    return CollapsedRanking(ranked, int(np.count_nonzero(sizes)), collapsed)


def with_collapsed(hits: Sequence[Hit], units: Rows, collapsed: Mapping[int, Collapsed]) -> tuple[Hit, ...]:
    """Return hits that tell for how many documents they stand.

    `units` has the row of each hit, as `DocumentRanking.units`, and may go on.
    """
    rows = units[: len(hits)].tolist()
    return tuple(replace(hit, collapsed=collapsed.get(row)) for hit, row in zip(hits, rows, strict=True))


def _groups(column: pa.ChunkedArray, documents: Rows) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return a number for each value, from 0, and whether a document has one.

    Each document without a value has a number of its own.
    """
    encoded = column.take(pa.array(documents)).combine_chunks().dictionary_encode()
    groups = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    has_value = groups >= 0
    missing = np.flatnonzero(~has_value)
    groups[missing] = len(encoded.dictionary) + np.arange(len(missing))
    return groups, has_value


def _positions(request: SearchRequest, reader: IndexReader, documents: Rows, scores: Scores) -> Numbers:
    """Return the position of each document in the order of the search; ties share one."""
    if request.lists_all and not request.sort and not request.boosts:
        return np.arange(len(documents), dtype=np.int64)
    ranks = np.zeros(len(documents), np.int64)
    if request.sort:
        ranks = order_by(reader.column, documents, parse_sort(request.sort, reader.schema))
    order = np.lexsort((-scores, ranks))
    differs = (np.diff(ranks[order]) != 0) | (np.diff(scores[order]) != 0)
    positions = np.empty(len(documents), np.int64)
    positions[order] = np.concatenate([[0], np.cumsum(differs)])
    return positions


def _best(groups: Numbers, positions: Numbers, documents: Rows, reader: IndexReader, depth: int) -> Numbers:
    """Return the indices of the first `depth` groups' best by (position, id)."""
    best = np.full(int(groups.max()) + 1, len(positions), np.int64)
    np.minimum.at(best, groups, positions)
    last = np.partition(best, depth - 1)[depth - 1] if depth < len(best) else len(positions)
    tied = np.flatnonzero((positions == best[groups]) & (positions <= last))
    ids = reader.ids(documents[tied])
    order = np.array(sorted(range(len(tied)), key=lambda i: (positions[tied[i]], ids[i])), np.int64)
    _, first = np.unique(groups[tied[order]], return_index=True)
    chosen: Numbers = tied[order[np.sort(first)]][:depth]
    return chosen


def _shown(value: str | float | bool | datetime) -> str | float | bool:
    return value.isoformat() if isinstance(value, datetime) else plain_number(value)
