"""Measure what one large or costly request does to the service.

    python -m benchmarks.large_requests COLLECTION

For each request: the longest answer of /livez meanwhile (at most 100 ms), the memory that the service allocates (at
most 300 MB), and the CPU time after the client has left in the middle of the request (at most 1 s).
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.service import Service, running

HEADER = (
    f"{'request':28} {'in kB':>7} {'out kB':>7} {'status':>6} {'s':>6} {'/livez ms':>9} {'MB':>5} {'CPU s after':>11}"
)
PROBE_SECONDS = 0.005
PATIENCE_SECONDS = 60
IDLE_SECONDS = 0.3  # without CPU time: the work has ended
LEAVE_SECONDS = 0.3  # a client that leaves does so after this time
WORDS = "heart disease and the diet of people with high cholesterol "


def repeated(start: str, item: str, count: int, end: str = "]}") -> bytes:
    """Return JSON with `count` equal items."""
    return (start + ",".join([item] * count) + end).encode()


def dumped(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def requests(collection: str, document: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, path and body of each request: of many values, then costly ones."""
    path = f"/v1/collections/{collection}"
    names = ",".join(f'"a{i}":1' for i in range(500_000))
    yield "one search", f"{path}/search", dumped({"query": WORDS})
    yield "1 M numbers to rank", "/rerank", repeated('{"query":"x","documents":[', "1", 1_000_000)
    yield "2 M texts to embed", "/embed", repeated('{"inputs":[', '"a"', 1_990_000)
    yield "550,000 searches", f"{path}/search/batch", repeated('{"searches":[', '{"query":"a"}', 550_000)
    yield "500,000 names", f"{path}/search", f'{{"query":"x",{names}}}'.encode()
    yield "2.6 M lists in metadata", f"{path}/documents", repeated('{"documents":[{"x":[', "[]", 2_600_000, "]}]}")
    yield "119,000 texts to embed", "/embed", repeated('{"inputs":[', '"abc"', 119_000)
    yield "59,000 wrong searches", f"{path}/search/batch", repeated('{"searches":[', "{}", 59_000)
    yield "119,000 different names", f"{path}/search", dumped({"query": "x"} | {f"a{i}": 1 for i in range(119_000)})
    yield "8 MB of escapes in a query", f"{path}/search", b'{"query":"' + rb"\"" * 3_990_000 + b'"}'
    yield "60 long texts to embed", "/embed", dumped({"inputs": [f"{i} {WORDS * 2_200}" for i in range(60)]})
    yield "2,048 texts to embed", "/embed", dumped({"inputs": [f"{i} {WORDS * 65}" for i in range(2_048)]})
    yield "2,048 texts to rank", "/rerank", dumped({"query": "x", "texts": [f"{i} {WORDS * 65}" for i in range(2_048)]})
    untruncated = {"inputs": [f"{i} {WORDS * 2_200}" for i in range(60)], "truncate": False}
    yield "60 long texts to count", "/embed", dumped(untruncated)
    yield "token states of 10 texts", "/embed_all", dumped({"inputs": [f"{i} {WORDS * 65}" for i in range(10)]})
    yield "131,072 tokens", "/tokenize", dumped({"inputs": "!" * 131_072})
    spans = {
        "query": WORDS,
        "documents": [f"{i} {WORDS * 65}" for i in range(100)],
        "relevant_spans": {"mode": "enabled"},
    }
    yield "spans of 100 texts", "/v2/rerank", dumped(spans)
    yield "1,000 hits", f"{path}/search", dumped({"query": WORDS, "k": 1_000})
    yield "100 explanations", f"{path}/search", dumped({"query": WORDS, "k": 100, "explain": True})
    long = WORDS * 300
    yield "60 long explanations", f"{path}/search", dumped({"query": long, "k": 60, "explain": True})
    yield "attention of a long query", f"{path}/attention", dumped({"query": long, "id": document, "side": "query"})
    batch = [{"query": f"{WORDS} {i}", "k": 39} for i in range(256)]
    yield "256 searches for 39 hits", f"{path}/search/batch", dumped({"searches": batch})
    explained = [each | {"explain": True} for each in batch]
    yield "9,984 explanations", f"{path}/search/batch", dumped({"searches": explained})
    marked = [{"query": f"{i} zz", "k": 25, "highlight": True, "mode": "dense"} for i in range(256)]
    yield "19,200 highlights", f"{path}/search/batch", dumped({"searches": marked})
    yield "100 highlights", f"{path}/search", dumped(marked[0] | {"k": 33})


@contextmanager
def watched(work: Callable[[], float]) -> Iterator[list[float]]:
    """Call `work` again and again while the block runs; yield a list of its results."""
    results, stop = [work()], threading.Event()

    def loop() -> None:
        while not stop.wait(PROBE_SECONDS):
            results.append(work())

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield results
    finally:
        stop.set()
        thread.join()


def livez_ms(service: Service) -> float:
    """Return the milliseconds of an answer of /livez on a new connection."""
    started = time.perf_counter()
    connection = connect(service)
    connection.request("GET", "/livez")
    connection.getresponse().read()
    connection.close()
    return 1000 * (time.perf_counter() - started)


def connect(service: Service) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=PATIENCE_SECONDS)


def resident_mb(service: Service) -> float:
    """Return the memory that the process has allocated and uses, in MB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1000


def post(service: Service, path: str, body: bytes) -> tuple[int, int]:
    """Return the status and the size of the answer in bytes."""
    connection = connect(service)
    connection.request("POST", path, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    size = len(answer.read())
    connection.close()
    return answer.status, size


def cpu_after_leaving(service: Service, path: str, body: bytes) -> float:
    """Return the CPU seconds that the service uses after a client has left."""
    connection = connect(service)
    connection.request("POST", path, body, {"content-type": "application/json"})
    time.sleep(LEAVE_SECONDS)
    connection.close()
    return cpu_until_idle(service)


def cpu_until_idle(service: Service) -> float:
    """Return the CPU seconds from now until the service is idle."""
    first = last = service.cpu_s()
    while True:
        time.sleep(IDLE_SECONDS)
        now = service.cpu_s()
        if now - last < IDLE_SECONDS / 10:
            return now - first
        last = now


def measure(service: Service, name: str, path: str, body: bytes) -> None:
    """Print the line of one request."""
    cpu_until_idle(service)
    before = resident_mb(service)
    with watched(lambda: livez_ms(service)) as waits, watched(lambda: resident_mb(service)) as memory:
        started = time.perf_counter()
        status, size = post(service, path, body)
        seconds = time.perf_counter() - started
    cpu_until_idle(service)
    after = cpu_after_leaving(service, path, body)
    print(
        f"{name:28} {len(body) / 1e3:7.0f} {size / 1e3:7.0f} {status:6} {seconds:6.2f} {max(waits):9.0f} "
        f"{max(memory) - before:5.0f} {after:11.2f}",
        flush=True,
    )


def main() -> None:
    """Parse, start, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--only", default="", help="part of the names of the requests to measure")
    arguments = parser.parse_args()
    with running(arguments.collection, []) as service:
        connection = connect(service)
        connection.request("GET", f"/v1/collections/{service.collection}/documents?limit=1")
        document = json.loads(connection.getresponse().read())["documents"][0]["id"]
        print(HEADER)
        for name, path, body in requests(service.collection, document):
            if arguments.only in name:
                measure(service, name, path, body)


if __name__ == "__main__":
    main()
