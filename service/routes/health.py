"""Probes: alive, ready."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from retrieval.errors import NotFound
from service.dependencies import answer, services
from service.schemas.problems import CheckAnswer, HealthAnswer, ReadyAnswer

router = APIRouter(tags=["operations"])


@router.get("/livez", response_model=HealthAnswer, summary="The process is alive")
async def livez() -> Response:
    """Depends on nothing; a restart helps where this fails."""
    return answer({"status": "ok"})


@router.get(
    "/readyz", response_model=ReadyAnswer, responses={503: {"model": ReadyAnswer}}, summary="Requests can be answered"
)
async def readyz(request: Request) -> Response:
    """503 while a collection cannot be searched, and when the service is shutting down.

    A collection whose newest generation is damaged is a warning as long as its last good one is served.
    """
    known = services(request)
    names, failures = known.collections.names(), known.collections.failures()
    failed = [
        CheckAnswer(check=f"collection {name}", detail=kind) for name, kind in failures.items() if name not in names
    ]
    warnings = [
        CheckAnswer(check=f"collection {name}", detail=kind) for name, kind in failures.items() if name in names
    ]
    if known.lifecycle.draining:
        failed.append(CheckAnswer(check="shutdown", detail="the service is shutting down"))
    elif not names and not known.collections.is_folder:
        failed.append(CheckAnswer(check="collections", detail="no collection is open"))
    ready = ReadyAnswer(status="not ready" if failed else "ready", failed=failed, warnings=warnings)
    return answer(ready.model_dump(), 503 if failed else 200)


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """Counters, histograms and gauges in Prometheus's text format."""
    known = services(request)
    if not known.settings.metrics:
        raise NotFound("metrics are switched off")
    return Response(known.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(
    "/healthz", response_model=ReadyAnswer, responses={503: {"model": ReadyAnswer}}, summary="The same as /readyz"
)
async def healthz(request: Request) -> Response:
    """For platforms that look here."""
    return await readyz(request)
