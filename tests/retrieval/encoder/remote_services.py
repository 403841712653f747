"""A small service with embeddings and with faults, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answer = tuple[int, dict[str, str], bytes]


def vector_of(text: str, dimension: int = 8, model: str = "m") -> NDArray[np.float32]:
    """Return a vector of length one that depends on the text and the model."""
    seed = int.from_bytes(hashlib.sha256(f"{model}\n{text}".encode()).digest()[:8])
    vector = np.random.default_rng(seed).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class Service:
    """What a service does, and what it was asked; tests change `model` and `faults`."""

    url: str = ""
    model: str = "m"
    dimension: int = 8
    noise: float = 0.0
    faults: list[Callable[[], Answer | None]] = field(default_factory=list)  # of the next requests; None: no fault
    always: Callable[[], Answer | None] | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    change: Callable[[Any], Any] = lambda answer: answer

    @property
    def texts(self) -> list[str]:
        """All texts of answered requests."""
        return [text for body in self.bodies for text in (body.get("input") or body.get("inputs") or ())]

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        fault = self.faults.pop(0)() if self.faults else self.always() if self.always else None
        if fault is not None:
            return fault
        self.bodies.append(body)
        texts = body["inputs"] if path == "/embed" else body["input"]
        vectors = [vector_of(text, self.dimension, self.model) for text in texts]
        if self.noise:
            rng = np.random.default_rng(len(self.bodies))
            vectors = [vector + rng.normal(0, self.noise, self.dimension).astype(np.float32) for vector in vectors]
        if path == "/embed":
            answer: Any = [vector.tolist() for vector in vectors]
        elif path == "/api/embed":
            answer = {"embeddings": [vector.tolist() for vector in vectors], "prompt_eval_count": 3 * len(texts)}
        else:
            as_text = body.get("encoding_format") == "base64"
            rows = [base64.b64encode(v.tobytes()).decode() if as_text else v.tolist() for v in vectors]
            data = [{"index": index, "embedding": row} for index, row in enumerate(rows)]
            answer = {"data": data[::-1], "usage": {"total_tokens": 5 * len(texts)}}  # in another order
        return 200, {}, json.dumps(self.change(answer)).encode()


def failing(status: int, body: object = None, **headers: str) -> Callable[[], Answer]:
    """Return a fault: an answer with this status."""
    return lambda: (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps(body).encode(),
    )


@contextmanager
def running() -> Iterator[Service]:
    """Run the service on a free port of this machine."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one packet

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.times.append(time.monotonic())
            service.headers.append(dict(self.headers))
            status, headers, content = service.answer(self.path, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if "X-Drip" in headers:
                self._drip(content)
            else:
                self.wfile.write(content)

        def _drip(self, content: bytes) -> None:
            try:
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing about clients that left."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
