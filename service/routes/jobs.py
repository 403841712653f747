"""Jobs: accepted changes, their progress, and the answer to a change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from indexer.building.document_changes import CollectionChange
from retrieval.errors import Overloaded
from retrieval.index.collection.standing_queries import Webhook
from service.client.answers.jobs import JobAnswer, JobsAnswer
from service.config.api_keys import Role
from service.http.event_stream import EVENT_STREAM, described_events, event
from service.http.problems import render
from service.queues.jobs import Work
from service.routes.base import JsonRoute, Services, authorized, json_response
from service.routes.generations import name_generation
from service.routes.search import Name
from service.runtime.webhook_sender import check_url, new_secret
from service.schemas.collections import ChangeParameters
from service.schemas.jobs import JobsParameters

router = APIRouter(prefix="/v1/collections/{name}/jobs", tags=["changes"], route_class=JsonRoute)

ANSWER_SHARE = 0.2  # of a request's time limit, left for the answer after waiting
EVENTS_POLL_S = 0.1
HEARTBEAT_S = 5.0
RECONNECT_MS = 500  # after which a client asks for the further events
STREAM_END_S = 2.0  # before the deadline of a request
QUEUED: dict[int | str, dict[str, Any]] = {202: {"model": JobAnswer, "description": "The change is queued or running."}}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events in the format of EventSource.",
        "content": described_events("reading", "parsed", "encoded", "committed", "done", "failed"),
    }
}


@router.get("", response_model=JobsAnswer, summary="Accepted changes")
async def jobs(name: Name, parameters: Annotated[JobsParameters, Query()], request: Request) -> Response:
    """Return unfinished changes and remembered results, the newest first.

    `files` and `failures` are empty here.
    """
    services = authorized(request, Role.READ, name)
    found = await services.threads.run(services.changes.jobs, name)
    wanted = [job for job in found if parameters.status in (None, job["status"])]
    return json_response({"jobs": [{**job, "files": [], "failures": []} for job in wanted[: parameters.limit]]})


@router.get("/{job_id}", response_model=JobAnswer, summary="Progress of a change")
async def job(name: Name, job_id: str, request: Request) -> Response:
    """Report on a change, also one that was accepted before a restart."""
    services = authorized(request, Role.READ, name)
    return json_response(await services.threads.run(services.changes.job, name, job_id))


@router.get("/{job_id}/events", response_class=StreamingResponse, responses=EVENTS, summary="Steps of a change")
async def job_events(name: Name, job_id: str, request: Request) -> Response:
    """Send the steps of a change as they happen (server-sent events).

    The names of events are `reading`, `parsed`, `encoded`, `committed`, and at the end `done` or `failed` with the job.
    A stream that ends before is continued with the header `Last-Event-ID`, as EventSource does.
    """
    services = authorized(request, Role.READ, name)
    await services.threads.run(services.changes.job, name, job_id)  # raises JobNotFound
    if services.event_streams.locked():
        raise Overloaded("too many streams of events are open; ask for the job itself, or try again in a second")
    last_id = request.headers.get("Last-Event-ID", "")
    events = _events(services, name, job_id, last_id, request.state.deadline - STREAM_END_S)
    return StreamingResponse(events, media_type=EVENT_STREAM)


async def _events(services: Services, name: str, job_id: str, last_id: str, ends_at: float) -> AsyncIterator[bytes]:
    """Yield events until the job or the time ends, and heartbeats between them."""
    clock = asyncio.get_running_loop().time
    async with services.event_streams:
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        sent_at = clock()
        while clock() < ends_at and not services.lifecycle.draining:
            running = services.changes.running(name, job_id)
            for step in running.events.after(last_id) if running else ():
                yield event(step.name, step.data, step.id)
                last_id, sent_at = step.id, clock()
                if step.name in ("done", "failed"):
                    return
            if running is None:  # a process before this one, or another one, has the job
                known = await services.threads.run(services.changes.job, name, job_id)
                if known["finished"]:
                    yield event(str(known["status"]), known, job_id)
                    return
            if clock() - sent_at > HEARTBEAT_S:
                yield b": heartbeat\n\n"
                sent_at = clock()
            await asyncio.sleep(EVENTS_POLL_S)


def webhook_of(services: Services, parameters: ChangeParameters) -> Webhook | None:
    """Return the webhook that the caller asks for, with a new key.  Raises InputError."""
    if not parameters.webhook:
        return None
    check_url(parameters.webhook, allow_private=services.settings.webhooks.private)
    return Webhook(parameters.webhook, new_secret())


async def answer_change(
    services: Services,
    request: Request,
    name: str,
    work: Work,
    parameters: ChangeParameters,
    job_id: str | None = None,
) -> Response:
    """Queue a change; answer with the job, or with its result if the caller waits."""
    webhook = webhook_of(services, parameters)
    job = await services.threads.run(services.changes.submit, name, work, webhook, job_id)
    has_tags = isinstance(work, CollectionChange) and bool(work.tags)  # the caller must learn whether they fit
    waits = parameters.wait or has_tags
    if waits:
        try:
            reserve = ANSWER_SHARE * services.settings.limits.seconds
            async with asyncio.timeout_at(request.state.deadline - reserve):
                await services.changes.finished(job)
        except TimeoutError:
            pass
    shown = job.to_json()
    if webhook:
        shown["webhook"] = {**shown["webhook"], "secret": webhook.secret}  # type: ignore[dict-item]
    if not job.finished:  # or the service ends, and the next process applies the change
        return json_response(shown, 202)
    is_single = isinstance(work, CollectionChange) and len(work.patches) == 1
    failed = job.problem or (next(iter(job.failures.values()), None) if is_single else None)
    if failed and waits:
        return render(failed, request.scope)
    return name_generation(json_response(shown), job.report.generation)
