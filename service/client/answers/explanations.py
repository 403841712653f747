"""Explanations; they mirror the records of retrieval/explanations.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Answer


class WordPartAnswer(Answer):
    """A word's share of a score; `place` is text, title, heading, prompt or special."""

    word: str
    place: str
    start: int
    end: int
    score: float


class ScoredSpanAnswer(Answer):
    """A span of a passage's text, in code points, and its share of the score."""

    start: int
    end: int
    score: float


class DenseExplanationAnswer(Answer):
    """The parts of a cosine; `exact`: pairs and remainder sum to the score."""

    score: float
    exact: bool
    query: list[WordPartAnswer]
    passage: list[WordPartAnswer]
    pairs: list[list[float]] = Field(description="(query words, passage words)")
    remainder: float
    spans: list[ScoredSpanAnswer]
    note: str = ""


class TermPartAnswer(Answer):
    """A query term's share of a BM25 score."""

    term: str
    score: float
    words: list[tuple[int, int]]
    fields: list[str] = Field(default_factory=list, description="Searched fields that have the term.")


class ReplacementAnswer(Answer):
    """A word of the query for which other terms stand."""

    word: str
    text: str = Field(description="The word as it should be written, which the encoder reads.")
    terms: list[str] = Field(description="Terms of the collection, the likeliest first.")
    reason: Literal["typo", "prefix", "synonym"]


class LexicalExplanationAnswer(Answer):
    """The parts of a BM25 score."""

    score: float
    terms: list[TermPartAnswer]
    stop_words: list[str] = Field(default_factory=list, description="Words of the query that the score leaves out.")
    replacements: list[ReplacementAnswer] = Field(
        default_factory=list, description="Words of the query for which other terms stand."
    )


class WeightedTermAnswer(Answer):
    """A term's share of a sparse score: its weight in the query × in the passage."""

    term: str
    score: float
    query_weight: float
    passage_weight: float


class SparseExplanationAnswer(Answer):
    """The parts of a sparse score."""

    score: float
    terms: list[WeightedTermAnswer]


class WindowExplanationAnswer(Answer):
    """The best window: dense score = (1 - share) · own + share · max(own, window)."""

    start: int = Field(description="Offset in the document's text, in code points.")
    end: int
    score: float = Field(description="Cosine of the window.")
    share: float


class FeedbackExplanationAnswer(Answer):
    """The part of dense feedback: dense score = `factor` × cosine + `score`."""

    factor: float
    score: float


class ExamplePartAnswer(Answer):
    """The share of the query's text, of a vector or of an example in a cosine."""

    source: Literal["query", "vector", "like", "unlike"]
    id: str = Field(description="Id of the example; empty for others.")
    weight: float = Field(description="Weight in the query's vector.")
    score: float


class BoostPartAnswer(Answer):
    """The factor of one boost: 1 + (weight - 1) · value."""

    condition: str = Field(description="The filter, or the curve and its field.")
    value: float
    factor: float


class BoostExplanationAnswer(Answer):
    """The parts of a boosted score: zero + (first - zero) · factor."""

    first: float = Field(description="Score without boosts.")
    zero: float = Field(description="Score of unrelated texts; the factor divides the distance of a score below.")
    factor: float = Field(description="Product of the factors of all boosts.")
    boosts: list[BoostPartAnswer]


class RerankExplanationAnswer(Answer):
    """The parts of a reranked score: (1 - weight) · first + weight · rescaled."""

    model: str
    score: float = Field(description="Score of the reranker, without scaling.")
    weight: float
    first: float = Field(description="Score before reranking.")
    rescaled: float = Field(description="Score of the reranker on the scale of `first`.")
    words: DenseExplanationAnswer | None = Field(
        default=None, description="`score` as a sum over pairs of words; of late interaction only."
    )


class ExplanationAnswer(Answer):
    """The explanation of a document's score, for its best passage."""

    start: int
    end: int
    dense: DenseExplanationAnswer | None = None
    lexical: LexicalExplanationAnswer | None = None
    sparse: SparseExplanationAnswer | None = None
    window: WindowExplanationAnswer | None = Field(default=None, description="Present if the search counts windows.")
    feedback: FeedbackExplanationAnswer | None = None
    examples: list[ExamplePartAnswer] = Field(
        default_factory=list, description="Parts of the cosine of a search with examples, instead of `dense`."
    )
    boosts: BoostExplanationAnswer | None = Field(default=None, description="Present if the search has boosts.")
    rerank: RerankExplanationAnswer | None = Field(default=None, description="Present if the search reranked it.")
