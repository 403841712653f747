"""A server that speaks OpenAI's protocol as a test wants, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

END = b"data: [DONE]\n\n"


@dataclass
class ModelStub:
    """A running server; `answer` writes each response with `Exchange`."""

    url: str
    answer: Callable[[Exchange], None]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)  # a client closed its connection early
    ended: threading.Event = field(default_factory=threading.Event)  # the test is over

    def says(self, *texts: str) -> None:
        """Answer with these pieces of a text."""
        self.answer = lambda exchange: exchange.stream(*(piece(text) for text in texts), piece(finish="stop"), END)


class Exchange:
    """One request, and the parts of its response."""

    def __init__(self, handler: BaseHTTPRequestHandler, stub: ModelStub) -> None:
        self.handler = handler
        self.stub = stub

    def begin(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", kind)
        self.handler.send_header("Transfer-Encoding", "chunked")
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()

    def send(self, data: bytes) -> None:
        self.handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.handler.wfile.flush()

    def end(self) -> None:
        self.handler.wfile.write(b"0\r\n\r\n")

    def stream(self, *parts: bytes) -> None:
        self.begin()
        for part in parts:
            self.send(part)
        self.end()

    def whole(self, status: int, body: object, **headers: str) -> None:
        self.begin(status, "application/json", **headers)
        self.send(json.dumps(body).encode())
        self.end()

    def drip(self, part: bytes, pause_s: float = 0.05) -> None:
        """Send a part again and again until the client leaves or the test is over."""
        self.begin()
        try:
            while not self.stub.ended.wait(pause_s):
                self.send(part)
        except OSError:
            self.stub.left.set()


def piece(text: str | None = None, finish: str | None = None) -> bytes:
    """Return an event with a piece of a text."""
    delta = {} if text is None else {"content": text}
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"


@contextmanager
def running_stub() -> Iterator[ModelStub]:
    """Serve until the block ends."""
    stub = ModelStub("", lambda exchange: exchange.stream(END))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            stub.requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            stub.headers.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            with suppress(BrokenPipeError, ConnectionResetError):
                stub.answer(Exchange(self, stub))

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing of connections that a client resets."""

    server = Server(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield stub
    finally:
        stub.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
