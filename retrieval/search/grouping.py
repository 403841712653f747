"""Passage rankings to document rankings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Ranking, Scores


@dataclass(frozen=True, slots=True)
class DocumentRanking:
    """Document rows, best first, each with the score of its best passage."""

    documents: NDArray[np.int64]
    scores: Scores


def group(ranking: Ranking, document_of: NDArray[np.int64]) -> DocumentRanking:
    """Documents of a passage ranking; a document scores as its best passage does (MaxP, Dai and Callan 2019)."""
    documents = document_of[ranking.rows]
    _, first = np.unique(documents, return_index=True)
    first.sort()
    return DocumentRanking(documents[first], ranking.scores[first])


def settled(ranking: Ranking, grouped: DocumentRanking, depth: int, asked: int) -> bool:
    """Whether no row beyond the `asked` ones can change the first `depth` documents, ties included."""
    if len(ranking.rows) < asked:
        return True
    return len(grouped.scores) > depth and bool(grouped.scores[depth - 1] > ranking.scores[-1])


def order_ties(
    grouped: DocumentRanking, ids_of: Callable[[NDArray[np.int64]], Sequence[str]], depth: int
) -> DocumentRanking:
    """The first `depth` documents, by (score descending, id ascending)."""
    if depth < len(grouped.scores):
        reach = int(np.searchsorted(-grouped.scores, -grouped.scores[depth - 1], side="right"))
    else:
        reach = len(grouped.scores)
    documents, scores = grouped.documents[:reach], grouped.scores[:reach]
    if np.all(scores[1:] < scores[:-1]):
        return DocumentRanking(documents[:depth], scores[:depth])
    ids = ids_of(documents)
    order = np.array(sorted(range(reach), key=lambda i: (-scores[i], ids[i]))[:depth], dtype=np.int64)
    return DocumentRanking(documents[order], scores[order])
