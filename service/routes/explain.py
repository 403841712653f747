"""Explanations: the parts of a score, and the encoder's attention."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from retrieval.search.request import checked
from retrieval.search.reranked_explanation import explain_reranked
from retrieval.types import Mode, Prefix, SearchRequest, Syntax
from service.client.answers.explanations import ExplanationAnswer
from service.config.api_keys import Role
from service.queues.search_limits import check_limits
from service.routes.base import JsonRoute, Services, authorized, json_answer
from service.routes.search import Name, rerank_options
from service.schemas.pages import AttentionAnswer, AttentionBody, ExplainBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["explain"], route_class=JsonRoute)


@router.post("/explain", response_model=ExplanationAnswer, summary="Explain why a document matched")
async def explain(name: Name, body: ExplainBody, request: Request) -> Response:
    """Return the document's scores for the query, divided among the words.

    With `rerank`, `rerank` of the answer has the score before it and that of the reranker.
    """
    services = authorized(request, Role.READ, name)
    return await json_answer(await services.slow.run(_explain, services, name, body))


@router.post("/attention", response_model=AttentionAnswer, summary="The encoder's self-attention")
async def attention(name: Name, body: AttentionBody, request: Request) -> Response:
    """Return one layer's attention over the query or the passage, by word."""
    services = authorized(request, Role.READ, name)
    return await json_answer(await services.slow.run(_attention, services, name, body))


def _explain(services: Services, name: str, body: ExplainBody) -> object:
    request = SearchRequest(
        body.query,
        mode=Mode(body.mode) if body.mode else None,
        syntax=Syntax(body.syntax),
        typos=body.typos,
        synonyms=body.synonyms,
        prefix=Prefix(body.prefix),
        weight=body.weight,
        rerank=rerank_options(body.rerank),
    )
    request = check_limits(checked(request), services.settings.limits)
    with services.collections.lease(name) as searcher:
        if request.rerank is not None:
            return explain_reranked(searcher, request, body.id)
        return searcher.explain(
            request.query,
            body.id,
            request.mode,
            syntax=request.syntax,
            typos=request.typos,
            synonyms=request.synonyms,
            prefix=request.prefix,
            start=body.start,
        )


def _attention(services: Services, name: str, body: AttentionBody) -> dict[str, object]:
    with services.collections.lease(name) as searcher:
        query, heads = _query(body.query, services), body.heads
        found = searcher.attention(query, body.id, body.layer, heads=heads, of_query=body.side == "query")
    return {
        "words": found.words,
        "layers": found.layers,
        "heads": found.heads,
        "layer": found.layer,
        "weights": found.weights.round(3),
    }


def _query(text: str, services: Services) -> str:
    return check_limits(checked(SearchRequest(text)), services.settings.limits).query
