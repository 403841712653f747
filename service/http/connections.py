"""The open connections: deadlines, and bounds in number and unread bytes.

Either a connection waits for its client, or the client waits for the service. A connection that waits has a deadline.
At a bound, a new connection replaces one that waits: the one whose client has been silent the longest.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Container
from enum import Enum
from http import HTTPStatus
from time import monotonic
from typing import Any

import orjson
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.config.settings import RequestLimits
from service.http.addresses import network_of, plain_address
from service.http.lingering_close import LingeringTransport
from service.http.problems import PROBLEM_JSON, native_content, problem_of_status
from service.http.request_limits import ON_DISCONNECT, Lifecycle
from service.observability.logs import LOGGER
from service.processes.shared_numbers import Column
from service.runtime.process import max_open_files

HEAD_SECONDS = 10.0  # for a request head, and for the first request of a connection
IDLE_SECONDS = 75.0  # between two requests
UNREAD_SECONDS = 20.0  # in which a client reads UNREAD_BYTES of its answer, or all of it
UNREAD_BYTES = 65_536
MAX_PIPELINED = 64  # requests that wait for the answer before theirs
HEAD_END = b"\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connections:
    """The open connections of a process; the longest silent one comes first.

    Each process of a service has an equal part of the bounds.
    """

    def __init__(self, limits: RequestLimits, lifecycle: Lifecycle, trusted: Container[str]) -> None:
        self.limits = limits
        self.lifecycle = lifecycle
        self._trusted = trusted  # proxies: the bound of an address does not apply to them
        peers = lifecycle.peers
        self._maximum = min(peers.share(limits.connections), max_open_files() // 2)  # the rest is for collections
        self._maximum_of_address = peers.share(limits.connections_per_address)
        self._unread_bytes = peers.share(limits.unread_bytes)
        self._count = peers.count(Column.CONNECTIONS)
        self._open: dict[BoundedProtocol, str] = {}  # with the network of each client
        self._by_network: Counter[str] = Counter()
        if max_open_files() // 2 < peers.share(limits.connections):
            logging.getLogger(LOGGER).warning(
                f"limits.connections is {limits.connections}, but the limit of open files allows {self._maximum}; "
                "raise it with `ulimit -n`"
            )

    def add(self, connection: BoundedProtocol, address: str) -> bool:
        """Count a new connection; at a bound, close another.  False: no room."""
        network = network_of(address)
        crowded = self._by_network[network] >= self._maximum_of_address and address not in self._trusted
        if crowded or len(self._open) >= self._maximum:
            self.lifecycle.refused("connections")
            waiting = (each for each in self._open if each.waits and (not crowded or self._open[each] == network))
            silent = next(waiting, None)
            if silent is None:
                return False
            self.drop(silent)
        self._open[connection] = network
        self._by_network[network] += 1
        self._count.add(1)
        return True

    def discard(self, connection: BoundedProtocol) -> None:
        """Forget a connection that has ended."""
        if (network := self._open.pop(connection, None)) is not None:
            self._count.add(-1)
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]

    def drop(self, connection: BoundedProtocol) -> None:
        """Close a connection at once, with the answers that its client has not read."""
        self.discard(connection)
        connection.transport.abort()

    def heard(self, connection: BoundedProtocol) -> None:
        """Note that the client has sent something."""
        if (network := self._open.pop(connection, None)) is not None:
            self._open[connection] = network

    def is_busy(self, silent_s: float) -> bool:
        """Check whether a client waits for an answer, or sent something of late."""
        now = monotonic()
        return any(not each.waits or now - each.since < silent_s for each in self._open)

    def leave(self, number: int) -> None:
        """End so many connections with the answer that their clients wait for.

        The clients connect again, to another process.
        """
        for connection in self._open:
            if number > 0 and connection.ends_with_its_answer():
                number -= 1

    def sweep(self) -> None:
        """Close the connections whose deadline has passed; called every second."""
        now = monotonic()
        for connection in list(self._open):
            if connection.is_late(now):
                self.drop(connection)

    def bound_unread(self, newest: BoundedProtocol) -> None:
        """Close connections that hold too large answers; the newest stays."""
        sizes = {each: each.transport.get_write_buffer_size() for each in self._open if each.flow.write_paused}
        excess = sum(sizes.values()) - self._unread_bytes
        for connection, size in sizes.items():
            if excess > 0 and connection is not newest:
                self.lifecycle.refused("unread")
                self.drop(connection)
                excess -= size


def _too_large(max_bytes: int, *, is_address: bool) -> bytes:
    """Return the whole answer to a request whose address or head is too long."""
    status = HTTPStatus.REQUEST_URI_TOO_LONG if is_address else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    named = (
        "address; send a long query as the body of a POST request"
        if is_address
        else "headers; send fewer or shorter ones"
    )
    problem = problem_of_status(status, f"the request has more than {max_bytes:,} bytes of {named}")
    content = orjson.dumps(native_content(problem, "", ""))
    lines = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {len(content)}\r\n"
    return f"{lines}connection: close\r\n\r\n".encode() + content


class Phase(Enum):
    """The part of a request that the client sends next."""

    HEAD = "head"
    BODY = "body"
    NOTHING = "nothing"  # the request is complete; the next one may follow


class BoundedProtocol(HttpToolsProtocol):
    """An HTTP connection with bounds on head, pipelined requests and time."""

    open: Connections
    transport: LingeringTransport  # type: ignore[assignment]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._phase = Phase.HEAD
        self._since = monotonic()
        self._head_bytes = 0
        self._head_end = b""  # the last bytes of the head: the next packet may complete HEAD_END
        self._line_bytes = 0  # of the first line of the head, which has the address
        self._has_line = False  # that line is complete
        self._answered: RequestResponseCycle | None = None  # the request that is being answered
        self._unread: tuple[int, float] | None = None  # bytes, and the time when they were so few

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(LingeringTransport(transport, self._is_sending))  # type: ignore[arg-type]
        if self.client:
            self.client = plain_address(self.client[0]), self.client[1]
        if not self.open.add(self, self.client[0] if self.client else ""):
            self._refuse(BUSY)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.discard(self)
        if self._answered is not None:
            self._answered.disconnected = True  # the server tells the newest request only
            if leave := self._answered.scope["state"].get(ON_DISCONNECT):
                leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.open.heard(self)
        if self.transport.lingers:
            self.transport.discard(data)
            return
        if self._phase is not Phase.BODY:
            self._count_head(data)
            if self._head_bytes > self.open.limits.header_bytes:
                maximum = self.open.limits.header_bytes
                logging.getLogger(LOGGER).info(f"a request head of more than {maximum:,} bytes was refused")
                self.open.lifecycle.refused("head")
                self._refuse(_too_large(maximum, is_address=self._line_bytes > maximum // 2))
                return
        super().data_received(data)

    def _count_head(self, data: bytes) -> None:
        """Add the bytes of the data that belong to the head."""
        known = self._head_end + data
        end = known.find(HEAD_END)
        self._head_bytes += len(data) if end < 0 else max(0, end + len(HEAD_END) - len(self._head_end))
        self._head_end = known[-len(HEAD_END) + 1 :]
        if not self._has_line:
            line = data if self._line_bytes else data.lstrip(b"\r\n")  # empty lines may come before
            end = line.find(b"\n")
            self._line_bytes += end if end >= 0 else len(line)
            self._has_line = end >= 0

    def _is_sending(self) -> bool:
        """Check whether the client is in the middle of a request that has its answer."""
        is_in_head = self._phase is not Phase.BODY and self._head_bytes > 0
        return (is_in_head or self._phase is Phase.BODY) and not self._is_answering

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._enter(Phase.HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value.strip(b" \t"))  # the parser leaves the white space at the end (RFC 9110, 5.5)

    def on_headers_complete(self) -> None:
        if sum(name == b"host" for name, _ in self.headers) != 1:
            raise ValueError("a request needs one Host header")  # the parser answers 400 and closes
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError(f"more than {MAX_PIPELINED} requests wait for an answer")
        self._enter(Phase.BODY)
        super().on_headers_complete()
        if not self.pipeline:
            self._answered = self.cycle
        self.flow.resume_reading()  # only a connection that is read shows that the client left

    def on_body(self, body: bytes) -> None:
        if self.pipeline and len(self.cycle.body) + len(body) > HIGH_WATER_LIMIT:
            raise ValueError("a large body follows a request that has no answer yet")
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._enter(Phase.NOTHING)
        self._head_bytes, self._head_end = 0, b""
        self._line_bytes, self._has_line = 0, False
        super().on_message_complete()
        self.flow.resume_reading()  # a large body has paused it

    def on_response_complete(self) -> None:
        self._since, self._unread = monotonic(), None
        self._answered = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.open.bound_unread(self)

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, monotonic()

    def ends_with_its_answer(self) -> bool:
        """Let the next answer end the connection, unless that answer has begun."""
        if not self._is_answering or self.cycle.response_started or not self.cycle.keep_alive:
            return False
        self.cycle.keep_alive = False
        return True

    @property
    def since(self) -> float:
        """The time of the last step of the connection, by the monotonic clock."""
        return self._since

    @property
    def waits(self) -> bool:
        """Whether the service waits for the client to send or to read."""
        return self._phase is Phase.BODY or self.flow.write_paused or not self._is_answering

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def is_late(self, now: float) -> bool:
        """Check whether the client has exceeded its time.  `now` is the monotonic clock's."""
        if self.transport.lingers:
            return self.transport.is_late(now)
        if unread := self.transport.get_write_buffer_size():
            if self._unread is None or unread <= self._unread[0] - UNREAD_BYTES:
                self._unread = unread, now
            return now - self._unread[1] > UNREAD_SECONDS
        self._unread = None
        if self._is_answering:
            return False  # the request itself has a deadline
        seconds = {Phase.HEAD: HEAD_SECONDS, Phase.BODY: self.open.limits.seconds, Phase.NOTHING: IDLE_SECONDS}
        return now - self._since > seconds[self._phase]
