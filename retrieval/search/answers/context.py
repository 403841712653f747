"""A context: the best passages for a query in a limited size, with citations.

Each citation names a document and the exact place of its text there, so that it always leads to the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from retrieval.errors import BadQuery
from retrieval.explanations import Explanation
from retrieval.protocols import Tokenizer
from retrieval.results import SearchResult
from retrieval.search.answers.passages import check_has_passages
from retrieval.types import GroupBy, SearchRequest

MIN_TOKENS, MAX_TOKENS, DEFAULT_TOKENS = 16, 100_000, 2_000
CONTEXT_PASSAGES = 50  # that a context chooses from, unless the request says otherwise

Count: TypeAlias = Callable[[str], int]


class Unit(StrEnum):
    """The unit in which the limit of a context counts."""

    TOKENS = "tokens"  # of the collection's tokenizer
    WORDS = "words"  # between spaces
    CHARACTERS = "characters"
    BYTES = "bytes"  # of UTF-8; a tokenizer that works on bytes makes no more tokens


@dataclass(frozen=True, slots=True)
class ContextLimit:
    """The size of a context, with the lines that name documents and the empty lines."""

    max_tokens: int = DEFAULT_TOKENS
    unit: Unit = Unit.TOKENS


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """A passage of the search, of which a citation shows the whole or a part."""

    number: int  # among the passages of the document, from 1
    start: int
    end: int
    score: float
    scores: Mapping[str, float | None]
    explanation: Explanation | None


@dataclass(frozen=True, slots=True)
class Citation:
    """A text of a context: `text[start:end]` of the document.

    `page` and `heading` are those at `start`, as far as the document has them.
    """

    id: int  # from 1, in the order of the context
    document: str
    start: int
    end: int
    text: str
    offset: int  # of `text` in the text of the context
    tokens: int  # in the unit of the context
    title: str
    location: str
    page: int | None
    heading: str
    source: str  # metadata field `source`, `url` or `path`
    collection: str | None  # in a search over several
    metadata: Mapping[str, Any]
    highlights: tuple[tuple[int, int], ...]  # offsets in `text`
    passages: tuple[CitedPassage, ...]  # in the order of the search


@dataclass(frozen=True, slots=True)
class Context:
    """The text for a language model; `tokens` counts all of it in `unit`."""

    text: str
    tokens: int
    unit: Unit
    citations: tuple[Citation, ...]
    truncated: bool  # whether the limit left out text of the passages found
    next_offset: int | None  # of the search that goes on after a truncated context
    search: SearchResult  # without its hits


def counter(unit: Unit, tokenizer: Tokenizer) -> Count:
    """Return the function that counts a text."""
    if unit is Unit.TOKENS:
        return lambda text: len(tokenizer.spans(text))
    if unit is Unit.WORDS:
        return lambda text: len(text.split())
    return len if unit is Unit.CHARACTERS else lambda text: len(text.encode("utf-8", "surrogatepass"))


def check_limit(limit: ContextLimit) -> ContextLimit:
    """Return the limit with a typed unit.  Raises BadQuery."""
    if not MIN_TOKENS <= limit.max_tokens <= MAX_TOKENS:
        raise BadQuery(f"max_tokens is {limit.max_tokens}; give a number from {MIN_TOKENS} to {MAX_TOKENS:,}")
    try:
        return replace(limit, unit=Unit(limit.unit))
    except ValueError:
        raise BadQuery(f"unit is {limit.unit!r}; it is {', '.join(Unit)}") from None


def passage_request(request: SearchRequest, *, by_document: bool = False) -> SearchRequest:
    """Return the search for the passages of a context.

    Its hits are passages, unless the request orders documents, or asks for them: then each document gives at most
    `passages_per_document`.  Raises BadQuery for an answer without passages.
    """
    check_has_passages(request)
    orders_documents = by_document or request.rerank or request.sort or request.collapse
    group_by = GroupBy.DOCUMENT if orders_documents else GroupBy.NONE
    return replace(request, group_by=group_by, max_tokens=None, include=(), fields=None)
