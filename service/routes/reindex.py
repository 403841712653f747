"""Change how the words of a collection are searched, as a job."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from indexer.maintenance.change_settings import check_lexical
from retrieval.errors import InputError
from service.client.answers.jobs import JobAnswer
from service.config.api_keys import Role
from service.queues.jobs import Reindex
from service.routes.base import JsonRoute, authorized_to_change
from service.routes.jobs import QUEUED, answer_change
from service.routes.search import Name
from service.schemas.collections import ChangeParameters
from service.schemas.reindex import ReindexBody

router = APIRouter(prefix="/v1/collections/{name}", tags=["changes"], route_class=JsonRoute)


@router.post("/reindex", response_model=JobAnswer, responses=QUEUED, summary="Change settings of lexical search")
async def reindex(
    name: Name, body: ReindexBody, parameters: Annotated[ChangeParameters, Query()], request: Request
) -> Response:
    """Make a generation with these settings; nothing is encoded again.

    For searched fields, the title's weight and the language, the job reads all texts and writes the lexical index.
    """
    services = authorized_to_change(request, Role.WRITE, name)
    work = Reindex(body.changes())
    if not work.lexical:
        raise InputError("names no setting to change; give one, such as title_weight")
    await services.threads.run(check_lexical, services.collections.path(name), work.lexical)
    return await answer_change(services, request, name, work, parameters)
