"""Answers to questions; they mirror the records of retrieval/search/answers/."""

from __future__ import annotations

from pydantic import Field

from .base import Answer
from .context import ContextAnswer


class SupportAnswer(Answer):
    """The sentence of a document that supports one of the answer."""

    id: int = Field(description="Id of the citation in the context.")
    document: str
    start: int
    end: int
    text: str
    score: float = Field(description="How much it supports the sentence, 0 to 1.")


class AnswerSentenceAnswer(Answer):
    """A sentence of the answer, without its citation marks."""

    text: str
    citations: list[SupportAnswer]
    supported: bool = Field(description="Whether a passage supports the sentence.")
    dropped: list[int] = Field(default_factory=list, description="Citations of the model that do not support it.")


class AnswerEndAnswer(Answer):
    """The end of an answer: the last event, `done`."""

    found: bool = Field(description="Whether the documents answer the question.")
    answer: str = Field(description="All sentences with their citations, or `Not in these documents.`")
    model: str = Field(description="Name of the model; empty for sentences of the documents.")
    finish: str = Field(description="`length` if a limit ended the text of the model, else `stop`.")


class QuestionAnswer(AnswerEndAnswer):
    """An answer with its sentences, and the context that it comes from."""

    sentences: list[AnswerSentenceAnswer]
    context: ContextAnswer
