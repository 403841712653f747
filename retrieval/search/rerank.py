"""Rerank the first documents of a search with another model.

A cross-encoder reads the best passage of each of the first `depth` documents; a late-interaction model takes its stored
token vectors, or reads it too.  Both scores of a document, that of the first stage and that of the reranker, lie above
the least of the candidates; the reranker's are scaled to the deviation of the first stage, because a model's logits
have no common scale:

    score = (1 - weight) · first + weight · rescaled
    rescaled = low + σ(first) / σ(logits) · (logit - lowest logit),  low: the least `first`

Deviations are those over the candidates.  No score falls below `low`, so the documents beyond the depth keep their
scores and follow; every page is a part of one ranking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.explanations import RerankExplanation
from retrieval.index.collection.document_store import passage_text
from retrieval.index.collection.index_reader import IndexReader
from retrieval.results import Hit
from retrieval.search.fusion import PassageRanker
from retrieval.search.hits import choose_passages
from retrieval.search.late_interaction import LateReranker
from retrieval.search.ranking import DocumentRanking
from retrieval.search.request_limits import RERANK_WEIGHT, depth_of
from retrieval.search.rerankers import Rerankers
from retrieval.types import Rows, Scores, SearchRequest
from retrieval.util.work_budget import checkpoint

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Scores of the candidates, (n,) each: mixed, and the reranker's part rescaled."""

    mixed: Scores
    rescaled: Values


@dataclass(frozen=True, slots=True)
class Reranking:
    """A ranking whose first documents were reranked; `parts` explains their scores."""

    ranked: DocumentRanking
    parts: Mapping[int, RerankExplanation]  # by the row of a reranked document
    shortened: bool  # whether the time was too short for the depth
    late: LateReranker | None = None  # the reranker, if its scores are sums over tokens

    def applied(self, hits: Sequence[Hit], documents: Rows) -> tuple[Hit, ...]:
        """Return hits with the reranker's scores, and explanations if requested.

        `documents` has the row of each hit, and may go on.
        """
        rows = documents[: len(hits)].tolist()
        return tuple(self._applied(hit, self.parts.get(row)) for hit, row in zip(hits, rows, strict=True))

    def _applied(self, hit: Hit, part: RerankExplanation | None) -> Hit:
        scores = {**hit.scores, "rerank": None if part is None else part.score}
        explanation = hit.explanation and replace(hit.explanation, rerank=part)
        return replace(hit, scores=scores, explanation=explanation)


class DocumentReranker:
    """Reranks rankings of one open generation.  Safe to call from several threads."""

    def __init__(self, reader: IndexReader, rerankers: Rerankers) -> None:
        self._reader = reader
        self._rerankers = rerankers

    def rerank(
        self, request: SearchRequest, query: str, ranked: DocumentRanking, ranker: PassageRanker, budget_ms: float
    ) -> Reranking:
        """Rerank the first documents of a ranking that is deep enough.

        A budget that is too short for the depth shortens it.  Raises BadQuery for an unknown reranker.
        """
        options = request.rerank
        if options is None:
            return Reranking(ranked, {}, shortened=False)
        reranker = self._rerankers.get(options.model)
        depth = min(depth_of(options), len(ranked.documents))
        if request.offset >= depth:  # the page has none of the candidates
            return Reranking(ranked, {}, shortened=False)
        documents = ranked.documents[:depth]
        rows = np.concatenate(choose_passages(documents, ranker, self._reader, 1).rows_shown())
        checkpoint()
        logits = reranker.score_stored(query, self._reader, rows, budget_ms)
        if logits is None:
            texts = self._texts(documents, rows)
            logits = reranker.score(query, texts[: reranker.affordable(query, texts, budget_ms)])
        weight = RERANK_WEIGHT if options.weight is None else options.weight
        reordered = self._reordered(ranked, logits, reranker.name, weight, shortened=len(logits) < depth)
        return replace(reordered, late=reranker.late)

    def _texts(self, documents: Rows, rows: Rows) -> list[str]:
        """Return the passage of each document as the encoder reads it."""
        passages = self._reader.passages(rows)
        return [
            passage_text(document.title, passage.heading, document.text[passage.start : passage.end])
            for document, passage in zip(self._reader.documents(documents), passages, strict=True)
        ]

    def _reordered(
        self, ranked: DocumentRanking, logits: Scores, name: str, weight: float, *, shortened: bool
    ) -> Reranking:
        count = len(logits)
        first = ranked.scores[:count]
        mixture = mix_scores(first, logits, weight)
        ids = self._reader.ids(ranked.documents[:count])
        order = sorted(range(count), key=lambda i: (-mixture.mixed[i], ids[i]))
        documents, scores = ranked.documents.copy(), ranked.scores.copy()
        documents[:count], scores[:count] = documents[order], mixture.mixed[order]
        parts = {
            row: RerankExplanation(name, *numbers)
            for row, *numbers in zip(
                ranked.documents[:count].tolist(),
                logits.tolist(),
                [weight] * count,
                first.tolist(),
                mixture.rescaled.tolist(),
                strict=True,
            )
        }
        return Reranking(DocumentRanking(documents, scores), parts, shortened)


def mix_scores(first: Scores, logits: Scores, weight: float) -> Mixture:
    """Mix scores of both stages, (n,) each, as the module describes."""
    if not len(first):
        return Mixture(first, np.empty(0))
    stage, model = first.astype(np.float64), logits.astype(np.float64)
    low = stage.min()
    spread = model.std()
    scale = (stage.std() or 1.0) / spread if spread > 0.0 and math.isfinite(spread) else 0.0
    above = scale * (model - model.min())
    mixed = low + (1.0 - weight) * (stage - low) + weight * above
    return Mixture(mixed.astype(np.float32), low + above)
