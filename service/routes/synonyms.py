"""Synonyms of a collection: show and replace them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from indexer.maintenance.change_settings import SettingsChange
from retrieval.index.storage.synonyms import SynonymRule, check_synonyms
from service.client.answers.synonyms import SynonymsAnswer
from service.config.api_keys import Role
from service.http.entity_tags import IfMatch, accepted_tags, check_tag, tag_of, with_tag
from service.routes.base import JsonRoute, Services, apply_settings, authorized, authorized_to_change, json_answer
from service.routes.search import Name
from service.schemas.synonyms import SynonymsBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["changes"], route_class=JsonRoute)


@router.get("/synonyms", response_model=SynonymsAnswer, summary="Synonyms of a collection")
async def synonyms(name: Name, request: Request) -> Response:
    """Return the rules in their order."""
    services = authorized(request, Role.READ, name)
    return await _answer(services, name)


@router.put("/synonyms", response_model=SynonymsAnswer, summary="Replace the synonyms")
async def replace_synonyms(name: Name, body: SynonymsBody, request: Request, if_match: IfMatch = None) -> Response:
    """Make a generation with these rules; 409 if a long change is running."""
    services = authorized_to_change(request, Role.WRITE, name)
    rules = check_synonyms([SynonymRule(tuple(rule.words), tuple(rule.synonyms)) for rule in body.synonyms])
    tags = accepted_tags(if_match)
    change = SettingsChange(synonyms=rules, check=lambda current: check_tag(current.synonyms, tags))
    await services.slow.run(apply_settings, services, name, change, "synonyms")
    return await _answer(services, name)


async def _answer(services: Services, name: str) -> Response:
    content, tag = await services.threads.run(_synonyms, services, name)
    return with_tag(await json_answer(content), tag)


def _synonyms(services: Services, name: str) -> tuple[dict[str, object], str]:
    with services.collections.lease(name) as searcher:
        manifest = searcher.reader.manifest
    rules = manifest.settings.synonyms
    return {"synonyms": rules, "generation": manifest.generation}, tag_of(rules)
