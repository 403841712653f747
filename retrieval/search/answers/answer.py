"""Answers: sentences, each with the places in documents that support it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.search.answers.sources import SourceSentence

NOT_FOUND = "Not in these documents."


@dataclass(frozen=True, slots=True)
class Support:
    """The sentence `text[start:end]` of a document, which supports one of an answer."""

    id: int  # of the citation in the context
    document: str
    start: int
    end: int
    text: str
    score: float  # 0 to 1, as in search/answers/sources.py

    @classmethod
    def of(cls, source: SourceSentence, score: float) -> Support:
        return cls(source.citation.id, source.citation.document, source.start, source.end, source.text, score)


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence of an answer, without its citation marks."""

    text: str
    citations: tuple[Support, ...]  # that support it, the best first
    supported: bool
    dropped: tuple[int, ...] = ()  # citations of the model that do not support it
