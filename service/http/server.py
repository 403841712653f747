"""The HTTP server: uvicorn with bounded connections and an orderly end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from service.config.settings import Settings
from service.http.connections import IDLE_SECONDS, BoundedProtocol, Connections
from service.http.proxies import TrustedProxies
from service.http.request_limits import Lifecycle
from service.observability.logs import LOGGER
from service.runtime.process import give_back_memory

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

POLL_SECONDS = 0.05


class Server(uvicorn.Server):
    """Ends in order, with exit code 0; a second signal ends the process at once."""

    signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)

    def __init__(
        self, config: uvicorn.Config, lifecycle: Lifecycle, settings: Settings, connections: Connections
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._lifecycle = lifecycle
        self._settings = settings
        self._ending: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and exempt all objects made until then from garbage collection."""
        await super().startup(sockets)
        gc.freeze()
        gc.enable()  # `attendex serve` has disabled it
        give_back_memory()  # that of imports and of compiling the encoder

    async def on_tick(self, counter: int) -> bool:
        """Do what is due every tenth of a second; close late connections every second."""
        if counter % 10 == 0:
            self._connections.sweep()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals on the event loop; do not raise them again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread gets signals
            return
        loop = asyncio.get_running_loop()
        for kind in self.signals:
            loop.add_signal_handler(kind, self._on_signal, kind)
        try:
            yield
        finally:
            for kind in self.signals:
                loop.remove_signal_handler(kind)

    def _on_signal(self, kind: signal.Signals) -> None:
        if self._ending is not None:
            signal.signal(kind, signal.SIG_DFL)
            os.kill(os.getpid(), kind)
            return
        logging.getLogger(LOGGER).info("shutting down; a second signal ends at once")
        self._lifecycle.draining = True
        self._lifecycle.ends_at = time.monotonic() + self._settings.grace_seconds
        self._ending = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        """Serve a moment longer, so that balancers see /readyz; then end in order."""
        lifecycle, grace = self._lifecycle, self._settings.grace_seconds
        await asyncio.sleep(min(self._settings.drain_seconds, grace))
        lifecycle.closed = True
        while lifecycle.is_busy and lifecycle.remaining_s(grace):
            await asyncio.sleep(POLL_SECONDS)
        self.should_exit = True


def make_server(app: ASGIApp, lifecycle: Lifecycle, settings: Settings, kind: type[Server] = Server) -> Server:
    """Return the server of `app`; `Server.run(sockets=[…])` serves until a signal."""
    behind_proxies = TrustedProxies(app, settings.trusted_proxies)
    connections = Connections(settings.limits, lifecycle, behind_proxies)
    protocol = type("Protocol", (BoundedProtocol,), {"open": connections})
    config = uvicorn.Config(
        behind_proxies if settings.trusted_proxies else app,
        http=protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=round(IDLE_SECONDS),
        timeout_graceful_shutdown=1,  # the requests that still run then had the grace period
    )
    return kind(config, lifecycle, settings, connections)


def end_in_time(tracing: TracerProvider | None, remaining_s: float) -> None:
    """Send the waiting traces, then end the process even if a thread still runs.

    A change that such a thread has not committed is lost as by a power cut: the next writer removes its files.
    """
    if tracing is not None:
        sending = threading.Thread(target=tracing.shutdown, daemon=True)
        sending.start()
        sending.join(remaining_s)
    own_threads = [thread for thread in threading.enumerate() if thread.name.startswith("attendex")]
    for thread in own_threads:
        thread.join(POLL_SECONDS)
    if any(thread.is_alive() for thread in own_threads):
        logging.shutdown()
        os._exit(0)
