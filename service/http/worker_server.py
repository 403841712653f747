"""The HTTP server of a worker, which shares its socket with others."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic

from service.http.server import POLL_SECONDS, Server
from service.http.shared_listener import SharedListener
from service.observability.logs import LOGGER
from service.processes.peers import Peers
from service.processes.shared_numbers import ProcessState
from service.processes.supervisor import RETIRE

SILENT_S = 5.0  # after which a connection of a retiring worker is closed; a request on its way would be lost


class WorkerServer(Server):
    """Accepts connections in turn with the other workers.

    A worker with more connections than its part ends some of them with their next answers. A worker that retires
    accepts no more connections, and ends each with the answer to the next request. So no request is lost.
    """

    signals = (*Server.signals, RETIRE)
    _listener: SharedListener | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, listen, and tell the parent that this worker is ready."""
        assert sockets, "the parent has opened the socket"
        self._peers.enter(ProcessState.STARTING)
        await super().startup([])
        sockets[0].listen(self.config.backlog)
        kind: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        protocol = partial(
            kind,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=asyncio.get_running_loop(),
        )
        self._listener = SharedListener(sockets[0], protocol, self._peers.has_fewest_connections)
        self._listener.start()
        self._peers.enter(ProcessState.READY)

    async def on_tick(self, counter: int) -> bool:
        """Do what is due every tenth of a second; share the connections every second."""
        self._peers.beat()
        if counter % 10 == 0 and self._listener is not None and (excess := self._peers.excess_connections()):
            self._connections.leave(excess)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave the socket to the other workers, and end."""
        self._stop_accepting()
        self._peers.enter(ProcessState.ENDING)
        await super().shutdown(sockets)

    def _on_signal(self, kind: signal.Signals) -> None:
        if kind != RETIRE:
            super()._on_signal(kind)
        elif self._ending is None:
            self._stop_accepting()
            self._peers.enter(ProcessState.RETIRING)
            self._lifecycle.retiring = True
            logging.getLogger(LOGGER).info(
                "another worker has the place of this one", extra={"fields": {"pid": os.getpid()}}
            )
            self._ending = asyncio.create_task(self._retire())

    def _stop_accepting(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _retire(self) -> None:
        """End each connection with its next answer; wait until all are silent."""
        self.config.encoded_headers.append((b"connection", b"close"))
        self.server_state.default_headers.append((b"connection", b"close"))
        ends_at = monotonic() + max(self._settings.grace_seconds, SILENT_S)
        while (self._connections.is_busy(SILENT_S) or self._lifecycle.role.is_held) and monotonic() < ends_at:
            await asyncio.sleep(POLL_SECONDS)
        self.should_exit = True

    @property
    def _peers(self) -> Peers:
        return self._lifecycle.peers
