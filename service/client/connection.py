"""Connections to a service: send calls, try again, turn failures into errors."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self, TypeVar

import httpx

from .calls import Call
from .errors import ServiceError, error_of, no_answer, not_understood
from .events import Event, EventReader
from .retries import pause_after, pause_without_answer, pauses

T = TypeVar("T")
URL_VARIABLE, KEY_VARIABLE, DEFAULT_URL = "ATTENDEX_URL", "ATTENDEX_API_KEY", "http://127.0.0.1:8080"


class Connection:
    """The connections of a synchronous client; threads may share them."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**_options(url, key, timeout_s), transport=transport)
        self._retries = retries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _send(self, call: Call[T]) -> T:
        return _read(call, self._answer(call))

    def _events(self, call: Call[None]) -> Iterator[Event]:
        """Yield the events of an answer as they arrive."""
        response, reader = self._answer(call, stream=True), EventReader()
        try:
            for received in response.iter_bytes():
                yield from reader.take(received)
        except httpx.TransportError as error:
            raise no_answer(self._http.base_url, error) from error
        except ValueError as error:
            raise not_understood(response) from error
        finally:
            response.close()

    def _answer(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """Return the answer of a call; with `stream`, before its body is read."""
        for pause in pauses(self._retries):
            try:
                request = self._http.build_request(call.method, call.path, **call.sent)
                response = self._http.send(request, stream=stream)
                if response.is_success:
                    return response
                response.read()
            except httpx.TransportError as error:
                failed, wait = _unanswered(self._http.base_url, error, pause)
            else:
                failed, wait = _refused(response, pause)
            if wait is None:
                raise failed
            time.sleep(wait)
        raise AssertionError("the last pause is None")


class AsyncConnection:
    """The connections of a client for asyncio."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**_options(url, key, timeout_s), transport=transport)
        self._retries = retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _send(self, call: Call[T]) -> T:
        return _read(call, await self._answer(call))

    async def _events(self, call: Call[None]) -> AsyncIterator[Event]:
        """Yield the events of an answer as they arrive."""
        response, reader = await self._answer(call, stream=True), EventReader()
        try:
            async for received in response.aiter_bytes():
                for event in reader.take(received):
                    yield event
        except httpx.TransportError as error:
            raise no_answer(self._http.base_url, error) from error
        except ValueError as error:
            raise not_understood(response) from error
        finally:
            await response.aclose()

    async def _answer(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """Return the answer of a call; with `stream`, before its body is read."""
        for pause in pauses(self._retries):
            try:
                request = self._http.build_request(call.method, call.path, **call.sent)
                response = await self._http.send(request, stream=stream)
                if response.is_success:
                    return response
                await response.aread()
            except httpx.TransportError as error:
                failed, wait = _unanswered(self._http.base_url, error, pause)
            else:
                failed, wait = _refused(response, pause)
            if wait is None:
                raise failed
            await asyncio.sleep(wait)
        raise AssertionError("the last pause is None")


def _options(url: str | None, key: str | None, timeout_s: float) -> dict[str, Any]:
    key = key or os.environ.get(KEY_VARIABLE)
    return {
        "base_url": url or os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "timeout": timeout_s,
    }


def _unanswered(
    address: httpx.URL, error: httpx.TransportError, pause: float | None
) -> tuple[ServiceError, float | None]:
    """Return the error, and the seconds until the next attempt if there is one."""
    return no_answer(address, error), pause_without_answer(error, pause)


def _refused(response: httpx.Response, pause: float | None) -> tuple[ServiceError, float | None]:
    """Return the error, and the seconds until the next attempt if there is one."""
    error = error_of(response)
    return error, pause_after(response, error.code, pause)


def _read(call: Call[T], response: httpx.Response) -> T:
    """Return the answer of a call.  Raises UnexpectedAnswerError."""
    try:
        return call.read(response)
    except ValueError as error:
        raise not_understood(response) from error
