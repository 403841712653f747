"""What a handler may use, and the one way to it: through the check of the caller's role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from retrieval.errors import CollectionNotFound, Forbidden, Unauthenticated
from service.config.api_keys import Caller, Role
from service.config.settings import Settings
from service.http.shutdown_state import Lifecycle
from service.observability.metrics import Metrics
from service.queues.change_queue import Changes
from service.queues.embedding_queue import EmbeddingQueue
from service.queues.rerank_queue import Reranking
from service.queues.search_queue import SearchQueue
from service.queues.thread_pool import Offload
from service.runtime.encoder_registry import Encoders
from service.runtime.open_collections import Collections, no_collection
from service.runtime.recall_watch import RecallWatch


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that handlers are handed."""

    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    collections: Collections
    encoders: Encoders
    searches: SearchQueue
    changes: Changes
    embeddings: EmbeddingQueue
    reranking: Reranking
    recall: RecallWatch
    offload: Offload

    def visible(self, caller: Caller) -> list[str]:
        """Names of the collections that the caller may see, in order."""
        return [name for name in self.collections.names() if caller.sees(name)]

    def close(self, grace_s: float) -> None:
        """Finish what is being done, changes within `grace_s`, and let go of everything."""
        self.searches.close()
        self.embeddings.close()
        self.offload.close()
        self.changes.close(grace_s)
        self.recall.close()
        self.collections.close()


def admitted(request: Request, role: Role, collection: str | None = None) -> Services:
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
    if collection is not None and not caller.sees(collection):
        raise CollectionNotFound(no_collection(collection))
    return services(request)


def writable(request: Request, role: Role, collection: str) -> Services:
    """As `admitted`, for changes.  Raises Forbidden where the service is read-only, too."""
    known = admitted(request, role, collection)
    if not known.settings.writable:
        raise Forbidden("this service does not take changes (writable = false)")
    return known


def services(request: Request) -> Services:
    """The services, for routes that are open to everybody."""
    found: Services = request.state.services
    return found


def answer(content: Any, status: int = 200) -> Response:
    """`content` (records, mappings, numpy arrays) as JSON."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")
