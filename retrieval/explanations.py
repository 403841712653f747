"""Records of explanations: the parts of a score, which add up to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WordPart:
    """A word's share of a score; offsets in "text" count within the passage."""

    word: str
    place: str  # "text", "title", "heading", "prompt", or "special" for tokens without a word
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """A span of a passage's text, with its share of the score, from 0 to 1."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class DenseExplanation:
    """The parts of a cosine.

    If `exact`, the score is the sum of `pairs`, whose row and column sums are the scores of the words of the query and
    the passage.  `remainder` is the rounding error of the score, spread evenly over the pairs: vectors are stored in
    float16, and a lower precision may have computed them.  Otherwise the score of a word is the loss of cosine without
    that word, there are no pairs, and the scores need not add up; `note` says so.
    """

    score: float
    exact: bool
    query: tuple[WordPart, ...]
    passage: tuple[WordPart, ...]
    pairs: tuple[tuple[float, ...], ...]  # (query words, passage words)
    remainder: float
    spans: tuple[Span, ...]  # of the passage's text, largest scores first
    note: str = ""


@dataclass(frozen=True, slots=True)
class WindowExplanation:
    """The best window of a passage: `[start, end)` of the document's text, its cosine.

    The dense score is `(1 - share) · own + share · best`: `own` is the cosine of the passage's own vector, `best` the
    greater of it and the window's cosine.
    """

    start: int
    end: int
    score: float
    share: float


@dataclass(frozen=True, slots=True)
class TermPart:
    """The share of a query term in a BM25 score; `words` are offsets in the text."""

    term: str
    score: float
    words: tuple[tuple[int, int], ...] = ()
    fields: tuple[str, ...] = ()  # searched fields that have the term


@dataclass(frozen=True, slots=True)
class Replacement:
    """A word of a query for which other terms stand.

    It has a typing error, or is a prefix, or has synonyms: then its own terms come first.
    """

    word: str
    text: str  # the word as it should be written, which the encoder reads
    terms: tuple[str, ...]  # of the index, the likeliest first
    reason: str  # "typo", "prefix" or "synonym"


@dataclass(frozen=True, slots=True)
class LexicalExplanation:
    """The parts of a BM25 score, which is the sum of its terms' scores."""

    score: float
    terms: tuple[TermPart, ...]
    stop_words: tuple[str, ...] = ()  # of the query, which the score leaves out
    replacements: tuple[Replacement, ...] = ()  # words of the query for which other terms stand


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """The share of a term in a sparse score: its weight in the query × in the passage."""

    term: str
    score: float
    query_weight: float
    passage_weight: float


@dataclass(frozen=True, slots=True)
class SparseExplanation:
    """The parts of a sparse score, which is the sum of its terms' scores."""

    score: float
    terms: tuple[WeightedTerm, ...]


@dataclass(frozen=True, slots=True)
class FeedbackExplanation:
    """The part of dense feedback in a score.

    The dense score of the hit is `factor` times the cosine, plus `score`.
    """

    factor: float
    score: float


@dataclass(frozen=True, slots=True)
class ExamplePart:
    """The share of the query's text, of a vector or of an example in a cosine.

    `weight` is that in the query's vector; the scores of all parts add up to the cosine.
    """

    source: str  # "query", "vector", "like" or "unlike"
    id: str  # of an example; "" for others
    weight: float
    score: float


@dataclass(frozen=True, slots=True)
class BoostPart:
    """The factor of one boost: `1 + (weight - 1) · value`."""

    condition: str  # the filter, or the curve and its field
    value: float  # from 0 to 1
    factor: float


@dataclass(frozen=True, slots=True)
class BoostExplanation:
    """The parts of a boosted score: `zero + (first - zero) · factor`.

    `factor` is the product of those of the boosts.  It divides the distance of a score below `zero`.
    """

    first: float  # score without boosts
    zero: float
    factor: float
    boosts: tuple[BoostPart, ...]


@dataclass(frozen=True, slots=True)
class RerankExplanation:
    """The parts of a reranked score: `(1 - weight) · first + weight · rescaled`."""

    model: str
    score: float  # of the model: its logit
    weight: float
    first: float  # score before reranking
    rescaled: float  # score of the model on the scale of `first`
    words: DenseExplanation | None = None  # `score` as a sum over pairs of words, of late interaction


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reason for a match, for the best passage `document.text[start:end]`."""

    start: int
    end: int
    dense: DenseExplanation | None = None
    lexical: LexicalExplanation | None = None
    sparse: SparseExplanation | None = None
    window: WindowExplanation | None = None  # of a passage with windows, in a search that counts them
    feedback: FeedbackExplanation | None = None
    examples: tuple[ExamplePart, ...] = ()  # of a search with examples, instead of `dense`
    boosts: BoostExplanation | None = None  # of a search with boosts
    rerank: RerankExplanation | None = None  # of a document that a search reranked
