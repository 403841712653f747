"""Searching a collection: by POST, by GET, several at once."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from retrieval.errors import TooLarge
from retrieval.types import Mode, SearchRequest
from service.config.api_keys import Role
from service.routes.base import JsonRoute, authorized, json_response
from service.schemas.search import (
    BatchAnswer,
    BatchBody,
    SearchAnswer,
    SearchBody,
    SearchOptionFields,
    SearchParameters,
)

router = APIRouter(prefix="/v1/collections/{name}", tags=["search"], route_class=JsonRoute)

Name = Annotated[str, Path(description="Name of the collection.", max_length=255)]


@router.post("/search", response_model=SearchAnswer, summary="Search")
async def search(name: Name, body: SearchBody, request: Request) -> Response:
    """Documents that answer the query, best first."""
    return await _search(name, to_request(body.query, body), request)


@router.get("/search", response_model=SearchAnswer, summary="Search by URL")
async def search_by_url(name: Name, parameters: Annotated[SearchParameters, Query()], request: Request) -> Response:
    """The same with URL parameters, `q` being the query."""
    return await _search(name, to_request(parameters.q, parameters), request)


@router.post("/search/batch", response_model=BatchAnswer, summary="Several searches at once")
async def search_batch(name: Name, body: BatchBody, request: Request) -> Response:
    """Answers in the order of the searches; where one cannot be answered, none is.

    A list is let in as a whole, or refused, and has a share of the room at a time.
    """
    services = authorized(request, Role.READ, name)
    limits, hits = services.settings.limits, sum(each.k for each in body.searches)
    if len(body.searches) > limits.batch:
        raise TooLarge(f"{len(body.searches):,} searches are more than this service answers at once ({limits.batch:,})")
    if hits > limits.depth:
        raise TooLarge(f"the searches ask for {hits:,} hits, more than this service gives at once ({limits.depth:,})")
    room = asyncio.Semaphore(services.searches.max_concurrent)

    async def one(place: int, each: SearchBody) -> object:
        async with room:
            return await services.searches.search(name, to_request(each.query, each), admitted=place > 0)

    tasks = [asyncio.create_task(one(*each)) for each in enumerate(body.searches)]
    try:
        return json_response({"results": await asyncio.gather(*tasks)})
    finally:
        for task in tasks:
            task.cancel()


async def _search(name: str, asked: SearchRequest, request: Request) -> Response:
    request.state.query = asked.query
    result = await authorized(request, Role.READ, name).searches.search(name, asked)
    request.state.timings = result.timings_ms
    return json_response(result)


def to_request(query: str, options: SearchOptionFields) -> SearchRequest:
    """The record that the searcher takes."""
    return SearchRequest(
        query=query,
        k=options.k,
        offset=options.offset,
        mode=Mode(options.mode) if options.mode else None,
        filter=options.filter,
        fusion=options.fusion,
        weight=options.weight,
        rrf_k=options.rrf_k,
        facets=tuple(options.facets),
        sort=options.sort,
        min_score=options.min_score,
        passages_per_document=options.passages_per_document,
        fields=None if options.fields is None else tuple(options.fields),
        highlight=options.highlight,
        exact=options.exact,
        explain=options.explain,
    )
