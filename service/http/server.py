"""The HTTP server: uvicorn with uvloop and httptools, a limit on how slowly a head may arrive, and an orderly end."""

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
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from retrieval.errors import SettingsError
from service.config.settings import Settings
from service.http.request_limits import Lifecycle
from service.observability.logs import LOGGER

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

HEAD_SECONDS = 10.0
HEAD_END = b"\r\n\r\n"
POLL_SECONDS = 0.05


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request heads take too long (slow loris) or too many bytes (header floods)."""

    header_bytes = 32_768
    lifecycle: Lifecycle

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._head_end = b""  # its last bytes, among which the next packet may find its end
        self._in_head = True
        self._head_deadline: asyncio.TimerHandle | None = None
        self._held = b""  # of a search at a closed door, whose body is on its way

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if data := self._let_in(self._held + data):
            self._receive(data)

    def _let_in(self, data: bytes) -> bytes:
        """What of the data is to be answered in the ordinary way: all, or nothing."""
        self._held = b""
        door = self.lifecycle.door
        if door is None or not door.closed() or not self._between_requests or self.flow.write_paused:
            return data  # the last: who does not read the answers is not given more of them
        knock = door.knock(data)
        if knock is None:
            return data
        if len(data) < knock.size:
            self._held = data
            return b""
        headers = b"".join(b"%b: %b\r\n" % each for each in self.server_state.default_headers)
        answer = door.answer(data, knock, headers)
        if answer is None:
            return data
        self.transport.write(answer)
        self._head_done()
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        return b""

    @property
    def _between_requests(self) -> bool:
        answered: bool = self.cycle is None or self.cycle.response_complete
        return answered and self._in_head and not self._head_bytes

    def _receive(self, data: bytes) -> None:
        if self._in_head:
            if self._head_deadline is None:
                self._expect_head()
            self._count_head(data)
            if self._head_bytes > self.header_bytes:
                self._refuse_head()
                return
        super().data_received(data)

    def _count_head(self, data: bytes) -> None:
        """Add what of the data belongs to the head."""
        known = self._head_end + data
        end = known.find(HEAD_END)
        self._head_bytes += len(data) if end < 0 else max(0, end + len(HEAD_END) - len(self._head_end))
        self._head_end = known[-len(HEAD_END) + 1 :]

    def _refuse_head(self) -> None:
        if not self.transport.is_closing():
            logging.getLogger(LOGGER).info(f"a head of more than {self.header_bytes:,} bytes is refused")
            self.lifecycle.refused("head")
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head_done()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes, self._head_end = 0, b""
        super().on_message_complete()

    def _expect_head(self) -> None:
        self._head_deadline = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _head_done(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


class Server(uvicorn.Server):
    """Ends in order: readiness off, running requests finished, exit code 0; a second signal ends at once."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, settings: Settings) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._settings = settings
        self._ending: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base class; what has been made until then stays, and need not be looked at for garbage again."""
        await super().startup(sockets)
        gc.freeze()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals on the loop; unlike the base class, do not raise them again after an orderly end."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread hears signals
            return
        loop = asyncio.get_running_loop()
        kinds = (signal.SIGINT, signal.SIGTERM)
        for kind in kinds:
            loop.add_signal_handler(kind, self._on_signal, kind)
        try:
            yield
        finally:
            for kind in kinds:
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
        """Go on serving for a moment, so that balancers see /readyz change; then wait for running requests."""
        lifecycle, grace = self._lifecycle, self._settings.grace_seconds
        await asyncio.sleep(min(self._settings.drain_seconds, grace))
        lifecycle.closed = True
        while lifecycle.in_progress and lifecycle.left_s(grace):
            await asyncio.sleep(POLL_SECONDS)
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """A bound socket, so that the port is known before the service starts.  Raises SettingsError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, so that Nagle is switched off
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}, port {settings.port} ({error.strerror or error}); choose others with "
            "--host and --port"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a bound socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: ASGIApp, lifecycle: Lifecycle, settings: Settings) -> Server:
    """The server for `app`; `Server.run(sockets=[…])` serves until a signal."""
    own = {"header_bytes": settings.limits.header_bytes, "lifecycle": lifecycle}
    protocol = type("Protocol", (BoundedProtocol,), own)
    config = uvicorn.Config(
        app,
        http=protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,  # what still runs then has had the grace period
    )
    return Server(config, lifecycle, settings)


def end_in_time(tracing: TracerProvider | None, left_s: float) -> None:
    """Send the traces that wait; then end the process, though something may run that cannot be stopped.

    What that has not committed is as if a power cut had ended it: the next writer clears it away.
    """
    if tracing is not None:
        sending = threading.Thread(target=tracing.shutdown, daemon=True)
        sending.start()
        sending.join(left_s)
    running = [each for each in threading.enumerate() if each.name.startswith("attendex")]  # the service's own
    for each in running:
        each.join(POLL_SECONDS)
    if any(each.is_alive() for each in running):
        logging.shutdown()
        os._exit(0)
