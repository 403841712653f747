"""Close a connection so that a client that is still sending reads its last answer.

If the server closes a socket with unread input, the kernel resets the connection, and the client may lose the answer
(RFC 9112, section 9.6). So the server ends its own direction first. It discards what the client sends, up to a bound,
until the client closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

LINGER_SECONDS = 10.0
LINGER_BYTES = 128 << 20


class LingeringTransport:
    """A transport whose `close` lingers while `is_sending()` is true.

    A second `close` closes at once.
    """

    def __init__(self, transport: asyncio.Transport, is_sending: Callable[[], bool]) -> None:
        self._transport = transport
        self._is_sending = is_sending
        self._remaining = LINGER_BYTES
        self._deadline = 0.0
        self.lingers = False
        self.write = transport.write  # the frequent call, without __getattr__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Check whether no further request is answered."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """End the own direction; close the connection unless the client is sending."""
        if self.is_closing() or not self._is_sending():
            self._transport.close()
            return
        self.lingers = True
        self._deadline = monotonic() + LINGER_SECONDS
        self._transport.write_eof()
        self._transport.resume_reading()  # a large body has paused it

    def is_late(self, now: float) -> bool:
        """Check whether the transport lingers too long.  `now` is the monotonic clock's."""
        return self.lingers and now > self._deadline

    def discard(self, data: bytes) -> None:
        """Count discarded input; close the connection at LINGER_BYTES."""
        self._remaining -= len(data)
        if self._remaining < 0:
            self._transport.close()
