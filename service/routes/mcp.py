"""MCP over HTTP: agents call tools at `/mcp`, with the keys of the service.

Each request is complete in itself: there are no sessions, and an answer is one JSON document. Both the specification of
2026-07-28 and those with a handshake are answered. A tool calls the other routes within the same request, so that it
counts once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.client import AsyncClient
from service.config.api_keys import Role
from service.routes.base import authorized

PATH = "/mcp"


class AgentEndpoint:
    """Answers the messages of agents."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        services = authorized(request, Role.READ)
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from service.adapters.mcp_tools import agent_server

        logging.getLogger("mcp").setLevel(logging.ERROR)  # it reports each request
        settings = services.settings
        may_write = settings.agents_write and settings.accepts_changes and request.state.caller.role >= Role.WRITE
        async with inner_client(scope["app"].state.handlers, scope["app"], scope["state"]) as client:
            manager = StreamableHTTPSessionManager(
                agent_server(client, scope["app"].version, may_write=may_write),
                json_response=True,
                stateless=True,
                max_request_body_size=settings.limits.body_bytes,
            )
            async with manager.run():
                await manager.handle_request(scope, receive, send)


def handlers_of(app: FastAPI) -> ASGIApp:
    """Return the routes of an application without its layers, with its errors."""
    return ExceptionMiddleware(AsyncExitStackMiddleware(app.router), handlers=app.exception_handlers)


def inner_client(answer: ASGIApp, app: FastAPI, state: Mapping[str, Any]) -> AsyncClient:
    """Return a client of an application in this process.

    Each of its requests has a copy of `state`, such as the services and the caller.
    """

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await answer({**scope, "app": app, "state": dict(state)}, receive, send)

    return AsyncClient("http://localhost", retries=0, transport=httpx.ASGITransport(app=with_state))


router = APIRouter()
router.routes.append(Route(PATH, AgentEndpoint(), methods=["POST"], include_in_schema=False))
