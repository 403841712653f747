"""A closed-loop load generator: a caller waits for its answer, then sends again.

Runs in its own process (`python -m benchmarks.load`), so that it does not share the service's interpreter. It
implements
just enough of HTTP/1.1 to cost little beside the service. It reads its orders as JSON from standard input and writes
the
results as JSON to standard output.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Orders:
    """The requests to send: bodies in turn, for some seconds, by some callers."""

    url: str
    path: str
    bodies: Sequence[str]
    callers: int
    seconds: float
    key: str = ""
    method: str = "POST"  # GET: the bodies are query strings
    again_s: float = 0.01  # minimum time from a refused request to the caller's next one


@dataclass(slots=True)
class Seen:
    """The results of a load."""

    statuses: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)  # of answers with 2xx, in order of arrival
    refusals_ms: list[float] = field(default_factory=list)  # of answers with 429
    seconds: float = 0.0
    sample: str = ""  # one answer, to look at


def run_load(orders: Orders) -> Seen:
    """Run the orders in another process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asdict(orders)),
        capture_output=True,
        text=True,
        check=True,
    )
    return Seen(**json.loads(done.stdout))


class Connection(asyncio.Protocol):
    """The connection of one caller."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self.ended = False  # the service answers no further request here

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        head = head.lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(rest) >= length and self._answer is not None:
            self._buffer = b""
            self.ended = b"connection: close" in head
            self._answer.set_result((int(head[9:12]), rest))

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the service closed the connection"))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        assert self._transport is not None, "the connection is open"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


async def generate(orders: Orders) -> Seen:
    """Run all callers until the time is over."""
    address = urlsplit(orders.url)
    assert address.hostname is not None
    host, port = address.hostname, address.port or 80
    requests = [_request(orders, address.netloc, body) for body in orders.bodies]
    seen, statuses = Seen(), Counter[str]()
    started = time.perf_counter()
    place = iter(range(10**12))

    async def caller() -> None:
        connection: Connection | None = None
        while (began := time.perf_counter()) < started + orders.seconds:
            try:
                if connection is None or connection.ended:
                    if connection is not None:
                        connection.close()
                    loop = asyncio.get_running_loop()
                    _, connection = await loop.create_connection(Connection, host, port)
                status, body = await connection.ask(requests[next(place) % len(requests)])
            except OSError:
                statuses["no answer"] += 1
                connection = None
                await asyncio.sleep(0.01)
                continue
            took = (time.perf_counter() - began) * 1000
            statuses[str(status)] += 1
            if status < 300:
                seen.latencies_ms.append(took)
                seen.sample = seen.sample or body[:2_000].decode(errors="replace")
            elif status == 429:
                seen.refusals_ms.append(took)
                await asyncio.sleep(max(0.0, orders.again_s - took / 1000))

    await asyncio.gather(*(caller() for _ in range(orders.callers)))
    seen.seconds = time.perf_counter() - started
    seen.statuses = dict(statuses)
    return seen


def _request(orders: Orders, host: str, body: str) -> bytes:
    key = [f"authorization: Bearer {orders.key}"] if orders.key else []
    if orders.method == "GET":
        return "\r\n".join([f"GET {orders.path}?{body} HTTP/1.1", f"host: {host}", *key, "", ""]).encode()
    data = body.encode()
    lines = [f"POST {orders.path} HTTP/1.1", f"host: {host}", "content-type: application/json", *key]
    return "\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode() + data


def main() -> None:
    """Read the orders, run them, write the results."""
    import uvloop

    orders: dict[str, Any] = json.load(sys.stdin)
    seen = uvloop.run(generate(Orders(**orders)))
    json.dump(asdict(seen), sys.stdout)


if __name__ == "__main__":
    main()
