"""Search routes: by POST, by GET, several at once."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from retrieval.results import SearchResult
from retrieval.types import (
    ALL_DOCUMENTS,
    Detail,
    GroupBy,
    Included,
    Matching,
    Mode,
    Partial,
    Prefix,
    RerankOptions,
    SearchRequest,
    Syntax,
)
from service.client.answers.facets import FacetValuesAnswer
from service.client.answers.search import BatchAnswer, SearchAnswer
from service.client.answers.suggestions import SuggestAnswer
from service.config.api_keys import Role
from service.routes.base import JsonRoute, Services, authorized, json_answer
from service.routes.generations import name_generation, newest, require_generation
from service.schemas.facets import FacetValuesParameters
from service.schemas.search import BatchBody, RerankOptionsBody, SearchBody, SearchParameters, SimilarParameters
from service.schemas.suggestions import SuggestParameters

router = APIRouter(prefix="/v1/collections/{name}", tags=["search"], route_class=JsonRoute)

Name = Annotated[str, Path(description="Name of the collection.", max_length=255)]


@router.post("/search", response_model=SearchAnswer, summary="Search")
async def search(name: Name, body: SearchBody, request: Request) -> Response:
    """Return the documents that match the query, best first."""
    return await _search(name, to_request(body.query, body), body, request)


@router.get("/search", response_model=SearchAnswer, summary="Search by URL")
async def search_by_url(name: Name, parameters: Annotated[SearchParameters, Query()], request: Request) -> Response:
    """Search with URL parameters; `q` is the query."""
    return await _search(name, to_request(parameters.q, parameters), parameters, request)


@router.get("/documents/{document_id:path}/similar", response_model=SearchAnswer, summary="Similar documents")
async def similar(
    name: Name, document_id: str, parameters: Annotated[SimilarParameters, Query()], request: Request
) -> Response:
    """Return the documents that are most like a document, without it."""
    wanted = to_request("", parameters)
    return await _search(name, replace(wanted, like=(document_id, *wanted.like)), parameters, request, log=False)


@router.get("/suggest", response_model=SuggestAnswer, summary="Complete a query")
async def suggest(name: Name, parameters: Annotated[SuggestParameters, Query()], request: Request) -> Response:
    """Return words and titles for a query that is being typed."""
    services = authorized(request, Role.READ, name)
    return await json_answer(await services.threads.run(_suggestions, services, name, parameters))


@router.get("/facets/{field:path}", response_model=FacetValuesAnswer, summary="Values of a facet")
async def facet_values(
    name: Name, field: str, parameters: Annotated[FacetValuesParameters, Query()], request: Request
) -> Response:
    """Return the values of a field that begin with a prefix, and their counts."""
    wanted = SearchRequest(
        parameters.q.strip() or ALL_DOCUMENTS,
        k=1,
        filter=parameters.filter,
        facets=(field,),
        facet_prefix=parameters.prefix,
        detail=Detail.IDS,
    )
    result = await authorized(request, Role.READ, name).searches.search(name, wanted)
    return await json_answer({"field": field, "values": result.facets.get(field, ())[: parameters.k]})


@router.post("/search/batch", response_model=BatchAnswer, summary="Several searches at once")
async def search_batch(name: Name, body: BatchBody, request: Request) -> Response:
    """Return the answers in the order of the searches.

    If one search fails, the batch fails. The service accepts or refuses the batch as a whole, and runs a part of it at
    a time.
    """
    services = authorized(request, Role.READ, name)
    now = datetime.now(UTC)
    searches = [replace(to_request(search.query, search), now=now) for search in body.searches]
    await require_generation(services, name, newest(each.min_generation for each in body.searches), request)
    services.searches.check_total(name, searches)
    slots = asyncio.Semaphore(services.searches.max_concurrent)

    async def run(position: int, search: SearchRequest) -> object:
        async with slots:
            return await services.searches.search(name, search, admitted=position > 0)

    tasks = [asyncio.create_task(run(*item)) for item in enumerate(searches)]
    try:
        return await json_answer({"results": await asyncio.gather(*tasks)})
    finally:
        for task in tasks:
            task.cancel()


async def _search(
    name: str,
    search_request: SearchRequest,
    options: SearchBody | SearchParameters | SimilarParameters,
    request: Request,
    *,
    log: bool = True,
) -> Response:
    result, query_id = await logged_search(name, search_request, options, request, log=log)
    return name_generation(await json_answer(with_query_id(result, query_id)), result.generation)


def with_query_id(result: SearchResult, query_id: str | None) -> object:
    """Return the content of an answer; with its id in the query log, if there is one."""
    if query_id is None:
        return result
    return {"query_id": query_id, **{each.name: getattr(result, each.name) for each in fields(result)}}


async def logged_search(
    name: str,
    search_request: SearchRequest,
    options: SearchBody | SearchParameters | SimilarParameters,
    request: Request,
    *,
    log: bool = True,
) -> tuple[SearchResult, str | None]:
    """Return the result of a search, and its id if the query log has it."""
    request.state.query = search_request.query
    services = authorized(request, Role.READ, name)
    await require_generation(services, name, options.min_generation, request)
    result = await services.searches.search(name, search_request)
    request.state.timings = result.timings_ms
    if services.query_log is None or not (log and options.log and search_request.words):
        return result, None
    return result, services.query_log.search(name, search_request, result)


def _suggestions(services: Services, name: str, parameters: SuggestParameters) -> object:
    with services.collections.lease(name) as searcher:
        return searcher.suggest(parameters.q, parameters.k)


def to_request(query: str, options: SearchBody | SearchParameters | SimilarParameters) -> SearchRequest:
    """Return the searcher's record of a search."""
    collapse, collapse_near = options.collapse_options()
    return SearchRequest(
        query=query,
        k=options.k,
        offset=options.offset,
        like=tuple(options.like),
        unlike=tuple(options.unlike),
        vector=None if options.vector is None else tuple(options.vector),
        mode=Mode(options.mode) if options.mode else None,
        syntax=Syntax(options.syntax),
        typos=options.typos,
        synonyms=options.synonyms,
        prefix=Prefix(options.prefix),
        filter=options.filter,
        fusion=options.fusion,
        weight=options.weight,
        feedback=options.feedback,
        sparse_weight=options.sparse_weight,
        window_share=options.window_share,
        rrf_k=options.rrf_k,
        facets=tuple(options.facets),
        disjunctive=tuple(options.disjunctive),
        facet_prefix=options.facet_prefix,
        sort=options.sort,
        collapse=collapse,
        collapse_near=collapse_near,
        bm25=options.bm25_options(),
        boosts=options.boost_records(),
        diversity=options.diversity,
        diversity_depth=options.diversity_depth,
        matching=Matching(options.matching),
        relevant_share=options.relevant_share,
        count=options.count,
        min_score=options.min_score,
        passages_per_document=options.passages_per_document,
        fields=None if options.fields is None else tuple(options.fields),
        include=tuple(map(Included, options.include)),
        detail=Detail(options.detail),
        group_by=GroupBy(options.group_by),
        neighbours=options.neighbours,
        max_tokens=options.max_tokens,
        highlight=options.highlight,
        exact=options.exact,
        explain=options.explain,
        partial=Partial(options.partial) if options.partial else None,
        pins=options.pins,
        rerank=rerank_options(options.rerank_options()),
    )


def rerank_options(body: RerankOptionsBody | None) -> RerankOptions | None:
    """Return the searcher's record of the options of reranking."""
    return None if body is None else RerankOptions(body.model, body.depth, body.weight)
