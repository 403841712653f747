"""Diversity: order the first hits so that each differs from those before it.

Maximal marginal relevance (Carbonell and Goldstein 1998) chooses one candidate after the other, the most relevant one
first, then each time the one with the greatest

    (1 - diversity) · relevance - diversity · greatest cosine with a chosen candidate

The vector of a document is that of its best passage.  The relevance is the score of the ranking: in dense mode as it
is, a cosine; in other modes scaled to 0 to 1 over the candidates.  The number of candidates is the same for every page,
so every page is a part of one ranking; the hits beyond them follow in their order.  `diversity_depth` sets it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadQuery
from retrieval.index.collection.index_reader import IndexReader
from retrieval.search.fusion import PassageRanker
from retrieval.search.hits import rows_of_hits
from retrieval.search.ranking import DocumentRanking
from retrieval.types import Mode, SearchRequest, Vectors

DIVERSITY_DEPTH, MAX_DIVERSITY_DEPTH = 100, 1_000  # candidates

Values = NDArray[np.float64]


def check_diversity(request: SearchRequest) -> None:
    """Raise BadQuery for a value out of range, and without an order by score."""
    if not 0.0 <= request.diversity <= 1.0:
        raise BadQuery(f"diversity is {request.diversity}; give a number from 0 to 1")
    depth = request.diversity_depth
    if depth is not None and not 1 <= depth <= MAX_DIVERSITY_DEPTH:
        raise BadQuery(f"diversity_depth is {depth}; give 1 to {MAX_DIVERSITY_DEPTH:,}")
    if not request.diversity:
        if depth is not None:
            raise BadQuery("diversity_depth has no effect without diversity; give both or none")
        return
    for name in ("sort", "rerank"):
        if getattr(request, name):
            raise BadQuery(f"diversity and {name} both order the hits; give one of both")
    if request.lists_all:
        raise BadQuery("the query lists all documents without scores, which diversity needs; give the query words")


def depth_of_diversity(request: SearchRequest) -> int:
    """Return how many hits of the ranking a request needs for diversity."""
    return (request.diversity_depth or DIVERSITY_DEPTH) if request.diversity else 0


def diversified(
    ranked: DocumentRanking, request: SearchRequest, mode: Mode, ranker: PassageRanker, reader: IndexReader
) -> DocumentRanking:
    """Order the first hits as the module describes; they keep their scores."""
    count = min(depth_of_diversity(request), len(ranked.documents))
    if count < 2:
        return ranked
    relevance = ranked.scores[:count].astype(np.float64)
    if mode is not Mode.DENSE:
        relevance = _scaled(relevance)
    vectors = reader.vectors.rows(rows_of_hits(ranked, count, ranker, reader))
    chosen = marginal_relevance_order(relevance, cosines(vectors), request.diversity)
    return ranked.take(np.concatenate([chosen, np.arange(count, len(ranked.documents))]))


def marginal_relevance_order(relevance: Values, cosines: Values, diversity: float) -> NDArray[np.int64]:
    """Return all n candidates in the order of choice; of equal ones, the first wins.

    relevance: (n,).  cosines: (n, n), of the candidates with each other.
    """
    weighted = (1.0 - diversity) * relevance
    order = np.empty(len(relevance), np.int64)
    order[0] = np.argmax(relevance)
    redundancy = cosines[order[0]].copy()  # greatest cosine with a chosen candidate
    left = np.ones(len(relevance), np.bool_)
    for place in range(1, len(order)):
        left[order[place - 1]] = False
        order[place] = np.argmax(np.where(left, weighted - diversity * redundancy, -np.inf))
        np.maximum(redundancy, cosines[order[place]], out=redundancy)
    return order


def _scaled(scores: Values) -> Values:
    """Map the lowest score to 0 and the highest to 1; equal scores all to 0."""
    low, high = scores.min(), scores.max()
    scaled: Values = (scores - low) / ((high - low) or 1.0)
    return scaled


def cosines(vectors: Vectors) -> Values:
    """Return the cosines of n vectors with each other, (n, n)."""
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0.0, lengths, 1.0)
    return np.asarray(unit @ unit.T)
