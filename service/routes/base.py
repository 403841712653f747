"""Shared by the routes: services, access checks, JSON bodies and answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from retrieval.errors import CollectionNotFound, Forbidden, Unauthenticated
from service.config.api_keys import Caller, Role
from service.config.settings import Settings
from service.http.problems import NATIVE, Dialect
from service.http.request_limits import Lifecycle
from service.observability.metrics import Metrics
from service.queues.change_queue import ChangeQueue
from service.queues.embedding_queue import EmbeddingQueue, RerankScorer
from service.queues.search_queue import SearchQueue
from service.queues.thread_pool import BoundedThreadPool
from service.runtime.encoder_registry import EncoderRegistry
from service.runtime.open_collections import OpenCollections, no_collection
from service.runtime.recall_watch import RecallWatch


class TextRequest(Request):
    """A request whose JSON is text all through."""

    async def json(self) -> Any:
        """The body.  Raises JSONDecodeError, also for half a surrogate pair, which nothing further in could store."""
        return orjson.loads(await self.body())


class JsonRoute(APIRoute):
    """A route whose bodies are JSON.  A subclass for another protocol names the dialect of its errors."""

    dialect: ClassVar[Dialect] = NATIVE

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(TextRequest(request.scope, request.receive))

        return handler


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that handlers are handed."""

    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    collections: OpenCollections
    encoders: EncoderRegistry
    searches: SearchQueue
    changes: ChangeQueue
    embeddings: EmbeddingQueue
    rerank_scorer: RerankScorer
    recall: RecallWatch
    threads: BoundedThreadPool

    def visible(self, caller: Caller) -> list[str]:
        """Names of the collections that the caller may see, in order."""
        return [name for name in self.collections.names() if caller.may_access(name)]

    def close(self, grace_s: float) -> None:
        """Finish what is being done, changes within `grace_s`, and let go of everything."""
        self.searches.close()
        self.embeddings.close()
        self.threads.close()
        self.changes.close(grace_s)
        self.recall.close()
        self.collections.close()


def authorized(request: Request, role: Role, collection: str | None = None) -> Services:
    """The services, for a caller with at least that role who may see that collection.

    Raises Forbidden, or CollectionNotFound for what the caller may not know of.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:  # a route that needs a caller stands among those that are open to everybody
        raise Unauthenticated("this service needs to know who calls")
    if caller.role < role:
        raise Forbidden(
            f"the key {caller.name!r} has the role {caller.role.name.lower()}; this needs {role.name.lower()}"
        )
    if collection is not None and not caller.may_access(collection):
        raise CollectionNotFound(no_collection(collection))
    return services_of(request)


def authorized_to_change(request: Request, role: Role, collection: str) -> Services:
    """As `authorized`, for changes.  Raises Forbidden where the service is read-only, too."""
    services = authorized(request, role, collection)
    if not services.settings.writable:
        raise Forbidden("this service does not take changes (writable = false)")
    return services


def services_of(request: Request) -> Services:
    """The services, for routes that are open to everybody."""
    found: Services = request.state.services
    return found


def json_response(content: Any, status: int = 200) -> Response:
    """`content` (records, mappings, numpy arrays) as JSON."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")
