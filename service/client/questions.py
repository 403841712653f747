"""Answers to questions, whole or as they are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias, Unpack

from .answers.answer import AnswerEndAnswer, AnswerSentenceAnswer, QuestionAnswer
from .answers.context import ContextAnswer
from .answers.problems import ProblemAnswer
from .calls import Call, path_of, reads, reads_nothing
from .connection import AsyncConnection, Connection
from .errors import error_of_problem
from .events import Event
from .options import SearchOptions

AnswerPart: TypeAlias = ContextAnswer | AnswerSentenceAnswer | AnswerEndAnswer
PARTS: dict[str, type[AnswerPart]] = {
    "context": ContextAnswer,
    "sentence": AnswerSentenceAnswer,
    "done": AnswerEndAnswer,
}


def _answer(name: str, question: str, options: SearchOptions) -> Call[QuestionAnswer]:
    body = {"query": question, "stream": False, **options}
    return Call("POST", path_of(name, "answer"), reads(QuestionAnswer), body)


def _answer_parts(name: str, question: str, options: SearchOptions) -> Call[None]:
    return Call("POST", path_of(name, "answer"), reads_nothing, {"query": question, "stream": True, **options})


class Questions(Connection):
    """The questions of a synchronous client."""

    def answer(self, collection: str, question: str, **options: Unpack[SearchOptions]) -> QuestionAnswer:
        """Answer a question from a collection; `max_tokens` bounds the passages."""
        return self._send(_answer(collection, question, options))

    def answer_parts(self, collection: str, question: str, **options: Unpack[SearchOptions]) -> Iterator[AnswerPart]:
        """Yield the context, each sentence as it is written, and the end."""
        for event in self._events(_answer_parts(collection, question, options)):
            yield _part(event)


class AsyncQuestions(AsyncConnection):
    """The questions of a client for asyncio."""

    async def answer(self, collection: str, question: str, **options: Unpack[SearchOptions]) -> QuestionAnswer:
        """Answer a question from a collection; `max_tokens` bounds the passages."""
        return await self._send(_answer(collection, question, options))

    async def answer_parts(
        self, collection: str, question: str, **options: Unpack[SearchOptions]
    ) -> AsyncIterator[AnswerPart]:
        """Yield the context, each sentence as it is written, and the end."""
        async for event in self._events(_answer_parts(collection, question, options)):
            yield _part(event)


def _part(event: Event) -> AnswerPart:
    """Return the content of an event.  Raises ServiceError for an error."""
    if event.name == "error":
        raise error_of_problem(ProblemAnswer.model_validate(event.data))
    return PARTS[event.name].model_validate(event.data)
