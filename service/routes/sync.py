"""The synchronization of a collection with its sources, as it was recorded."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from indexer.writing.sync_status import read_status
from service.client.answers.sync import SyncAnswer
from service.config.api_keys import Role
from service.routes.base import authorized, json_response
from service.routes.search import Name

router = APIRouter(prefix="/v1/collections/{name}", tags=["collections"])


@router.get("/sync", response_model=SyncAnswer, summary="State of the synchronization")
async def sync(name: Name, request: Request) -> Response:
    """Return when each source was read last and is due, its counts, and its error.

    Addresses are part of the configuration, so the role `write` is needed.
    """
    services = authorized(request, Role.WRITE, name)
    found = await services.threads.run(read_status, services.collections.path(name))
    return json_response({"sources": list(found.values())})
