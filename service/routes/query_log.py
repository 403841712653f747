"""The query log: record clicks, and list the queries by frequency."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from retrieval.errors import NotFound
from retrieval.metrics.query_log import QueryProblem, most_frequent, read_records, summarize
from service.client.answers.query_log import LoggedQueriesAnswer
from service.config.api_keys import Role
from service.observability.query_log import QueryLog
from service.routes.base import JsonRoute, Services, authorized, json_response
from service.routes.search import Name
from service.schemas.query_log import EventBody, LoggedQueriesParameters

router = APIRouter(prefix="/v1/collections/{name}", tags=["query log"], route_class=JsonRoute)

TOTALS = ("searches", "zero_hits", "low_confidence", "clicks")


@router.post("/events", status_code=204, summary="Record a click")
async def record_event(name: Name, body: EventBody, request: Request) -> Response:
    """Record a click on a hit, for an answer with a `query_id`."""
    services = authorized(request, Role.READ, name)
    log = query_log_of(services, name)
    log.click(name, body.query_id, body.document, body.position)
    return Response(status_code=204)


@router.get("/queries", response_model=LoggedQueriesAnswer, summary="Queries of the log")
async def list_queries(
    name: Name, parameters: Annotated[LoggedQueriesParameters, Query()], request: Request
) -> Response:
    """Return the most frequent queries of the log, or those with a problem."""
    services = authorized(request, Role.WRITE, name)
    log = query_log_of(services, name)
    return json_response(await services.slow.run(_summary, log, name, parameters))


def query_log_of(services: Services, name: str) -> QueryLog:
    """Return the query log.  Raises CollectionNotFound, and NotFound if there is none."""
    services.collections.path(name)  # raises CollectionNotFound
    if services.query_log is None:
        raise NotFound("this service keeps no query log; set query_log.folder to keep one")
    return services.query_log


def _summary(log: QueryLog, name: str, parameters: LoggedQueriesParameters) -> dict[str, object]:
    folder = log.folder(name)
    found = summarize(read_records(folder)).values() if folder.is_dir() else ()
    problem = QueryProblem(parameters.problem) if parameters.problem else None
    totals = {total: sum(getattr(each, total) for each in found) for total in TOTALS}
    shown = most_frequent(found, parameters.k, problem)
    queries = [{name: getattr(each, name) for name in ("query", "last", *TOTALS)} for each in shown]
    return {"queries": queries, **totals}
