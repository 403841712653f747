"""Dense feedback: the best passages of a first ranking move the query's vector.

The moved vector, `query + weight · mean(passages)` at length one, answers the search (Rocchio 1971; for dense vectors
Li et al. 2021, "Pseudo Relevance Feedback with Deep Language Models and Dense Retrievers").  The first ranking is the
fused one: on the development collections, the best passages of dense search alone helped less, or did harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.explanations import Explanation, FeedbackExplanation
from retrieval.index.collection.index_reader import IndexReader
from retrieval.results import Hit
from retrieval.types import Mode, Rows

FEEDBACK_PASSAGES = 2


@dataclass(frozen=True, slots=True)
class Feedback:
    """The moved vector of a query, (dimension,).

    A passage's score is `factor` times its cosine with the query, plus a part from the best passages.
    """

    vector: NDArray[np.float32]
    weight: float
    factor: float
    best_cosine: float  # of the best passages with the query itself


def moved_query(reader: IndexReader, vector: NDArray[np.float32], rows: Rows, weight: float) -> Feedback:
    """Return the query's vector, moved towards the mean of the passages in `rows`."""
    passages = reader.vectors.rows(rows)
    moved = vector + np.float32(weight) * passages.mean(axis=0)
    length = float(np.linalg.norm(moved)) or 1.0
    return Feedback(moved / np.float32(length), weight, 1.0 / length, float((passages @ vector).max()))


def with_feedback_parts(hits: Sequence[Hit], feedback: Feedback) -> tuple[Hit, ...]:
    """Return explained hits whose explanations tell the part of feedback."""
    return tuple(replace(hit, explanation=_with_part(hit, feedback.factor)) for hit in hits)


def _with_part(hit: Hit, factor: float) -> Explanation | None:
    explanation, score = hit.explanation, hit.scores.get(Mode.DENSE.value)
    if explanation is None or explanation.dense is None or score is None:
        return explanation
    cosine, window = explanation.dense.score, explanation.window
    if window is not None:
        cosine += window.share * max(0.0, window.score - cosine)
    part = score - factor * cosine
    return replace(explanation, feedback=FeedbackExplanation(factor, part))
