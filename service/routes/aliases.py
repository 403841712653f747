"""Aliases of collections: list, set and remove them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.client.answers.aliases import AliasesAnswer
from service.config.api_keys import Role
from service.routes.base import JsonRoute, authorized, authorized_to_change, json_response
from service.runtime.open_collections import COLLECTION_NAME
from service.schemas.aliases import AliasBody

router = APIRouter(prefix="/v1/aliases", tags=["changes"], route_class=JsonRoute)

Alias = Annotated[str, Path(description="Name of the alias.", pattern=f"^{COLLECTION_NAME}$")]


@router.get("", response_model=AliasesAnswer, summary="All aliases")
async def list_aliases(request: Request) -> Response:
    """Return the aliases that the caller may use."""
    services = authorized(request, Role.READ)
    found = services.collections.aliases.all()
    return json_response({"aliases": {name: found[name] for name in found if request.state.caller.may_access(name)}})


@router.put("/{alias}", response_model=AliasesAnswer, summary="Set an alias")
async def put_alias(alias: Alias, body: AliasBody, request: Request) -> Response:
    """Let requests with this name use that collection, from one moment to the next.

    The key needs access to both names.
    """
    authorized(request, Role.READ, body.collection)
    services = authorized_to_change(request, Role.WRITE, alias)
    await services.threads.run(services.collections.put_alias, alias, body.collection)
    return json_response({"aliases": {alias: body.collection}})


@router.delete("/{alias}", response_model=AliasesAnswer, summary="Remove an alias")
async def delete_alias(alias: Alias, request: Request) -> Response:
    """Remove the name; the collection stays."""
    services = authorized_to_change(request, Role.WRITE, alias)
    await services.threads.run(services.collections.remove_alias, alias)
    return json_response({"aliases": {}})
