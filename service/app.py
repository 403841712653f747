"""The application: makes, connects, opens and closes every part."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from retrieval.encoder.remote.access import make_access
from retrieval.errors import AttendexError, EncoderUnavailable
from retrieval.index.collection.sharded_reader import JoinShards, ShardedReader
from retrieval.index.storage.sharded_manifest import read_whole_manifest
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Partial, SearchRequest
from retrieval.util.cores import cores
from service import __version__
from service.background import background_work
from service.config.api_keys import KeyRing
from service.config.log_settings import QueryLogSettings
from service.config.settings import Settings
from service.http.allowed_hosts import AllowedHosts, AllowedHostsMiddleware
from service.http.authentication import AuthenticationMiddleware, Authenticator
from service.http.compression import CompressionMiddleware
from service.http.early_refusal import EarlyRefusalMiddleware
from service.http.forwarding import ForwardedRequests, Forwarder, RouteKinds
from service.http.problems import DialectTable, problem_of, problem_of_status, problem_of_validation, render
from service.http.request_limits import Lifecycle, LimitsMiddleware
from service.http.request_log import RequestLogMiddleware
from service.observability.logs import LOGGER
from service.observability.metrics import Metrics
from service.observability.query_log import QueryLog, require_log_folder
from service.observability.tracing import TracingMiddleware
from service.openapi import allowed_methods, describe
from service.processes.shared_numbers import Column
from service.queues.answering import Answering
from service.queues.change_queue import ChangeQueue
from service.queues.embedding_queue import EmbeddingQueue, RerankScorer
from service.queues.search_queue import SearchQueue
from service.queues.thread_pool import BoundedThreadPool
from service.queues.upload_gate import UploadGate
from service.routes import (
    aliases,
    answer,
    changes,
    collections,
    context,
    explain,
    files,
    interleaved,
    jobs,
    judgments,
    mcp,
    openai,
    operations,
    originals,
    pages,
    pins,
    query_log,
    reindex,
    rerank,
    search,
    several,
    standing,
    sync,
    synonyms,
    tei,
)
from service.routes.base import Services
from service.runtime.encoder_registry import EncoderRegistry
from service.runtime.following import Copies
from service.runtime.job_folder import JobFolders
from service.runtime.open_collections import OpenCollections
from service.runtime.original_tables import OriginalTables
from service.runtime.recall_watch import RecallWatch
from service.runtime.reranker_registry import RerankerRegistry, load_rerankers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SHORT_CALLS_PER_CORE = 4  # run at once; they wait for the disk
OPEN_PATHS = frozenset({"/openapi.json"})  # that need no key, beside the probes and the page
MAX_EVENT_STREAMS = 64
SHOWN_HEADERS = ("Retry-After", "X-Request-ID", "Attendex-Generation")  # that pages of allowed origins may read
ROUTERS = (  # in the order in which a request is matched: the most frequent requests first
    search.router,
    context.router,
    answer.router,
    several.router,
    aliases.router,
    openai.router,
    operations.router,
    originals.router,
    collections.router,
    changes.router,
    files.router,
    jobs.router,
    synonyms.router,
    pins.router,
    reindex.router,
    sync.router,
    rerank.router,
    rerank.shared_router,
    tei.router,
    explain.router,
    judgments.router,
    mcp.router,
    query_log.router,
    interleaved.router,
    standing.router,
    pages.router,
)
READING = (  # routers whose routes change nothing, whatever their method
    search.router,
    several.router,
    openai.router,
    rerank.router,
    rerank.shared_router,
    tei.router,
    explain.router,
    answer.router,
    query_log.router,
    interleaved.router,
    mcp.router,
)
WRITING = (jobs.router,)  # routers that ask for what the writer alone knows, such as its jobs


def route_kinds() -> RouteKinds:
    """Return the routes that the writer answers, and those that any process answers."""
    return RouteKinds(
        reading=(route for router in READING for route in router.routes),
        writing=(route for router in WRITING for route in router.routes),
    )


class State(TypedDict):
    """The state of the application that each request carries."""

    services: Services


def create_app(
    root: Path,
    settings: Settings,
    lifecycle: Lifecycle | None = None,
    encoders: EncoderRegistry | None = None,
    tracing: TracerProvider | None = None,
    join: JoinShards = ShardedReader,
) -> FastAPI:
    """Return the service for the collection, or the folder of collections, at `root`.

    `encoders` may be shared by several applications of one process; `tracing` gets a span for each request.
    `join` decides where the shards of a collection rank.  Raises SettingsError, EncoderError.
    """
    metrics = Metrics()
    lifecycle = lifecycle or Lifecycle()
    encoders = encoders or make_registry(settings, warm_later=not lifecycle.peers.is_alone)
    if settings.encoder:
        encoders.get(settings.encoder, fetch=True)  # a wrong name fails now
    require_log_folder(settings.query_log)
    rerankers = load_rerankers(settings.rerankers, settings.runtime, settings.precision)
    keys = KeyRing(settings.keys, settings.api_key.get_secret_value() if settings.api_key else None)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        services = make_services(root, settings, lifecycle, metrics, encoders, rerankers, join)
        try:
            async with services.answering, background_work(services, keys, forwarded):
                lifecycle.search_gate = services.searches
                lifecycle.refused = metrics.refused
                yield {"services": services}
        finally:
            lifecycle.search_gate = None
            await asyncio.to_thread(services.close, lifecycle.remaining_s(settings.grace_seconds))

    app = FastAPI(
        title="Attendex", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    add_layers(app, settings, keys, metrics, lifecycle, tracing)
    for kind in (AttendexError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_error)
    for router in ROUTERS:
        app.include_router(router)
    app.state.handlers = mcp.handlers_of(app)
    forwarded = ForwardedRequests(app.state.handlers, app=app, limits=settings.limits, role=lifecycle.role)
    if not lifecycle.peers.is_alone:
        app.state.handlers = Forwarder(app.state.handlers, kinds=route_kinds(), lifecycle=lifecycle)
    app.state.routes = tuple(route for router in ROUTERS for route in router.routes)
    app.state.dialects = DialectTable(app.state.routes)
    app.openapi = lambda: describe(app, needs_key=not keys.open)  # type: ignore[method-assign]
    return app


def make_registry(settings: Settings, *, warm_later: bool = False) -> EncoderRegistry:
    """Return the registry of encoders.  Raises SettingsError, EncoderError."""
    remote = settings.remote
    key = remote.key.get_secret_value() if remote.key else ""
    access = make_access(remote.allow, key, remote.key_file)
    return EncoderRegistry(settings.runtime, settings.precision, settings.encoder, access, warm_later=warm_later)


def add_layers(
    app: FastAPI,
    settings: Settings,
    keys: KeyRing,
    metrics: Metrics,
    lifecycle: Lifecycle,
    tracing: TracerProvider | None,
) -> None:
    """Add the layers around the handlers, the innermost first."""
    if not lifecycle.peers.is_alone:
        app.add_middleware(Forwarder, kinds=route_kinds(), lifecycle=lifecycle)
    authenticator, open_paths = Authenticator(keys, settings.rate, lifecycle.peers), OPEN_PATHS | pages.open_paths()
    app.add_middleware(AuthenticationMiddleware, authenticator=authenticator, metrics=metrics, open_paths=open_paths)
    app.add_middleware(
        LimitsMiddleware, limits=settings.limits, uploads=settings.uploads, metrics=metrics, lifecycle=lifecycle
    )
    app.add_middleware(CompressionMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=SHOWN_HEADERS,
        )
    if tracing is not None:
        app.add_middleware(TracingMiddleware, provider=tracing)
    app.add_middleware(AllowedHostsMiddleware, hosts=AllowedHosts(settings))
    app.add_middleware(RequestLogMiddleware, settings=settings.log, metrics=metrics)
    app.add_middleware(EarlyRefusalMiddleware, lifecycle=lifecycle, authenticator=authenticator, metrics=metrics)


def make_services(
    root: Path,
    settings: Settings,
    lifecycle: Lifecycle,
    metrics: Metrics,
    encoders: EncoderRegistry,
    rerankers: RerankerRegistry,
    join: JoinShards,
) -> Services:
    peers, calls = lifecycle.peers, settings.queue.length
    opened = OpenCollections(root, lambda path, previous: open_warm(path, encoders, rerankers, previous, join), peers)
    folders = JobFolders(settings.jobs)
    recall = RecallWatch(opened, settings.recall_sample, peers)
    slow = BoundedThreadPool(max(1, cores() // 2), calls, peers.count(Column.LONG_CALLS), metrics)
    embeddings = EmbeddingQueue(encoders, slow, settings.queue, metrics, peers)
    changes = ChangeQueue(
        opened, folders, settings.queue.changes, settings.queue.change_bytes, settings.uploads.kept_bytes
    )
    services = Services(
        settings=settings,
        lifecycle=lifecycle,
        metrics=metrics,
        collections=opened,
        encoders=encoders,
        changes=changes,
        job_folders=folders,
        uploads=UploadGate(settings.uploads, changes.upload_bytes),
        originals=OriginalTables(),
        event_streams=asyncio.Semaphore(MAX_EVENT_STREAMS),
        copies=Copies(root, settings.follow),
        searches=SearchQueue(opened, rerankers, slow, settings, metrics, recall, peers),
        answering=Answering(settings.answer, slow, peers.count(Column.ANSWERS), metrics),
        recall=recall,
        query_log=open_query_log(settings.query_log, metrics, peers.processes),
        embeddings=embeddings,
        rerank_scorer=RerankScorer(embeddings, rerankers, slow),
        threads=BoundedThreadPool(SHORT_CALLS_PER_CORE * cores(), calls, peers.count(Column.SHORT_CALLS), metrics),
        slow=slow,
        large_bodies=asyncio.Lock(),
    )
    operations.show_state(services, __version__)
    return services


def open_query_log(settings: QueryLogSettings, metrics: Metrics, processes: int) -> QueryLog | None:
    """Open the query log, if the settings name a folder."""
    if settings.folder is None:
        return None
    return QueryLog(settings, settings.folder, lambda: metrics.refused("query_log"), processes)


def open_warm(
    path: Path,
    encoders: EncoderRegistry,
    rerankers: RerankerRegistry,
    previous: Searcher | None = None,
    join: JoinShards = ShardedReader,
) -> Searcher:
    """Return a searcher that answered one search, so that its files are mapped.

    It takes over the files that `previous`, an earlier generation, holds open.  A generation with a damaged shard does
    not replace an earlier one, but opens if there is none.
    """
    settings = read_whole_manifest(path).settings
    encoder = encoders.recorded(settings.encoder)
    sparse_encoder = encoders.sparse(settings.sparse.encoder.name) if settings.sparse else None
    earlier = previous.reader if previous else None
    searcher = open_searcher(
        path, encoder=encoder, previous=earlier, rerankers=rerankers, sparse_encoder=sparse_encoder, join=join
    )
    partial = Partial.FAIL if previous else Partial.ALLOW
    with suppress(EncoderUnavailable):  # lexical searches go on without a remote encoder
        searcher.search(SearchRequest("warm", k=1, partial=partial))
    return searcher


async def on_error(request: Request, error: Exception) -> Response:
    request_id = request.state.request_id
    if isinstance(error, RequestValidationError):
        problem = problem_of_validation(error.errors())
    elif isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        if error.status_code == 405 and (methods := allowed_methods(request.app, request.url.path)):
            headers["Allow"] = ", ".join(methods)
        problem = problem_of_status(error.status_code, str(error.detail), headers)
    else:
        problem = problem_of(error)
        if problem.status >= 500:
            fields = {"request_id": request_id, "error": f"{type(error).__name__}: {error}"}
            logging.getLogger(LOGGER).error("request failed", extra={"fields": fields})
    return render(problem, request.scope)
