"""Judgments of the search page: store, export and evaluate them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request, Response

from retrieval.index.collection.judgments import Judgment, judge, read_judgments
from retrieval.metrics.files import beir_qrels_lines, trec_qrels_lines
from retrieval.metrics.tasks import topic_lines
from retrieval.search.evaluated.judged_modes import measure_modes, qrels_of, topics_of
from retrieval.util.work_budget import uncounted_answers
from service.client.answers.judgments import JudgmentsAnswer, MeasuresAnswer
from service.config.api_keys import Role
from service.routes.base import JsonRoute, Services, authorized, authorized_to_change, json_response
from service.routes.search import Name
from service.schemas.pages import JudgmentBody

router = APIRouter(prefix="/v1/collections/{name}/judgments", tags=["judgments"], route_class=JsonRoute)

TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("", response_model=JudgmentsAnswer, summary="All judgments")
async def list_judgments(name: Name, request: Request) -> Response:
    """Return them in the order in which they were first made."""
    return _listed(await _judgments(authorized(request, Role.READ, name), name))


@router.put("", response_model=JudgmentsAnswer, summary="Judge a document")
async def put_judgment(name: Name, body: JudgmentBody, request: Request) -> Response:
    """Replace the grade of the same query and document; return all judgments."""
    services = authorized_to_change(request, Role.WRITE, name)
    return _listed(await services.threads.run(_judge, services, name, body))


@router.post("/measures", response_model=MeasuresAnswer, summary="Measures over the judgments")
async def measures(name: Name, request: Request) -> Response:
    """Return nDCG@10 of each mode, and the judged share of the first ten hits."""
    services = authorized(request, Role.READ, name)
    return json_response(await services.slow.run(_measures, services, name))


@router.get("/queries.jsonl", response_class=Response, responses=TEXT, summary="Judged queries (BEIR)")
async def queries_jsonl(name: Name, request: Request) -> Response:
    """Return queries for `attendex evaluate --queries`."""
    return _text(topic_lines(topics_of(await _judgments(authorized(request, Role.READ, name), name))))


@router.get("/qrels.tsv", response_class=Response, responses=TEXT, summary="Judgments (BEIR)")
async def qrels_tsv(name: Name, request: Request) -> Response:
    """Return judgments for `attendex evaluate --qrels`."""
    return _text(beir_qrels_lines(qrels_of(await _judgments(authorized(request, Role.READ, name), name))))


@router.get("/qrels.txt", response_class=Response, responses=TEXT, summary="Judgments (TREC)")
async def qrels_txt(name: Name, request: Request) -> Response:
    """Return judgments for TREC tools; the format allows no ids with spaces."""
    return _text(trec_qrels_lines(qrels_of(await _judgments(authorized(request, Role.READ, name), name))))


async def _judgments(services: Services, name: str) -> tuple[Judgment, ...]:
    return await services.threads.run(read_judgments, services.collections.path(name))


def _judge(services: Services, name: str, body: JudgmentBody) -> tuple[Judgment, ...]:
    with services.collections.lease(name) as searcher:
        if body.grade is not None:
            searcher.document(body.document)  # raises DocumentNotFound
    return judge(services.collections.path(name), body.query, body.document, body.grade)


def _measures(services: Services, name: str) -> dict[str, object]:
    judgments = read_judgments(services.collections.path(name))
    with services.collections.lease(name) as searcher, uncounted_answers():
        modes = searcher.reader.modes
        found = measure_modes(searcher.search_many, judgments, modes) if judgments else []
    return {"queries": len({judgment.query for judgment in judgments}), "judgments": len(judgments), "modes": found}


def _listed(judgments: tuple[Judgment, ...]) -> Response:
    return json_response({"judgments": judgments})


def _text(lines: Iterable[str]) -> Response:
    return Response("".join(lines), media_type="text/plain; charset=utf-8")
