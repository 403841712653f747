"""Pins of a collection: show and replace them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from indexer.maintenance.change_settings import SettingsChange
from retrieval.index.storage.pins import PinRule, check_pins
from service.client.answers.pins import PinsAnswer
from service.config.api_keys import Role
from service.routes.base import JsonRoute, Services, apply_settings, authorized, authorized_to_change, json_answer
from service.routes.search import Name
from service.schemas.pins import PinsBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["changes"], route_class=JsonRoute)


@router.get("/pins", response_model=PinsAnswer, summary="Pins of a collection")
async def pins(name: Name, request: Request) -> Response:
    """Return the pins in their order."""
    services = authorized(request, Role.READ, name)
    return await json_answer(await services.threads.run(_pins, services, name))


@router.put("/pins", response_model=PinsAnswer, summary="Replace the pins")
async def replace_pins(name: Name, body: PinsBody, request: Request) -> Response:
    """Make a generation with these pins; 409 if a long change is running."""
    services = authorized_to_change(request, Role.WRITE, name)
    rules = check_pins([PinRule(tuple(pin.queries), tuple(pin.documents)) for pin in body.pins])
    await services.slow.run(apply_settings, services, name, SettingsChange(pins=rules), "pins")
    return await json_answer(await services.threads.run(_pins, services, name))


def _pins(services: Services, name: str) -> dict[str, object]:
    with services.collections.lease(name) as searcher:
        manifest = searcher.reader.manifest
    return {"pins": manifest.settings.pins, "generation": manifest.generation}
