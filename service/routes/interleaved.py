"""Interleaved searches: two settings compared by the clicks of users."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import fields, replace
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from retrieval.errors import BadQuery
from retrieval.metrics.interleaving import Team, team_draft
from retrieval.results import SearchResult
from retrieval.types import GroupBy, SearchRequest
from service.client.answers.search import SearchAnswer
from service.config.api_keys import Role
from service.routes.base import JsonRoute, authorized, json_answer
from service.routes.generations import newest, require_generation
from service.routes.query_log import query_log_of
from service.routes.search import Name, to_request
from service.schemas.interleaved import InterleavedBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["query log"], route_class=JsonRoute)


@router.post("/search/interleaved", response_model=SearchAnswer, summary="Mix the hits of two searches")
async def search_interleaved(name: Name, body: InterleavedBody, request: Request) -> Response:
    """Return the hits of two searches by turns; log the search that each stands for.

    A coin decides which search begins a turn (team-draft interleaving).  All but the hits is of the first search.
    """
    services = authorized(request, Role.READ, name)
    log = query_log_of(services, name)
    now = datetime.now(UTC)
    a, b = (replace(to_request(each.query, each), now=now) for each in (body.a, body.b))
    _check_comparable(a, b)
    await require_generation(services, name, newest([body.a.min_generation, body.b.min_generation]), request)
    services.searches.check_total(name, [a, b])
    first, second = await asyncio.gather(*(services.searches.search(name, each) for each in (a, b)))
    result, teams = _mixed(first, second, a.k)
    query_id = log.search(name, a, result, comparison=body.name, teams=teams)
    return await json_answer(
        {"query_id": query_id, **{each.name: getattr(result, each.name) for each in fields(result)}}
    )


def _check_comparable(a: SearchRequest, b: SearchRequest) -> None:
    if (a.query, a.k) != (b.query, b.k) or not a.words:
        raise BadQuery("a and b differ in query or k, or list all documents; give both the same words and the same k")
    for each in (a, b):
        if each.offset or each.sort or each.max_tokens is not None or each.group_by is GroupBy.NONE:
            raise BadQuery("offset, sort, max_tokens and group_by fit no interleaved search; leave them out")


def _mixed(first: SearchResult, second: SearchResult, k: int) -> tuple[SearchResult, str]:
    """Return the first result with the hits of both, and the team of each hit."""
    of_first, of_second = ({hit.id: hit for hit in result.hits} for result in (first, second))
    drafted = team_draft(list(of_first), list(of_second), k, lambda: bool(secrets.randbelow(2)))
    hits = []
    for rank, (id_, team) in enumerate(drafted, 1):
        source = of_second if team is Team.B or id_ not in of_first else of_first
        hits.append(replace(source[id_], rank=rank))
    return replace(first, hits=tuple(hits)), "".join(team for _, team in drafted)
