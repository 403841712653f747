"""Standing queries: save a search, and poll for new documents that it matches."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from retrieval.errors import ShardedCollection
from retrieval.index.collection.sharded_reader import ShardedReader
from retrieval.index.collection.standing_queries import (
    Queries,
    StandingQuery,
    Webhook,
    change_standing,
    read_standing,
    standing_query,
)
from retrieval.index.metadata.filters import compile_filter
from retrieval.search.request import checked
from retrieval.search.standing import request_of
from service.client.answers.standing import StandingAnswer, StandingListAnswer, StandingMatchesAnswer
from service.config.api_keys import Role
from service.queues.search_limits import check_limits
from service.routes.base import JsonRoute, Services, authorized, authorized_to_change, json_response
from service.routes.search import Name
from service.runtime.webhook_sender import check_url, new_secret
from service.schemas.standing import StandingBody, StandingMatchesParameters

router = APIRouter(prefix="/v1/collections/{name}/standing", tags=["standing queries"], route_class=JsonRoute)

QueryName = Annotated[
    str, Path(description="Name of the standing query.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
]


@router.get("", response_model=StandingListAnswer, summary="All standing queries")
async def list_standing(name: Name, request: Request) -> Response:
    """Return them, the oldest first."""
    services = authorized(request, Role.WRITE, name)
    found = await services.threads.run(read_standing, services.collections.path(name))
    return json_response({"standing": [_shown(query) for query in found.values()]})


@router.put("/{query}", response_model=StandingAnswer, summary="Save a standing query")
async def put_standing(name: Name, query: QueryName, body: StandingBody, request: Request) -> Response:
    """Save a search, or replace it; its matches so far stay.

    Documents that are added or changed from now on are checked.
    """
    services = authorized_to_change(request, Role.WRITE, name)
    return json_response(await services.threads.run(_put, services, name, query, body))


@router.delete("/{query}", status_code=204, summary="Delete a standing query")
async def delete_standing(name: Name, query: QueryName, request: Request) -> Response:
    """Delete it with its matches."""
    services = authorized_to_change(request, Role.WRITE, name)
    await services.threads.run(_delete, services, name, query)
    return Response(status_code=204)


@router.get("/{query}/matches", response_model=StandingMatchesAnswer, summary="Matches of a standing query")
async def matches(
    name: Name, query: QueryName, parameters: Annotated[StandingMatchesParameters, Query()], request: Request
) -> Response:
    """Return new documents that the query matches, after a number.

    The newest 1,000 are kept.
    """
    services = authorized(request, Role.READ, name)
    queries = await services.threads.run(read_standing, services.collections.path(name))
    found = standing_query(queries, query)
    later = [match for match in found.matches if match.number > parameters.after]
    return json_response({"matches": later[: parameters.limit], "last": found.last})


def _put(services: Services, name: str, query: str, body: StandingBody) -> dict[str, Any]:
    with services.collections.lease(name) as searcher:
        manifest, path = searcher.reader.manifest, searcher.reader.path
        if isinstance(searcher.reader, ShardedReader):
            raise ShardedCollection(f"{name}: is a sharded collection, and standing queries need one without shards")
        new = StandingQuery(
            name=query,
            query=body.query,
            filter=body.filter.strip(),
            mode=body.mode or "",
            min_score=body.min_score,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            generation=manifest.generation,
            next_key=manifest.next_key,
        )
        check_limits(checked(request_of(new)), services.settings.limits)
        if new.filter:
            compile_filter(new.filter, searcher.reader.schema)

    url = body.webhook.url if body.webhook else ""
    if url:
        check_url(url, allow_private=services.settings.webhooks.private)
    webhook = Webhook(url, new_secret()) if url else None
    saved = change_standing(path, lambda queries: {**queries, query: _saved(queries.get(query), new, webhook)})[query]
    shown = _shown(saved)
    if webhook and saved.webhook and saved.webhook.secret == webhook.secret:
        shown["webhook"]["secret"] = webhook.secret
    return shown


def _saved(before: StandingQuery | None, new: StandingQuery, webhook: Webhook | None) -> StandingQuery:
    """Return a query as it is stored: with the matches of the one that it replaces.

    A webhook with the same address goes on; another one gets the matches from now on.
    """
    if before is None:
        return replace(new, webhook=webhook)
    new = replace(new, created=before.created, last=before.last, matches=before.matches)
    if webhook is not None and before.webhook is not None and before.webhook.url == webhook.url:
        return replace(new, webhook=before.webhook)
    return replace(new, webhook=webhook and replace(webhook, delivered=new.last))


def _delete(services: Services, name: str, query: str) -> None:
    def change(queries: Queries) -> Queries:
        standing_query(queries, query)
        return {other: each for other, each in queries.items() if other != query}

    change_standing(services.collections.path(name), change)


def _shown(query: StandingQuery) -> dict[str, Any]:
    """Return a query as the answer has it, without the secret of its webhook."""
    shown = asdict(replace(query, matches=()))
    for name in ("next_key", "matches"):
        del shown[name]
    if shown["webhook"]:
        del shown["webhook"]["secret"]
    return {**shown, "mode": query.mode or None}
