"""Records that cross package borders, and the meaning of their numbers.

Ids are strings that the user chooses; they are unique among the live documents of a collection.  A *row* is the
position of a passage in one open generation, from 0; rows never leave the process.  Offsets count Unicode code
points, `[start, end)`.  Scores are comparable within one answer only: cosines in dense mode, BM25 in lexical mode, dot
products of term weights in sparse mode, the scale of the fusion in hybrid mode.  Rankings are ordered by (score
descending, document id ascending).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Self, TypeAlias

from retrieval.bm25_options import Bm25Options
from retrieval.boosts import Boost

if TYPE_CHECKING:  # importing numpy takes half of the start of a parser process
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"  # (n, dimension), each of length one
Bitmap: TypeAlias = "NDArray[np.bool_]"  # (rows,), True where a row is allowed
Rows: TypeAlias = "NDArray[np.int64]"  # (n,), passage rows of one generation
Scores: TypeAlias = "NDArray[np.float32]"  # (n,)

MetadataScalar: TypeAlias = str | float | bool | datetime
MetadataValue: TypeAlias = MetadataScalar | tuple[MetadataScalar, ...]
Metadata: TypeAlias = Mapping[str, MetadataValue]
TermWeights: TypeAlias = Mapping[str, float]  # weight of each term of a query, by its text


class FieldType(StrEnum):
    """Types of metadata fields."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    STRINGS = "strings"
    NUMBERS = "numbers"
    BOOLEANS = "booleans"
    DATES = "dates"

    @property
    def is_list(self) -> bool:
        """Whether a document has several values in the field."""
        return self.value.endswith("s")

    @property
    def element(self) -> FieldType:
        """The type of one value."""
        return FieldType(self.value.removesuffix("s"))

    @property
    def as_list(self) -> FieldType:
        """The type of lists of such values."""
        return FieldType(f"{self.element}s")


Schema: TypeAlias = Mapping[str, FieldType]  # metadata field → type


@dataclass(frozen=True, slots=True)
class Section:
    """A structural part of a document: the text at `[start, end)`."""

    start: int
    end: int
    location: str  # "p. 12", "Install › Linux"
    heading: str = ""  # heading path that the encoder reads before the passage; "" for none


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the user added; `sections` may be empty."""

    id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    given: str = ""  # JSON of the metadata as the user gave them, if the typed ones differ
    cut: bool = False  # the sections are the passages


@dataclass(frozen=True, slots=True)
class Passage:
    """The piece of a document that is embedded and indexed: `text[start:end]`."""

    start: int
    end: int
    location: str = ""
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Distinct rows of one query, best first, and their scores: (n,) each."""

    rows: Rows
    scores: Scores

    @classmethod
    def empty(cls) -> Self:
        import numpy as np

        return cls(np.empty(0, np.int64), np.empty(0, np.float32))

    @classmethod
    def top(cls, rows: Rows, scores: Scores, k: int) -> Self:
        """Return the k best of `rows` by (score descending, row ascending)."""
        import numpy as np

        if len(rows) > 4 * k:
            kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
            rows, scores = rows[kept], scores[kept]
        order = np.lexsort((rows, -scores))[:k]
        return cls(np.ascontiguousarray(rows[order], dtype=np.int64), np.ascontiguousarray(scores[order]))


@dataclass(frozen=True, slots=True)
class EncoderFingerprint:
    """The identity of an encoder; equal ones give equal vectors, but for rounding."""

    name: str  # given by the user; not part of the identity
    weights_sha256: str
    tokenizer_sha256: str
    pooling: str  # "mean", "cls", …, joined by "+" if several are concatenated
    normalize: bool
    query_prompt: str
    passage_prompt: str
    max_tokens: int  # with special tokens
    dimension: int
    quantized_from: str = ""  # of int8 weights: weights_sha256 of their float weights

    def differences(self, other: EncoderFingerprint) -> list[str]:
        """Return the fields that differ as "field: mine, theirs", except the name.

        int8 weights count as equal to the float weights that they were made from: their vectors are comparable.
        """
        ignored = {"name", "quantized_from"}
        if (self.quantized_from or self.weights_sha256) == (other.quantized_from or other.weights_sha256):
            ignored.add("weights_sha256")
        return [
            f"{name}: {mine!r}, {theirs!r}"
            for name in (each.name for each in fields(self) if each.name not in ignored)
            if (mine := getattr(self, name)) != (theirs := getattr(other, name))
        ]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """The weights of the terms of a text: (n,) each, above 0, terms ascending."""

    terms: NDArray[np.int32]  # numbers in the vocabulary of the sparse encoder
    weights: NDArray[np.float32]


class Mode(StrEnum):
    """The retrievers that answer a search."""

    DENSE = "dense"
    LEXICAL = "lexical"
    SPARSE = "sparse"
    HYBRID = "hybrid"


class Syntax(StrEnum):
    """The meaning of quotes and dashes in a query."""

    PLAIN = "plain"  # punctuation
    OPERATORS = "operators"  # "phrases in quotes" and -excluded words, in all modes but dense


class Prefix(StrEnum):
    """The words of a query that may be unfinished."""

    NONE = "none"
    LAST = "last"  # the last word is the start of a word, for search as you type


class Partial(StrEnum):
    """The answer to a search when a shard of the collection fails."""

    FAIL = "fail"  # ShardUnavailable
    ALLOW = "allow"  # an answer without the documents of that shard, which says so


class Matching(StrEnum):
    """The documents that facets, totals and sorting count."""

    RELEVANT = "relevant"  # those that score well enough beside the best; see search/match_set.py
    ALL = "all"  # all that match in any way: in dense and hybrid mode, all that the filter allows


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """How a search reranks its first documents.

    `model` is a name that the searcher knows, "" its first; None stands for the default.
    """

    model: str = ""
    depth: int | None = None  # documents
    weight: float | None = None  # share of the reranker in a score, 0 to 1


class Included(StrEnum):
    """A part of a hit that an answer has only if the request asks for it."""

    TEXT = "text"  # the whole text of the document, beside its best passages
    TOKENS = "tokens"  # the number of tokens of each passage


class Detail(StrEnum):
    """How much of a document a hit has."""

    IDS = "ids"  # id and score alone
    PASSAGES = "passages"  # title, metadata and the best passages
    FULL = "full"  # the whole text, too


class GroupBy(StrEnum):
    """The unit of a ranking: each hit is one."""

    DOCUMENT = "document"
    NONE = "none"  # a passage; the hits of one document need not follow each other


ALL_DOCUMENTS = "*"  # the query that matches every document


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search, as commands, HTTP routes and Python callers pass it to the searcher.

    `filter` is as in `index/metadata/filter_parser.py`, `sort` as in `index/metadata/sorting.py`, "" for the score.
    """

    query: str
    k: int = 10
    offset: int = 0
    like: tuple[str, ...] = ()  # ids of documents that the hits should be like, beside or instead of the query
    unlike: tuple[str, ...] = ()
    vector: tuple[float, ...] | None = None  # of the encoder's dimension; of any length
    mode: Mode | None = None  # None: hybrid if the collection has a lexical index, else dense
    syntax: Syntax = Syntax.PLAIN
    typos: bool = True  # words that the collection lacks stand for the nearest ones, in lexical and hybrid mode
    prefix: Prefix = Prefix.NONE
    synonyms: bool = True  # those of the collection stand for words of the query, in lexical and hybrid mode
    filter: str = ""
    now: datetime | None = None  # in filters and boosts; None: the time when the request is checked
    fusion: str = "convex"  # or "rrf"
    weight: float | None = None  # dense share of fusion; None: the searcher's choice
    feedback: float | None = None  # weight of the two best passages in the query's vector; None: the searcher's choice
    sparse_weight: float | None = None  # sparse part of what `weight` leaves; None: the searcher's choice
    window_share: float | None = None  # part of the best window in a passage's cosine; None: the searcher's choice
    rrf_k: int = 60
    bm25: Bm25Options | None = None  # None: the parameters of the collection
    facets: tuple[str, ...] = ()  # fields, or ranges of them, as in index/metadata/facets.py
    disjunctive: tuple[str, ...] = ()  # facet fields whose counts ignore the conditions on the field itself
    facet_prefix: str = ""  # counts only values of facets that begin so, in any case
    sort: str = ""
    collapse: str = ""  # metadata field: of the documents with one value, only the best is a hit
    collapse_near: float | None = None  # cosine: of hits at least so near, only the first is; None: do not compare
    boosts: tuple[Boost, ...] = ()
    diversity: float = 0.0  # 0 to 1: how much the first hits should differ; see search/diversity.py
    diversity_depth: int | None = None  # hits that diversity chooses from; None: 100
    matching: Matching = Matching.RELEVANT
    relevant_share: float | None = None  # of the best score, 0 to 1, that a relevant document has; None: the mode's own
    count: bool = False  # count all matches, also beyond the page
    min_score: float | None = None
    passages_per_document: int = 2
    fields: tuple[str, ...] | None = None  # metadata fields of the hits; None: all
    include: tuple[Included, ...] = ()
    detail: Detail = Detail.PASSAGES
    group_by: GroupBy = GroupBy.DOCUMENT
    neighbours: int = 0  # passages of the document whose text comes before and after each passage
    max_tokens: int | None = None  # of the passages of an answer together, in tokens of the encoder; None: no limit
    highlight: bool = False  # mark the spans of a passage that match
    exact: bool = False  # bypass ANN indexes
    explain: bool = False
    rerank: RerankOptions | None = None  # None: do not rerank
    partial: Partial | None = None  # None: the service's setting, or to fail
    pins: bool = True  # the pinned documents of the query come first, whatever their scores

    @property
    def lists_all(self) -> bool:
        """Whether it lists documents and ranks none."""
        return self.query == ALL_DOCUMENTS and not self.has_examples

    @property
    def has_examples(self) -> bool:
        """Whether documents or a vector take part in the query."""
        return bool(self.like or self.unlike) or self.vector is not None

    @property
    def words(self) -> str:
        """The query without the sign for all documents; empty for examples alone."""
        return "" if self.query == ALL_DOCUMENTS else self.query

    @property
    def has_whole_texts(self) -> bool:
        """Whether a hit has the whole text of its document."""
        return self.detail is Detail.FULL or Included.TEXT in self.include
