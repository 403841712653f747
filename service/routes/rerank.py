"""Rerank routes of Cohere (v1, v2), infinity and TEI."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from retrieval.errors import EmptyInput, TooLarge
from retrieval.explanations import Span
from retrieval.search.explain.attribution import CosineExplainer
from service.client.answers.rerank import CohereAnswer
from service.config.api_keys import Role
from service.http.problems import COHERE
from service.queues.embedding_queue import RankedText
from service.routes.base import JsonRoute, authorized, json_response
from service.routes.openai import checked_texts
from service.routes.tei import TeiRoute
from service.runtime.encoder_registry import shown_name
from service.schemas.rerank import InfinityAnswer, RelevantSpansOptions, RerankBody, TextsBody
from service.schemas.tei import RankedAnswer

MAX_TEXTS_WITH_SPANS = 100  # the spans of each text need the token states


class CohereRoute(JsonRoute):
    """A route with Cohere's errors."""

    dialect = COHERE


router = APIRouter(tags=["rerank"], route_class=CohereRoute)
shared_router = APIRouter(tags=["rerank"], route_class=TeiRoute)  # TEI and infinity share a path

DEFAULT_SPANS = 5  # of one text


@shared_router.post("/rerank", response_model=list[RankedAnswer] | InfinityAnswer, summary="Rerank (TEI, infinity)")
async def rerank(body: TextsBody | RerankBody, request: Request) -> Response:
    """Return TEI's list for `texts`, infinity's object for `documents`."""
    if isinstance(body, TextsBody):
        ranked = await _rank(request, "", body.query, tuple(body.texts), raw=body.raw_scores)
        return json_response([_tei(text, body) for text in ranked])
    ranked = (await _rank(request, body.model, body.query, body.texts(), raw=body.raw_scores))[: body.top_n]
    texts = body.texts()
    results = [
        {
            "index": text.index,
            "relevance_score": text.score,
            "document": texts[text.index] if body.return_documents else None,
        }
        for text in ranked
    ]
    return json_response(
        {
            "object": "rerank",
            "results": results,
            "model": body.model or _model(request),
            "usage": {"prompt_tokens": 0, "total_tokens": 0},
            "id": f"rerank-{uuid.uuid4()}",
            "created": int(time.time()),
        }
    )


@router.post("/v1/rerank", response_model=CohereAnswer, summary="Rerank (Cohere, version 1)")
async def rerank_v1(body: RerankBody, request: Request) -> Response:
    """Return the documents, best first; `return_documents` repeats their texts."""
    return await _cohere(body, request, "1")


@router.post("/v2/rerank", response_model=CohereAnswer, summary="Rerank (Cohere, version 2)")
async def rerank_v2(body: RerankBody, request: Request) -> Response:
    """Return the documents, best first."""
    return await _cohere(body, request, "2")


async def _cohere(body: RerankBody, request: Request, version: str) -> Response:
    texts = body.texts()
    ranked = (await _rank(request, body.model, body.query, texts, raw=body.raw_scores))[: body.top_n]
    results: list[dict[str, Any]] = [{"index": text.index, "relevance_score": text.score} for text in ranked]
    if body.return_documents:
        for result in results:
            result["document"] = {"text": texts[result["index"]]}
    if body.relevant_spans is not None and body.relevant_spans.mode == "enabled":
        groups = await _spans(request, body, [texts[text.index] for text in ranked])
        for result, spans in zip(results, groups, strict=True):
            result["relevant_spans"] = spans
    meta = {"api_version": {"version": version}, "billed_units": {"search_units": 1}}
    return json_response({"id": str(uuid.uuid4()), "results": results, "meta": meta})


async def _spans(request: Request, body: RerankBody, texts: Sequence[str]) -> list[list[Span]]:
    """Return the spans of each text that carry its cosine, by word pairs."""
    services = authorized(request, Role.READ)
    options = body.relevant_spans or RelevantSpansOptions()
    if len(texts) > MAX_TEXTS_WITH_SPANS:
        raise TooLarge(f"this service marks spans in at most {MAX_TEXTS_WITH_SPANS} documents; lower top_n to that")

    def explained() -> list[list[Span]]:
        encoder = services.encoders.get(services.encoders.resolve(""))
        spans = CosineExplainer(encoder).spans(body.query, texts, max_spans=options.max_spans or DEFAULT_SPANS)
        return [[span for span in group if span.score >= options.threshold] for group in spans]

    return await services.slow.run(explained)


async def _rank(request: Request, model: str, query: str, texts: tuple[str, ...], *, raw: bool) -> list[RankedText]:
    services = authorized(request, Role.READ)
    if not query.strip():
        raise EmptyInput("the query is blank; give at least one word")
    for given in (query, [text or " " for text in texts]):
        checked_texts(given, services.settings.limits)
    return await services.rerank_scorer.rank(services.encoders.resolve(""), model, query, texts, raw=raw)


def _tei(ranked: RankedText, body: TextsBody) -> dict[str, Any]:
    content: dict[str, Any] = {"index": ranked.index, "score": ranked.score}
    if body.return_text:
        content["text"] = body.texts[ranked.index]
    return content


def _model(request: Request) -> str:
    services = authorized(request, Role.READ)
    return shown_name(services.encoders.resolve(""))
