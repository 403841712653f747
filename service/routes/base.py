"""Shared by the routes: services, authorization, JSON bodies and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from indexer.maintenance.change_settings import SettingsChange, change_settings
from retrieval.errors import CollectionNotFound, Forbidden, Unauthenticated
from service.config.api_keys import Caller, Role
from service.config.settings import Settings
from service.http.json_bodies import OPTIONS, dump_answer, parse_body
from service.http.problems import JSON, NATIVE, Dialect
from service.http.request_limits import Lifecycle
from service.observability.metrics import Metrics
from service.observability.query_log import QueryLog
from service.queues.answering import Answering
from service.queues.change_queue import ChangeQueue
from service.queues.embedding_queue import EmbeddingQueue, RerankScorer
from service.queues.search_queue import SearchQueue
from service.queues.thread_pool import BoundedThreadPool
from service.queues.upload_gate import UploadGate
from service.runtime.encoder_registry import EncoderRegistry
from service.runtime.following import Copies
from service.runtime.job_folder import JobFolders
from service.runtime.open_collections import OpenCollections, no_collection
from service.runtime.original_tables import OriginalTables
from service.runtime.recall_watch import RecallWatch

SETTINGS_WAIT_S = 5.0  # for another change; a longer one answers with 409


class TextRequest(Request):
    """A request whose JSON contains valid text only, and a bounded number of values."""

    async def json(self) -> Any:
        """Return the body.

        Raises JSONDecodeError, also for unpaired surrogates, and HTTPException for too many values.
        """
        services = services_of(self)
        return await parse_body(await self.body(), services.settings.limits.body_values, services.large_bodies)


class JsonRoute(APIRoute):
    """A route with JSON bodies; a subclass sets the dialect of its errors."""

    dialect: ClassVar[Dialect] = NATIVE

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that gets a TextRequest."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(TextRequest(request.scope, request.receive))

        return handler


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the application that handlers use."""

    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    collections: OpenCollections
    encoders: EncoderRegistry
    searches: SearchQueue
    answering: Answering
    changes: ChangeQueue
    job_folders: JobFolders
    uploads: UploadGate
    originals: OriginalTables
    embeddings: EmbeddingQueue
    rerank_scorer: RerankScorer
    recall: RecallWatch
    query_log: QueryLog | None
    threads: BoundedThreadPool  # for short calls
    slow: BoundedThreadPool  # for long calls
    large_bodies: asyncio.Lock  # held while a large body is parsed
    event_streams: asyncio.Semaphore  # of the steps of jobs
    copies: Copies

    def visible(self, caller: Caller) -> list[str]:
        """Return the names of the collections that the caller may access, in order."""
        return [name for name in self.collections.names() if caller.may_access(name)]

    def close(self, grace_s: float) -> None:
        """Finish the running work, changes within `grace_s`, and release all resources."""
        self.searches.close()
        self.embeddings.close()
        self.threads.close()
        self.slow.close()
        self.changes.close(grace_s)
        self.recall.close()
        if self.query_log is not None:
            self.query_log.close()
        self.collections.close()


def authorized(request: Request, role: Role, collection: str | None = None) -> Services:
    """Return the services for a caller with `role`, or a higher one, and access.

    Raises Forbidden, or CollectionNotFound for a collection outside the caller's scope.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:  # the path is among those that need no key, by mistake
        raise Unauthenticated("this route needs an API key")
    if caller.role < role:
        raise Forbidden(
            f"the key {caller.name!r} has the role {caller.role.name.lower()}; this request needs {role.name.lower()}"
        )
    if collection is not None and not caller.may_access(collection):
        raise CollectionNotFound(no_collection(collection))
    return services_of(request)


def authorized_to_change(request: Request, role: Role, collection: str) -> Services:
    """Return the services for a change.  Raises Forbidden, also if read-only."""
    services = authorized(request, role, collection)
    if source := services.settings.follow.source:
        raise Forbidden(f"this service follows {source}; change the collection there")
    if not services.settings.accepts_changes:
        raise Forbidden("this service accepts no changes; set writable = true to allow them")
    return services


def apply_settings(services: Services, name: str, change: SettingsChange, cause: str) -> None:
    """Commit and serve a generation with other settings.  Raises CollectionLocked."""
    change_settings(services.collections.path(name), change, cause=cause, wait_s=SETTINGS_WAIT_S)
    services.collections.publish()


def services_of(request: Request) -> Services:
    """Return the services, for routes that need no key."""
    found: Services = request.state.services
    return found


def json_response(content: Any, status: int = 200) -> Response:
    """Return a small `content` (records, mappings, numpy arrays) as JSON."""
    return Response(orjson.dumps(content, option=OPTIONS), status, media_type=JSON)


async def json_answer(content: Any) -> Response:
    """Return `content` of any size, counted by `spend_answer_bytes`, as JSON."""
    return Response(await dump_answer(content), media_type=JSON)
