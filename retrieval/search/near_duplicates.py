"""Near duplicates: of hits with nearly equal vectors, only the first stays.

The hits are read in the order of the search.  A hit whose cosine with an earlier hit that stays is at least
`collapse_near` joins that hit; with several such hits, the first of them.  The vector of a document is that of its best
passage.  The number of candidates is the same for every page, so every page is a part of one ranking; the hits beyond
them follow in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.collapsed import LOWEST_NEAR, Collapsed
from retrieval.errors import BadQuery
from retrieval.index.collection.index_reader import IndexReader
from retrieval.results import Total
from retrieval.search.diversity import cosines
from retrieval.search.fusion import PassageRanker
from retrieval.search.hits import rows_of_hits
from retrieval.search.ranking import DocumentRanking, documents_of
from retrieval.types import Bitmap, Rows, SearchRequest
from retrieval.util.arrays import is_member

NEAR_DEPTH = 500  # candidates
_ROUNDING = 1e-6  # of a cosine


@dataclass(frozen=True, slots=True)
class JoinedRanking:
    """A ranking without the hits that are near an earlier one."""

    ranked: DocumentRanking
    total: Total
    collapsed: Mapping[int, Collapsed]  # by `DocumentRanking.units`


def check_near(request: SearchRequest) -> None:
    """Raise BadQuery for a cosine out of range, and for two ways to collapse."""
    if request.collapse_near is None:
        return
    if not LOWEST_NEAR <= request.collapse_near <= 1.0:
        raise BadQuery(f"collapse near is {request.collapse_near}; give a cosine from {LOWEST_NEAR} to 1")
    if request.collapse:
        raise BadQuery(f"the search collapses by {request.collapse!r} and by near duplicates; give one of both")


def depth_of_near(request: SearchRequest) -> int:
    """Return how many hits more a request needs, because near duplicates leave."""
    return 0 if request.collapse_near is None else NEAR_DEPTH


def in_match_set(ranked: DocumentRanking, cut: float | None, rows: Rows | None, reader: IndexReader) -> Bitmap:
    """Return which hits of a ranking are in the match set, (hits,).

    The match set is that of the passages in `rows`, ascending; if that is None, it reaches down to the score `cut`.
    """
    if rows is None:
        return np.asarray(ranked.scores >= (-np.inf if cut is None else cut))
    if ranked.rows is None:
        return documents_of(rows, reader)[ranked.documents]
    return is_member(ranked.rows, rows)


def join_near(
    ranked: DocumentRanking,
    total: Total,
    near: float,
    in_match_set: Bitmap,
    ranker: PassageRanker,
    reader: IndexReader,
) -> JoinedRanking:
    """Join near duplicates as the module describes.

    `total` counts the match set; `in_match_set`, (hits,), tells which hits belong to it.
    """
    count = min(NEAR_DEPTH, len(ranked.documents))
    if not count:
        return JoinedRanking(ranked, total, {})
    leaders = leaders_of(cosines(reader.vectors.rows(rows_of_hits(ranked, count, ranker, reader))), near)
    joins = leaders != np.arange(count)
    matching = in_match_set[:count]
    members = np.bincount(leaders[matching], minlength=count)
    more = members - matching
    kept = np.concatenate([np.flatnonzero(~joins), np.arange(count, len(ranked.documents))])
    collapsed = {
        int(ranked.units[position]): Collapsed(None, int(more[position])) for position in np.flatnonzero(~joins)
    }
    return JoinedRanking(
        ranked.take(kept), replace(total, value=total.value - int(np.maximum(members - 1, 0).sum())), collapsed
    )


def leaders_of(cosine: NDArray[np.float64], near: float) -> NDArray[np.int64]:
    """Return for each of n candidates the first one that stays and is near, or itself.

    cosine: (n, n), of the candidates with each other.
    """
    leaders = np.full(len(cosine), -1, np.int64)
    for position in range(len(cosine)):
        if leaders[position] < 0:
            joining = (leaders < 0) & (cosine[position] >= near - _ROUNDING)
            leaders[joining] = position
            leaders[position] = position
    return leaders
