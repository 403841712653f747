"""A small reverse proxy that serves the service below a path."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

HOP_BY_HOP = {"connection", "content-length", "host", "transfer-encoding"}


@contextmanager
def reverse_proxy(service_url: str, prefix: str) -> Iterator[str]:
    """Yield the URL of a proxy that removes `prefix` and adds the X-Forwarded headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            forwarded = [value for value in (self.headers["X-Forwarded-For"], self.client_address[0]) if value]
            headers |= {
                "X-Forwarded-For": ", ".join(forwarded),
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Prefix": prefix,
            }
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.removeprefix(prefix)
            with client.stream(self.command, path, headers=headers, content=body) as answer:
                content = b"".join(answer.iter_raw())  # compressed, as the service sent it
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = forward

        def log_message(self, *_: object) -> None:
            pass

    with (
        httpx.Client(base_url=service_url, timeout=30) as client,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{prefix}"
        finally:
            server.shutdown()
            thread.join()
