"""The match set of a query: the documents that facets, totals and sorting count.

In dense, sparse and hybrid mode nearly every document has some score, so a cut divides those that are relevant from
the rest: a share of the best score, both measured from the mean of unrelated texts.  The match set is the first part of
the ranking.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.index_reader import IndexReader
from retrieval.results import Confidence, Total, TotalRelation
from retrieval.search.feedback import Feedback
from retrieval.search.fusion import PassageRanker
from retrieval.search.plan import Plan
from retrieval.search.ranking import DocumentRanking
from retrieval.types import Matching, Mode

RELEVANT_SHARE = 0.4  # of the best score, unless the request has its own
CLOSE_DEVIATIONS = 2.5  # above the mean of unrelated cosines; a passage below is close to nothing


def relevance_cut(plan: Plan, reader: IndexReader, best: float) -> float | None:
    """Return the lowest score of a relevant document; None if all are relevant.

    `best` is the best score of the ranking.
    """
    background = reader.manifest.background
    share = plan.request.relevant_share
    if plan.request.matching is Matching.ALL or (plan.mode is Mode.LEXICAL and share is None):
        return None
    share = RELEVANT_SHARE if share is None else share
    if plan.mode in (Mode.LEXICAL, Mode.SPARSE):  # a sparse encoder expands the query: nearly every passage has a term
        return share * best
    if background is None:
        return None
    zero = zero_score(plan, reader)
    return min(best, zero + share * (best - zero)) if best > zero else best


def zero_score(plan: Plan, reader: IndexReader) -> float:
    """Return the score of unrelated texts."""
    background = reader.manifest.background
    return background.mean if background is not None and plan.mode is Mode.DENSE else 0.0


def matches_from(plan: Plan, reader: IndexReader, ranker: PassageRanker) -> float | None:
    """Return the lowest score of a document in the match set; None for no limit."""
    best = ranker.rank(1).scores
    cut = relevance_cut(plan, reader, float(best[0])) if len(best) else None
    limits = [limit for limit in (cut, plan.request.min_score) if limit is not None]
    return max(limits, default=None)


def total_of_page(ranked: DocumentRanking, depth: int, cut: float | None) -> Total:
    """Count the relevant documents among the first `depth` of a ranking by score."""
    relevant = len(ranked.scores) if cut is None else int((ranked.scores >= cut).sum())
    is_whole = relevant < len(ranked.scores) or len(ranked.scores) < depth
    return Total(relevant, TotalRelation.EXACT if is_whole else TotalRelation.AT_LEAST)


def confidence(
    plan: Plan,
    reader: IndexReader,
    vector: NDArray[np.float32] | None,
    ranked: DocumentRanking,
    ranker: PassageRanker,
    feedback: Feedback | None,
) -> Confidence:
    """Judge the best documents: low if they are close in no way.

    That is, no passage has a cosine well above those of unrelated texts, and the best document lacks a term of the
    query.  With feedback, the passages that moved the query are judged, too.  `ranker` ranks without boosts.
    """
    background = reader.manifest.background
    if background is None or vector is None:
        return Confidence.NORMAL
    if not len(ranked.documents):
        return Confidence.LOW
    close = background.mean + CLOSE_DEVIATIONS * background.deviation
    if feedback is not None and feedback.best_cosine >= close:
        return Confidence.NORMAL
    reordered = bool(plan.request.sort or plan.request.boosts)  # then the best document may not be the first one
    best = reader.document_of[ranker.rank(1).rows[0]] if reordered else ranked.documents[0]
    first, last = np.searchsorted(reader.document_of, [best, best + 1])
    rows = np.arange(first, last, dtype=np.int64)
    if float(reader.dense_vectors(plan.window_share).score(vector, rows).max()) >= close:
        return Confidence.NORMAL
    lexical = reader.lexical
    has_all_terms = lexical is not None and any(lexical.has_all_terms(plan.query, row) for row in rows.tolist())
    return Confidence.NORMAL if has_all_terms else Confidence.LOW
