"""A listening socket of several processes: each accepts its part.

The kernel wakes every process for a new connection. If each of them took what it can, one would get most connections of
a burst. So a process leaves a connection to the others while one of them has fewer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic

TURN_S = 0.001  # until the next look at a connection that was left to the others
PATIENCE_S = 0.05  # then this process takes it: the others may be busy


class SharedListener:
    """Accepts connections of a socket, one at a time, in its turn."""

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], is_turn: Callable[[], bool]
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._is_turn = is_turn
        self._loop = asyncio.get_running_loop()
        self._left_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: set[asyncio.Task[object]] = set()
        listener.setblocking(False)

    def start(self) -> None:
        """Accept connections from now on."""
        self._loop.add_reader(self._listener, self._on_readable)

    def close(self) -> None:
        """Accept no more connections; those that wait go to other processes."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)

    def _on_readable(self) -> None:
        if not self._is_turn() and not self._has_waited():
            self._loop.remove_reader(self._listener)
            self._timer = self._loop.call_later(TURN_S, self.start)
            return
        self._left_since = None
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client has left
        connection.setblocking(False)
        connecting = self._loop.create_task(self._connect(connection))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    def _has_waited(self) -> bool:
        if self._left_since is None:
            self._left_since = monotonic()
        return monotonic() - self._left_since > PATIENCE_S

    async def _connect(self, connection: socket.socket) -> None:
        await self._loop.connect_accepted_socket(self._protocol, connection)
