"""Answers of a generation: its name in a header, and requests that need one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fastapi import Request, Response

from retrieval.errors import GenerationNotServed
from service.routes.base import Services

HEADER = "Attendex-Generation"
WAIT_S = 5.0  # for a generation that is not served yet
POLL_S = 0.05


def name_generation(response: Response, generation: int) -> Response:
    """Return the response with the generation that made it in a header."""
    response.headers[HEADER] = str(generation)
    return response


def newest(generations: Iterable[int | None]) -> int | None:
    """Return the newest generation of a list; None if it has none."""
    return max((each for each in generations if each is not None), default=None)


async def require_generation(services: Services, name: str, wanted: int | None, request: Request) -> None:
    """Wait until a collection has the wanted generation, or a later one.

    Raises GenerationNotServed after some seconds, or shortly before the deadline of the request.
    """
    if wanted is None:
        return
    loop = asyncio.get_running_loop()
    give_up_at = min(loop.time() + WAIT_S, request.state.deadline - 2 * POLL_S)
    while (served := _generation(services, name)) < wanted:
        if loop.time() > give_up_at:
            raise GenerationNotServed(
                f"min_generation is {wanted}, and {name!r} has generation {served}; try again, or ask for that one",
                retry_after_s=1,
            )
        await asyncio.sleep(POLL_S)
        await services.threads.run(services.collections.refresh)


def _generation(services: Services, name: str) -> int:
    with services.collections.lease(name) as searcher:
        return searcher.reader.manifest.generation
