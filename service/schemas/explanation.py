"""Why a document matched; mirrors the records of retrieval/types.py."""

from __future__ import annotations

from pydantic import Field

from service.schemas.base import Answer


class WordPartAnswer(Answer):
    """A word's share of a score; `place` is text, title, heading, prompt or special."""

    word: str
    place: str
    start: int
    end: int
    score: float


class SpanAnswer(Answer):
    """A stretch of a passage's text, in code points, and its share of the score."""

    start: int
    end: int
    score: float


class DenseExplanationAnswer(Answer):
    """What a cosine is made of: `exact` says whether the pairs and the remainder add up to the score."""

    score: float
    exact: bool
    query: list[WordPartAnswer]
    passage: list[WordPartAnswer]
    pairs: list[list[float]] = Field(description="(query words, passage words)")
    remainder: float
    spans: list[SpanAnswer]
    note: str = ""


class TermPartAnswer(Answer):
    """A query term's share of a BM25 score."""

    term: str
    score: float
    words: list[tuple[int, int]]


class LexicalExplanationAnswer(Answer):
    """What a BM25 score is made of."""

    score: float
    terms: list[TermPartAnswer]


class ExplanationAnswer(Answer):
    """Why a document matched, told for its best passage."""

    start: int
    end: int
    dense: DenseExplanationAnswer | None = None
    lexical: LexicalExplanationAnswer | None = None
