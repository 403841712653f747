"""Pins of a collection: show and replace them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from indexer.maintenance.change_settings import SettingsChange
from retrieval.index.storage.pins import PinRule, check_pins
from service.client.answers.pins import PinsAnswer
from service.config.api_keys import Role
from service.http.entity_tags import IfMatch, accepted_tags, check_tag, tag_of, with_tag
from service.routes.base import JsonRoute, Services, apply_settings, authorized, authorized_to_change, json_answer
from service.routes.search import Name
from service.schemas.pins import PinsBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["changes"], route_class=JsonRoute)


@router.get("/pins", response_model=PinsAnswer, summary="Pins of a collection")
async def pins(name: Name, request: Request) -> Response:
    """Return the pins in their order."""
    services = authorized(request, Role.READ, name)
    return await _answer(services, name)


@router.put("/pins", response_model=PinsAnswer, summary="Replace the pins")
async def replace_pins(name: Name, body: PinsBody, request: Request, if_match: IfMatch = None) -> Response:
    """Make a generation with these pins; 409 if a long change is running."""
    services = authorized_to_change(request, Role.WRITE, name)
    rules = check_pins([PinRule(tuple(pin.queries), tuple(pin.documents)) for pin in body.pins])
    tags = accepted_tags(if_match)
    change = SettingsChange(pins=rules, check=lambda current: check_tag(current.pins, tags))
    await services.slow.run(apply_settings, services, name, change, "pins")
    return await _answer(services, name)


async def _answer(services: Services, name: str) -> Response:
    content, tag = await services.threads.run(_pins, services, name)
    return with_tag(await json_answer(content), tag)


def _pins(services: Services, name: str) -> tuple[dict[str, object], str]:
    with services.collections.lease(name) as searcher:
        manifest = searcher.reader.manifest
    rules = manifest.settings.pins
    return {"pins": rules, "generation": manifest.generation}, tag_of(rules)
