"""Passages as hits of their own, and contexts for language models."""

from __future__ import annotations

from dataclasses import fields, replace

from fastapi import APIRouter, Request, Response

from retrieval.results import SearchResult
from retrieval.search.answers.context import Context, ContextLimit, Unit, passage_request
from retrieval.search.answers.packing import pack_context
from retrieval.search.answers.passages import each_passage, found_passages
from retrieval.types import SearchRequest
from service.client.answers.context import ContextAnswer, PassagesAnswer
from service.config.api_keys import Role
from service.routes.base import JsonRoute, Services, authorized, json_answer
from service.routes.generations import name_generation
from service.routes.search import Name, logged_search, to_request, with_query_id
from service.schemas.context import ContextBody, PassageSearchBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["search"], route_class=JsonRoute)


@router.post("/passages/search", response_model=PassagesAnswer, summary="Search passages")
async def search_passages(name: Name, body: PassageSearchBody, request: Request) -> Response:
    """Return the passages that match the query, best first, each with its document."""
    result, query_id = await logged_search(name, each_passage(to_request(body.query, body)), body, request)
    search = with_query_id(replace(result, hits=()), query_id)
    answer = await json_answer({"passages": found_passages(result), "search": search})
    return name_generation(answer, result.generation)


@router.post("/context", response_model=ContextAnswer, summary="Context for a language model")
async def context(name: Name, body: ContextBody, request: Request) -> Response:
    """Return the best passages in a limited number of tokens, each with a citation."""
    wanted = to_request(body.query, body)
    search = passage_request(wanted, by_document=body.group_by == "document")
    result, query_id = await logged_search(name, search, body, request)
    services = authorized(request, Role.READ, name)
    limit = ContextLimit(body.max_tokens, Unit(body.unit))
    packed = await services.slow.run(pack, services, name, wanted, limit, result)
    return name_generation(await json_answer(content_of(packed, query_id)), result.generation)


def content_of(context: Context, query_id: str | None) -> dict[str, object]:
    """Return a context as it is sent, with its id in the query log, if there is one."""
    content = {each.name: getattr(context, each.name) for each in fields(context)}
    return {**content, "search": with_query_id(context.search, query_id)}


def pack(services: Services, name: str, wanted: SearchRequest, limit: ContextLimit, found: SearchResult) -> Context:
    """Return the context of the passages that a search found."""
    with services.collections.lease(name) as searcher:
        return pack_context(wanted, limit, found, searcher.encoder.tokenizer)
