"""Probes and Prometheus metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from indexer.writing.sync_status import read_status
from retrieval.errors import CollectionNotFound, NotFound
from service.observability.metrics import GaugeFamily, ServiceProcess
from service.processes.peers import Peers
from service.processes.shared_numbers import Column, ProcessState
from service.routes.base import Services, json_response, services_of
from service.runtime.encoder_registry import shown_name
from service.schemas.problems import CheckAnswer, HealthAnswer, ReadyAnswer

router = APIRouter(tags=["operations"])


@router.get("/livez", response_model=HealthAnswer, summary="The process is alive")
async def livez() -> Response:
    """Answer at once.  If this probe fails, a restart helps."""
    return json_response({"status": "ok"})


@router.get("/readyz", response_model=ReadyAnswer, responses={503: {"model": ReadyAnswer}}, summary="Service is ready")
async def readyz(request: Request) -> Response:
    """Return 503 while no collection can be searched, and during shutdown.

    A collection that cannot be opened, or whose last good generation is served, is a warning: the others answer.
    """
    services = services_of(request)
    names, failures = services.collections.names(), services.collections.failures()
    checks = [CheckAnswer(check=f"collection {name}", detail=kind) for name, kind in failures.items()]
    failed, warnings = ([], checks) if names else (checks, [])
    if elsewhere := services.collections.failed.others():
        warnings.append(
            CheckAnswer(check="workers", detail=f"{elsewhere} collections cannot be opened by other workers")
        )
    if problem := services.copies.problem():
        warnings.append(CheckAnswer(check="source", detail=problem))
    peers = services.lifecycle.peers
    if missing := peers.missing():
        where = warnings if peers.started else failed
        where.append(CheckAnswer(check="workers", detail=f"{missing} of {peers.processes} are not ready"))
    if services.lifecycle.draining:
        failed.append(CheckAnswer(check="shutdown", detail="the service is shutting down"))
    elif not names and (services.settings.follow.source or not services.collections.is_folder):
        failed.append(CheckAnswer(check="collections", detail="no collection is open"))
    ready = ReadyAnswer(status="not ready" if failed else "ready", failed=failed, warnings=warnings)
    return json_response(ready.model_dump(), 503 if failed else 200)


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """Return counters, histograms and gauges in Prometheus's text format."""
    services = services_of(request)
    if not services.settings.metrics:
        raise NotFound("metrics are switched off; set metrics = true")
    return Response(services.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(
    "/healthz", response_model=ReadyAnswer, responses={503: {"model": ReadyAnswer}}, summary="The same as /readyz"
)
async def healthz(request: Request) -> Response:
    """Answer platforms that use this path."""
    return await readyz(request)


BOUNDS = ("recall", "low", "high")


def show_state(services: Services, version: str) -> None:
    """Add the gauges of the service's state to its metrics."""
    services.metrics.families(lambda: _families(services, version))
    peers = services.lifecycle.peers
    if not peers.is_alone:
        services.metrics.families(lambda: _worker_families(peers))
        services.metrics.processes(lambda: _processes(peers))


def _families(services: Services, version: str) -> Iterator[GaugeFamily]:
    generations: dict[tuple[str, ...], float] = {}
    documents: dict[tuple[str, ...], float] = {}
    passages: dict[tuple[str, ...], float] = {}
    builds: dict[tuple[str, ...], float] = {}
    for name in services.collections.names():
        with suppress(CollectionNotFound), services.collections.lease(name) as searcher:
            manifest = searcher.reader.manifest
            generations[name,] = manifest.generation
            documents[name,] = manifest.documents
            passages[name,] = manifest.passages
            encoder = manifest.encoder
            builds[version, shown_name(encoder.name), encoder.weights_sha256[:12]] = 1
    failed: dict[tuple[str, ...], float] = {(name,): 1 for name in services.collections.failures()}
    estimates = {name: services.recall.estimate(name) for name in services.collections.names()}
    recalls: dict[tuple[str, ...], float] = {
        (name, bound): getattr(found, bound) for name, found in estimates.items() if found for bound in BOUNDS
    }
    peers = services.lifecycle.peers
    searches = peers.count(Column.WAITING_SEARCHES).total() + peers.count(Column.WAITING_LEXICAL).total()
    queues: dict[tuple[str, ...], float] = {
        ("search",): searches + services.searches.waiting_for_remote(),
        ("embedding",): peers.count(Column.WAITING_TEXTS).total(),
        ("changes",): services.changes.waiting() if peers.is_alone else peers.count(Column.WAITING_CHANGES).total(),
    }
    in_progress: dict[tuple[str, ...], float] = {(): services.lifecycle.requests.total()}
    yield GaugeFamily("attendex_requests_in_progress", "Requests in progress.", (), in_progress)
    yield GaugeFamily("attendex_queue_length", "Items that wait.", ("queue",), queues)
    yield GaugeFamily("attendex_index_generation", "Generation that the service serves.", ("collection",), generations)
    yield GaugeFamily("attendex_index_documents", "Live documents.", ("collection",), documents)
    yield GaugeFamily("attendex_index_passages", "Live passages.", ("collection",), passages)
    yield GaugeFamily("attendex_index_failed", "1 if the newest generation cannot be opened.", ("collection",), failed)
    yield GaugeFamily(
        "attendex_ann_recall_ratio",
        "Recall@10 of approximate search on sampled live queries, with its 95 % interval.",
        ("collection", "bound"),
        recalls,
    )
    ages: dict[tuple[str, ...], float] = {(name,): age for name, age in services.copies.ages_s().items()}
    yield GaugeFamily(
        "attendex_source_age_seconds", "Seconds since a copy was known to equal its source.", ("collection",), ages
    )
    yield from _sync_families(services)
    yield GaugeFamily("attendex_build_info", "Version and encoders.", ("version", "model", "fingerprint"), builds)


def _sync_families(services: Services) -> Iterator[GaugeFamily]:
    """Yield age and failures of the synchronizations of collections."""
    now = datetime.now(UTC)
    ages: dict[tuple[str, ...], float] = {}
    failed: dict[tuple[str, ...], float] = {}
    for name in services.collections.names():
        with suppress(CollectionNotFound):
            if found := read_status(services.collections.path(name)).values():
                failed[name,] = sum(bool(each.error) for each in found)
                if ended := [each.succeeded for each in found if each.succeeded]:
                    ages[name,] = (now - datetime.fromisoformat(min(ended))).total_seconds()
    about = "Seconds since the last synchronization without an error, of the source where it is longest ago."
    yield GaugeFamily("attendex_sync_age_seconds", about, ("collection",), ages)
    about = "Sources whose last synchronization failed."
    yield GaugeFamily("attendex_sync_failed_sources", about, ("collection",), failed)


def _worker_families(peers: Peers) -> Iterator[GaugeFamily]:
    states = Counter(each.state.name.lower() for each in peers.states())
    workers: dict[tuple[str, ...], float] = {(state,): number for state, number in states.items()}
    yield GaugeFamily("attendex_workers", "Processes that serve, by state.", ("state",), workers)
    restarts: dict[tuple[str, ...], float] = {(): peers.restarts}
    yield GaugeFamily("attendex_worker_restarts", "Workers that ended and were started again.", (), restarts, True)


def _processes(peers: Peers) -> Iterator[ServiceProcess]:
    yield ServiceProcess("parent", peers.parent)
    for each in peers.states():
        name = str(each.number) if each.state is not ProcessState.RETIRING else f"{each.number} retiring"
        yield ServiceProcess(name, each.pid)
