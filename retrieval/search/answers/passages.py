"""Passages as hits of their own, with the document, page and source of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from retrieval.collapsed import Collapsed
from retrieval.errors import BadQuery
from retrieval.explanations import Explanation
from retrieval.results import SearchResult
from retrieval.search.answer_contents import MAX_COUNTED_PASSAGES
from retrieval.types import Detail, GroupBy, Included, SearchRequest

SOURCES = ("source", "url", "path")  # metadata fields that tell where a document comes from
PAGE = re.compile(r"p\. (\d+)")


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage of an answer, `text[start:end]` of its document, as `PassageHit`."""

    rank: int
    document: str
    start: int
    end: int
    text: str
    score: float
    scores: Mapping[str, float | None]
    title: str
    location: str
    page: int | None
    heading: str
    source: str
    number: int
    previous: int | None
    next: int | None
    tokens: int | None
    before: str
    after: str
    highlights: tuple[tuple[int, int], ...]
    metadata: Mapping[str, Any]
    collection: str | None
    collapsed: Collapsed | None
    explanation: Explanation | None


def each_passage(request: SearchRequest) -> SearchRequest:
    """Return the search whose hits are passages, with their tokens.  Raises BadQuery."""
    check_has_passages(request)
    include = (Included.TOKENS,) if request.k <= MAX_COUNTED_PASSAGES else ()
    return replace(request, group_by=GroupBy.NONE, passages_per_document=1, include=include)


def check_has_passages(request: SearchRequest) -> None:
    """Raise BadQuery for a search whose answer has ids alone, or whole texts."""
    if request.detail != Detail.PASSAGES or request.has_whole_texts:
        raise BadQuery("this answer has passages, neither ids alone nor whole texts; leave out detail and include text")


def found_passages(found: SearchResult) -> list[RankedPassage]:
    """Return the passages of a search whose hits are passages."""
    return [
        RankedPassage(
            rank=hit.rank,
            document=hit.id,
            start=passage.start,
            end=passage.end,
            text=passage.text,
            score=passage.score,
            scores=hit.scores,
            title=hit.title,
            location=passage.location,
            page=page_of(passage.location),
            heading=passage.heading,
            source=source_of(hit.metadata),
            number=passage.number,
            previous=passage.previous,
            next=passage.next,
            tokens=passage.tokens,
            before=passage.before,
            after=passage.after,
            highlights=passage.highlights,
            metadata=hit.metadata,
            collection=hit.collection,
            collapsed=hit.collapsed,
            explanation=hit.explanation,
        )
        for hit in found.hits
        for passage in hit.passages
    ]


def page_of(location: str) -> int | None:
    """Return the number of the page that a location names, if it names one."""
    page = PAGE.match(location)
    return int(page[1]) if page else None


def source_of(metadata: Mapping[str, Any]) -> str:
    """Return where a document comes from, if its metadata tell."""
    return next((value for name in SOURCES if isinstance(value := metadata.get(name), str)), "")
