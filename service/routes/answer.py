"""Answers to questions, as server-sent events or as one JSON document."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import fields
from typing import Any

from fastapi import APIRouter, Request, Response

from retrieval.errors import AttendexError, BadQuery
from retrieval.search.answers.context import ContextLimit, passage_request
from service.client.answers.answer import QuestionAnswer
from service.config.api_keys import Role
from service.http.event_stream import EventStream, described_events, event
from service.http.problems import native_content, problem_of
from service.routes.base import JsonRoute, authorized, json_answer
from service.routes.context import content_of, pack
from service.routes.generations import name_generation
from service.routes.search import Name, logged_search, to_request
from service.schemas.answer import QuestionBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["answers"], route_class=JsonRoute)

SPARE_S = 0.5  # between the deadline of the model and that of the request
STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": described_events("context", "sentence", "done", "error")}}


@router.post("/answer", response_model=QuestionAnswer, responses=STREAMED, summary="Answer a question")
async def answer(name: Name, body: QuestionBody, request: Request) -> Response:
    """Answer from the best passages, each sentence with checked citations.

    With `stream`, the events are `context`, a `sentence` each, and `done`; or `error`, a problem document.
    """
    events = _events(name, body, request)
    if body.stream:
        first = await anext(events)  # an error that comes so early is an error of the request
        return name_generation(EventStream(_sent(first, events, request)), _generation(first[1]))
    async with aclosing(events):
        found = [each async for each in events]
    (_, context), *sentences, (_, end) = found
    members = {each.name: getattr(end, each.name) for each in fields(end)}
    content = {**members, "sentences": [content for _, content in sentences], "context": context}
    return name_generation(await json_answer(content), _generation(context))


def _generation(context: dict[str, Any]) -> int:
    """Return the generation of a context that is sent."""
    search = context["search"]
    return int(search["generation"] if isinstance(search, dict) else search.generation)


async def _events(name: str, body: QuestionBody, request: Request) -> AsyncGenerator[tuple[str, Any]]:
    """Search, pack the context, and yield the events of the answer: name and content."""
    wanted = to_request(body.query, body)
    if not wanted.words.strip():
        raise BadQuery("a question has words; give query at least one")
    search = passage_request(wanted, by_document=body.group_by == "document")
    result, query_id = await logged_search(name, search, body, request)
    services = authorized(request, Role.READ, name)
    limit = ContextLimit(body.max_tokens or services.settings.answer.context_tokens)
    context = await services.slow.run(pack, services, name, wanted, limit, result)
    with services.collections.lease(name) as searcher:
        made = services.answering.events(wanted.words, context, searcher, request.state.deadline - SPARE_S)
        async with aclosing(made) as events:
            async for each in events:
                yield each.name, content_of(context, query_id) if each.content is context else each.content


async def _sent(
    first: tuple[str, Any], others: AsyncGenerator[tuple[str, Any]], request: Request
) -> AsyncGenerator[bytes]:
    """Yield the events as they are sent.  An error is the last event."""
    async with aclosing(others):
        try:
            yield event(*first)
            async for each in others:
                yield event(*each)
        except AttendexError as error:
            yield event("error", native_content(problem_of(error), request.url.path, request.state.request_id))
