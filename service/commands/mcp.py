"""`attendex mcp`: answer an agent over standard input and output."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.util.terminal import reports_errors
from service import __version__
from service.commands.serve import check_directory

if TYPE_CHECKING:
    from service.client import AsyncClient


@reports_errors
def mcp(
    source: Annotated[
        str,
        typer.Argument(
            help="A collection, a folder of collections, or the address of a service.",
            metavar="DIR|URL",
            show_default=False,
        ),
    ],
    write: Annotated[bool, typer.Option("--write", help="Offer tools that change documents.")] = False,
) -> None:
    """Answer an agent over standard input and output, by the Model Context Protocol.

    An agent starts this command itself. A service wants its key in ATTENDEX_API_KEY.

    Examples:

      attendex mcp papers

      attendex mcp http://127.0.0.1:8080
    """
    from service.runtime.process import set_up_openmp

    set_up_openmp()
    asyncio.run(answer_agent(source, write=write))


async def answer_agent(source: str, *, write: bool) -> None:
    """Answer messages until the input ends."""
    from service.adapters.mcp_tools import agent_server

    async with opened(source, write=write) as client:
        from mcp.server.stdio import stdio_server

        server = agent_server(client, __version__, may_write=write)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())


@asynccontextmanager
async def opened(source: str, *, write: bool) -> AsyncIterator[AsyncClient]:
    """Yield a client of a running service, or of one in this process."""
    from service.client import AsyncClient

    if source.startswith(("http://", "https://")):
        async with AsyncClient(source) as client:
            yield client
        return
    from service.app import create_app
    from service.config.settings import load_settings
    from service.routes.mcp import inner_client

    check_directory(Path(source))
    app = create_app(Path(source), load_settings({"writable": write, "log.requests": False}))
    async with app.router.lifespan_context(app) as state, inner_client(app, app, state or {}) as client:
        yield client
