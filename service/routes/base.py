"""How the routes read their bodies."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute


class TextRequest(Request):
    """A request whose JSON is text all through."""

    async def json(self) -> Any:
        """The body.  Raises JSONDecodeError, also for half a surrogate pair, which nothing further in could store."""
        return orjson.loads(await self.body())


class JsonRoute(APIRoute):
    """A route that takes such a request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(TextRequest(request.scope, request.receive))

        return handler
