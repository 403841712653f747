"""Large bodies must not block the event loop: probes are answered meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.service.conftest import Served
from tests.service.http.test_json_bodies import JSON, SMALL, TOO_MANY, repeated

ATTEMPTS = 3  # another process may hold the processor during one of them

LARGE = {
    **TOO_MANY,
    "valid texts": ("/embed", repeated(b'{"inputs":[', b'"abc"', 119_000)),
    "valid searches": (f"{SMALL}/search/batch", repeated(b'{"searches":[', b'{"query":"a"}', 39_000)),
    "valid ids": (f"{SMALL}/documents/delete", repeated(b'{"ids":[', b'"a"', 119_000)),
    "valid documents": (f"{SMALL}/documents", repeated(b'{"documents":[', b'{"id":"a","text":"b"}', 29_000)),
    "different names": (f"{SMALL}/search", json.dumps({"query": "x"} | {f"a{i}": 1 for i in range(119_000)}).encode()),
    "escapes": (f"{SMALL}/search", b'{"query":"' + rb"\"" * 3_900_000 + b'"}'),
}


@contextmanager
def probed(served: Served) -> Iterator[list[float]]:
    """Ask for /livez again and again while the block runs; yield the seconds of each answer."""
    seconds: list[float] = []
    stop = threading.Event()

    def probe() -> None:
        started = time.perf_counter()
        http.get("/livez")
        seconds.append(time.perf_counter() - started)

    def loop() -> None:
        while not stop.is_set():
            probe()

    with httpx.Client(base_url=served.url, timeout=60) as http:
        probe()
        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield seconds
        finally:
            stop.set()
            thread.join()


def parsing_seconds() -> float:
    """Return the time in which Python's own parser reads 8 MB of short texts."""
    texts = repeated(b"[", b'"abc"', 1_330_000, end=b"]")
    started = time.perf_counter()
    json.loads(texts)
    return time.perf_counter() - started


@pytest.mark.parametrize("kind", LARGE)
def test_probes_are_answered_while_a_large_body_is_refused(small: Served, kind: str) -> None:
    """The longest wait of a probe is shorter than the time in which Python's own parser reads as many bytes."""
    path, body = LARGE[kind]
    limit = parsing_seconds()
    waits = []
    for _ in range(ATTEMPTS):
        with probed(small) as seconds:
            response = small.http.post(path, content=body, headers=JSON)
        assert 400 <= response.status_code < 500
        waits.append(max(seconds))
        if waits[-1] < limit:
            return
    pytest.fail(f"/livez waited {waits} s, more than {limit} s")
