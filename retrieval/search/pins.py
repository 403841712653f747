"""Pins: documents that come first for a query, whatever their scores.

The query must have the words of the pin, in their order; case and punctuation do not matter.  A pinned document keeps
its score.  One that a filter leaves out, or that does not exist, is no hit.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.storage.pins import PinRule
from retrieval.results import Hit
from retrieval.search.fusion import PassageRanker
from retrieval.search.ranking import DocumentRanking
from retrieval.types import Bitmap, GroupBy, Rows, Scores, SearchRequest


@dataclass(frozen=True, slots=True)
class PinnedDocuments:
    """The pinned documents of a search, (n,), in their order."""

    documents: Rows
    scores: Scores
    matching: Bitmap  # whether the documents match the query without pins

    def __bool__(self) -> bool:
        return len(self.documents) > 0

    def outside(self, cut: float | None) -> int:
        """Count those that are not in the match set, which ends at the score `cut`."""
        inside = self.matching if cut is None else self.matching & (self.scores >= cut)
        return len(self.documents) - int(np.count_nonzero(inside))


NOTHING_PINNED = PinnedDocuments(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.bool_))


class Pins:
    """The pins of a collection by the words of their queries."""

    def __init__(self, rules: Sequence[PinRule]) -> None:
        self._ids: dict[str, dict[str, None]] = {}
        for rule in rules:
            for query in rule.queries:
                self._ids.setdefault(_words(query), {}).update(dict.fromkeys(rule.documents))

    def find(self, request: SearchRequest, reader: IndexReader, ranker: PassageRanker) -> PinnedDocuments:
        """Return the documents that are pinned for a request, and may be hits."""
        if not self._ids or not _can_have_pins(request) or not (ids := self._ids.get(_words(request.query))):
            return NOTHING_PINNED
        documents, scores, matching = [], [], []
        for document in map(reader.find, ids):
            rows = np.empty(0, np.int64) if document is None else _allowed_rows(document, reader, ranker)
            if len(rows):
                found = ranker.score(rows)
                matches = np.ones(len(rows), np.bool_) if found.matching is None else found.matching
                documents.append(document)
                scores.append(float(found.score[matches].max() if matches.any() else found.score.max()))
                matching.append(bool(matches.any()))
        return PinnedDocuments(
            np.array(documents, np.int64), np.array(scores, np.float32), np.array(matching, np.bool_)
        )


def with_pins(ranked: DocumentRanking, pinned: PinnedDocuments) -> DocumentRanking:
    """Return a ranking that begins with the pinned documents, of the same depth.

    A document of the ranking keeps its score there.
    """
    if not pinned:
        return ranked
    scores = dict(zip(ranked.documents.tolist(), ranked.scores.tolist(), strict=True))
    first = [
        scores.get(row, score) for row, score in zip(pinned.documents.tolist(), pinned.scores.tolist(), strict=True)
    ]
    others = ~np.isin(ranked.documents, pinned.documents)
    return DocumentRanking(
        np.concatenate([pinned.documents, ranked.documents[others]]),
        np.concatenate([np.array(first, np.float32), ranked.scores[others]]),
    )


def with_pin_marks(hits: Sequence[Hit], documents: Rows, pinned: PinnedDocuments) -> tuple[Hit, ...]:
    """Return hits that tell whether they are pinned; `documents` has their rows."""
    marks = np.isin(documents[: len(hits)], pinned.documents).tolist()
    return tuple(replace(hit, pinned=mark) for hit, mark in zip(hits, marks, strict=True))


def _can_have_pins(request: SearchRequest) -> bool:
    """Check whether hits are documents in the order of their scores for words."""
    collapses = request.collapse or request.collapse_near is not None
    otherwise = request.sort or collapses or request.group_by is not GroupBy.DOCUMENT or request.has_examples
    return request.pins and not otherwise and not request.lists_all


def _allowed_rows(document: int, reader: IndexReader, ranker: PassageRanker) -> Rows:
    first, last = np.searchsorted(reader.document_of, [document, document + 1])
    rows = np.arange(first, last, dtype=np.int64)
    return rows if ranker.allowed is None else rows[ranker.allowed[rows]]


def _words(query: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", query).casefold()))
