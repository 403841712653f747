"""The work of a service beside its requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

from starlette.types import ASGIApp

from indexer.building.collection_lifecycle import remove_leftovers
from retrieval.errors import AttendexError
from service.config.api_keys import KeyRing
from service.http.writer_socket import accept_forwarded
from service.observability.logs import LOGGER
from service.processes.publications import waking_socket
from service.processes.shared_numbers import Column
from service.routes.base import Services
from service.runtime.following import open_follower
from service.runtime.process import give_back_memory
from service.runtime.standing_checks import StandingChecks
from service.runtime.webhooks import Webhooks

MEMORY_SECONDS = 60.0
ROLE_SECONDS = 0.05  # between attempts to take the writer's role


@asynccontextmanager
async def background_work(services: Services, keys: KeyRing, forwarded: ASGIApp) -> AsyncIterator[None]:
    """Serve all collections, and new generations; write while it is the writer.

    `forwarded` answers the requests that other processes send to the writer.
    """
    collections, seconds = services.collections, services.settings.reload_seconds
    async with AsyncExitStack() as work:
        if services.lifecycle.peers.is_alone:
            await work.enter_async_context(writing(services))
        else:
            work.enter_context(woken_by_publications(services))
        await asyncio.to_thread(collections.refresh)
        await asyncio.to_thread(collections.publications.catch_up)
        if not services.lifecycle.peers.is_alone:
            await work.enter_async_context(running(take_turns_writing(services, forwarded)))
        await work.enter_async_context(repeating(seconds, collections.refresh, keys.reload))
        await work.enter_async_context(repeating(MEMORY_SECONDS, services.encoders.release_idle, give_back_memory))
        yield


@asynccontextmanager
async def writing(services: Services) -> AsyncIterator[None]:
    """Do what only one process of a service does."""
    collections, seconds = services.collections, services.settings.reload_seconds
    if collections.is_folder:
        await asyncio.to_thread(remove_leftovers, collections.root)
    take_over = [services.changes.take_over] if services.settings.accepts_changes else []
    await asyncio.to_thread(collections.refresh)
    for task in take_over:
        with suppress(AttendexError, OSError):  # it is tried again, and logged then
            await asyncio.to_thread(task)
    webhooks = Webhooks(collections, services.job_folders, allow_private=services.settings.webhooks.private)
    async with (
        following(services),
        repeating(seconds, StandingChecks(collections).check, *take_over),
        repeating(seconds, webhooks.deliver),
    ):
        try:
            yield
        finally:
            webhooks.close()


@asynccontextmanager
async def following(services: Services) -> AsyncIterator[None]:
    """Copy the collections of the source, if the settings name one."""
    collections, settings = services.collections, services.settings.follow
    if not settings.source:
        yield
        return
    follower = open_follower(collections.root, settings, collections.publish)
    await asyncio.to_thread(follower.__enter__)
    try:
        with suppress(AttendexError):  # it is tried again, and logged then
            await asyncio.to_thread(follower.poll)
        async with repeating(settings.seconds, follower.poll):
            yield
    finally:
        await asyncio.to_thread(follower.__exit__)


async def take_turns_writing(services: Services, forwarded: ASGIApp) -> None:
    """Write from the time when no other process does, until this one retires."""
    lifecycle, role, listener = services.lifecycle, services.lifecycle.role, services.lifecycle.peers.writer_listener
    assert listener is not None, "a service with several processes has a local socket"
    waiting = lifecycle.peers.count(Column.WAITING_CHANGES)
    while not role.try_take():
        await asyncio.sleep(ROLE_SECONDS)
    async with writing(services):
        accepting = accept_forwarded(listener, forwarded, {"services": services})
        try:
            while not lifecycle.retiring:
                waiting.add(services.changes.waiting() - waiting.own)
                await asyncio.sleep(ROLE_SECONDS)
        finally:
            accepting.close()
            role.stop_taking()
        while role.changes or not services.changes.is_idle:
            await asyncio.sleep(ROLE_SECONDS)
    waiting.add(-waiting.own)
    role.give_up()


@contextmanager
def woken_by_publications(services: Services) -> Iterator[None]:
    """Serve what the writer announces, at once."""
    peers, publications = services.lifecycle.peers, services.collections.publications
    assert peers.folder is not None, "a service with several processes has a folder"
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def wake() -> None:
        with suppress(BlockingIOError):
            waking.recv(16)
        task = loop.create_task(asyncio.to_thread(publications.catch_up))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    with waking_socket(peers, peers.folder) as waking:
        loop.add_reader(waking, wake)
        try:
            yield
        finally:
            loop.remove_reader(waking)


@asynccontextmanager
async def repeating(seconds: float, *tasks: Callable[[], None]) -> AsyncIterator[None]:
    """Call `tasks` every `seconds` while the block runs."""
    async with running(repeat(seconds, tasks)):
        yield


@asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run `work` beside the block, and cancel it at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def repeat(seconds: float, tasks: Sequence[Callable[[], None]]) -> None:
    """Call `tasks` again and again, on a thread; log each failure reason once."""
    failures: dict[str, str] = {}
    while True:
        await asyncio.sleep(seconds)
        for task in tasks:
            try:
                await asyncio.to_thread(task)
            except Exception as error:
                if failures.get(task.__qualname__) != str(error):
                    logging.getLogger(LOGGER).error("%s failed and will be tried again: %s", task.__qualname__, error)
                failures[task.__qualname__] = str(error)
            else:
                failures.pop(task.__qualname__, None)
