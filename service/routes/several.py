"""The route of searches over several collections."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from retrieval.errors import BadQuery, CollectionNotFound
from service.client.answers.search import SearchAnswer
from service.config.api_keys import Role
from service.routes.base import JsonRoute, authorized, json_answer
from service.routes.search import to_request
from service.runtime.open_collections import JOIN, joined_name, no_collection
from service.schemas.several import SeveralSearchBody

router = APIRouter(prefix="/v1", tags=["search"], route_class=JsonRoute)


@router.post("/search", response_model=SearchAnswer, summary="Search several collections")
async def search_several(body: SeveralSearchBody, request: Request) -> Response:
    """Return the documents of several collections that match the query, best first.

    The answer is that of one collection that holds the documents of all; each hit names its collection.
    """
    names = body.collections
    if body.min_generation is not None:
        raise BadQuery("min_generation is that of one collection; leave it out, or search one collection")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BadQuery(f"collections names {repeated!r} twice; name each collection once")
    for name in names:
        services = authorized(request, Role.READ, name)
        if JOIN in name:
            raise CollectionNotFound(no_collection(name))
    request.state.query = body.query
    result = await services.searches.search(joined_name(names), to_request(body.query, body))
    request.state.timings = result.timings_ms
    return await json_answer(result)
