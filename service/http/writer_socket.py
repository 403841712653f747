"""The local socket on which the writer answers the requests of other processes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http.shared_listener import SharedListener


def accept_forwarded(listener: socket.socket, app: ASGIApp, state: Mapping[str, Any]) -> SharedListener:
    """Answer requests on the local socket with `app`, until the result is closed.

    Each request has a copy of `state`.
    """
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False)
    config.load()
    protocol = partial(
        HttpToolsProtocol,
        config=config,
        server_state=ServerState(),
        app_state=dict(state),
        _loop=asyncio.get_running_loop(),
    )
    accepting = SharedListener(listener, protocol, lambda: True)
    accepting.start()
    return accepting
