"""The best of scored rows."""

from __future__ import annotations

import numpy as np

from retrieval.types import Ranking, Rows, Scores


def best(rows: Rows, scores: Scores, k: int) -> Ranking:
    """The k best of `rows` by (score descending, row ascending)."""
    if len(rows) > 4 * k:
        kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:k]
    return Ranking(np.ascontiguousarray(rows[order], dtype=np.int64), np.ascontiguousarray(scores[order]))
