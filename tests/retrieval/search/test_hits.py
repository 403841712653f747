"""Hits of a collection of two documents, with scores that a reader can follow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from retrieval.search.fusion import RowScores
from retrieval.search.hits import fetch_hits
from retrieval.search.ranking import DocumentRanking
from retrieval.types import Bitmap, Document, Passage, Ranking, Rows, SearchRequest


@dataclass
class TwoDocuments:
    """A reader of document a with the passages 0, 1 and 2, and document b with the passage 3."""

    document_of: Rows = field(default_factory=lambda: np.array([0, 0, 0, 1]))
    parts: tuple[()] = ()  # of several collections

    def documents(self, rows: Rows) -> list[Document]:
        known = [
            Document("a", "one two three", metadata={"year": 1.0, "author": "A"}),
            Document("b", "four", metadata={"year": 2.0}),
        ]
        return [known[row] for row in rows]

    def passages(self, rows: Rows) -> list[Passage]:
        known = [Passage(0, 3, "p. 1"), Passage(4, 7), Passage(8, 13), Passage(0, 4)]
        return [known[row] for row in rows]


@dataclass
class FixedRanker:
    """Gives the passages the scores 0.2, 0.9, 0.5 and 0.4; BM25 matches the passages 1 and 3."""

    allowed: Bitmap | None = None
    matching: bool = False

    def rank(self, k: int) -> Ranking:
        raise NotImplementedError

    def matches(self) -> Bitmap:
        raise NotImplementedError

    def score(self, rows: Rows) -> RowScores:
        scores = np.array([0.2, 0.9, 0.5, 0.4], np.float32)[rows]
        lexical = np.array([0.0, 3.0, 0.0, 2.0], np.float32)[rows]
        return RowScores(scores, {"lexical": lexical}, scores, lexical > 0 if self.matching else None)


RANKED = DocumentRanking(np.array([0, 1]), np.array([0.9, 0.4], np.float32))
READER = TwoDocuments()


def passages_of(request: SearchRequest, ranker: FixedRanker) -> list[list[str]]:
    return [[passage.text for passage in hit.passages] for hit in fetch_hits(request, RANKED, ranker, READER)]  # type: ignore[arg-type]


def test_a_hit_shows_its_best_passages_first() -> None:
    assert passages_of(SearchRequest("q"), FixedRanker()) == [["two", "three"], ["four"]]
    three = SearchRequest("q", passages_per_document=3)
    assert passages_of(three, FixedRanker()) == [["two", "three", "one"], ["four"]]


def test_passages_that_are_not_allowed_are_not_shown() -> None:
    ranker = FixedRanker(allowed=np.array([True, False, True, True]))
    assert passages_of(SearchRequest("q"), ranker) == [["three", "one"], ["four"]]


def test_passages_that_do_not_match_are_not_shown() -> None:
    assert passages_of(SearchRequest("q"), FixedRanker(matching=True)) == [["two"], ["four"]]


def test_ranks_count_over_the_whole_ranking() -> None:
    (hit,) = fetch_hits(SearchRequest("q", k=1, offset=1), RANKED, FixedRanker(), READER)  # type: ignore[arg-type]
    assert (hit.rank, hit.id, hit.score) == (2, "b", np.float32(0.4))
    assert fetch_hits(SearchRequest("q", offset=2), RANKED, FixedRanker(), READER) == ()  # type: ignore[arg-type]


def test_scores_are_those_of_the_best_passage_by_name() -> None:
    request = SearchRequest("q", fields=("year",), passages_per_document=3)
    (hit, _) = fetch_hits(request, RANKED, FixedRanker(), READER)  # type: ignore[arg-type]
    assert hit.scores == {"dense": None, "lexical": 3.0, "fused": np.float32(0.9)}
    assert (hit.passages[0].start, hit.passages[0].end, hit.passages[0].score) == (4, 7, np.float32(0.9))
    assert hit.passages[2].location == "p. 1"
    assert hit.metadata == {"year": 1.0}
