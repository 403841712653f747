"""Measure the service over HTTP: speed under load, overload, memory, changes.

    python -m benchmarks.service COLLECTION QUERIES.jsonl            # the table of loads
    python -m benchmarks.service COLLECTION QUERIES.jsonl --overload # ten times its capacity, for 30 s
    python -m benchmarks.service COLLECTION QUERIES.jsonl --soak 600 # memory and errors over ten minutes
    python -m benchmarks.service COLLECTION QUERIES.jsonl --adding   # searches while documents are added to a copy
    python -m benchmarks.service COLLECTION QUERIES.jsonl --processes 1,2            # one process against two
    python -m benchmarks.service COLLECTION QUERIES.jsonl --processes 1,2 --writes 10  # with changes meanwhile

Starts `attendex serve` as a process, loads it from a second process on the same machine (see load.py), and prints for
each load: requests/s, latencies, errors, CPU time of a request, and the service's memory before and after. Every
request
has another query, so that no cache answers it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
import psutil

from benchmarks.load import Orders, Seen, run_load

EMBEDDINGS = "/v1/embeddings"
ADDED_PER_SECOND = 10
FLOOD = 160  # callers
REQUESTS = 30_000  # of one load, before they repeat


@dataclass(frozen=True, slots=True)
class Load:
    """One line of the table."""

    name: str
    callers: int
    path: str
    body: dict[str, object]
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    process: psutil.Process
    collection: str

    def processes(self) -> list[psutil.Process]:
        """Return the process, and its template and workers if it has some."""
        return [self.process, *self.process.children()]

    def anonymous_mb(self) -> float:
        """Return the memory that the service has allocated, in MB.

        Mapped files do not count: the system loads and drops them.
        """
        return sum(anonymous_mb(process.pid) for process in self.processes())

    def cpu_s(self) -> float:
        """Return the CPU seconds so far."""
        return float(sum(times.user + times.system for times in (each.cpu_times() for each in self.processes())))


def anonymous_mb(pid: int) -> float:
    """Return the memory that a process has allocated, in MB.

    Of memory that n processes share, such as that of a template and its copies, each has 1/n.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss_Anon:")).split()[1]) / 1000


@contextmanager
def running(collection: Path, options: Sequence[str]) -> Iterator[Service]:
    """Run `attendex serve` as a process; print the time until it is ready."""
    command = [sys.executable, "-m", "service", "serve", str(collection), "--port", "0", "--set", "log.requests=false"]
    started = time.perf_counter()
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        threading.Thread(target=process.stderr.read, daemon=True).start()  # empty the pipe, or the service would block
        while not _ready(url):
            time.sleep(0.02)
        print(f"ready after {time.perf_counter() - started:.2f} s")
        try:
            yield Service(url, psutil.Process(process.pid), collection.resolve().name)
        finally:
            process.terminate()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def loads(collection: str, callers: Sequence[int], modes: Sequence[str]) -> Iterator[Load]:
    """Yield each mode with each number of callers, then embeddings."""
    path = f"/v1/collections/{collection}/search"
    for mode in modes:
        for count in callers:
            yield Load(f"search, {mode}", count, path, {"mode": mode, "k": 10})
    for count in sorted({*callers, 16}):
        yield Load("embeddings, one short text", count, EMBEDDINGS, {"model": "default"})


def bodies(load: Load, queries: Sequence[str], number: int) -> list[str]:
    """Return distinct requests.

    The queries repeat; each time another word of theirs replaces the last word.
    """
    key = "input" if load.path.endswith("/embeddings") else "query"
    written = json.dumps if load.method == "POST" else urlencode
    words = sorted({word for query in queries for word in query.split()})
    places = range(number * REQUESTS, (number + 1) * REQUESTS)
    starts = [query.rpartition(" ")[0] for query in queries]
    texts = (f"{starts[i % len(queries)]} {words[(i // len(queries) + i) % len(words)]}" for i in places)
    return [written({key: text[:200], **load.body}) for text in texts]


def measure(
    service: Service, load: Load, queries: Sequence[str], seconds: float, number: int, again_s: float = 0.01
) -> Seen:
    """Run one load and print its line."""
    asked = bodies(load, queries, number)
    memory, cpu = service.anonymous_mb(), service.cpu_s()
    seen = run_load(Orders(service.url, load.path, asked, load.callers, seconds, again_s=again_s, method=load.method))
    answered = len(seen.latencies_ms)
    p50, p95, p99 = np.percentile(seen.latencies_ms, [50, 95, 99]) if answered else (np.nan,) * 3
    errors = sum(count for status, count in seen.statuses.items() if not status.startswith("2"))
    latencies = f"{p50:.1f} | {p95:.1f} | {p99:.1f}"
    spent = f"{(service.cpu_s() - cpu) / max(1, answered) * 1000:.2f} | {memory:.0f} → {service.anonymous_mb():.0f}"
    print(
        f"| {load.name} | {load.callers} | {answered / seen.seconds:.0f} | {latencies} | {errors} | {spent} |",
        flush=True,
    )
    return seen


HEADER = """
| load | callers | requests/s | p50 ms | p95 ms | p99 ms | errors | CPU ms a request | memory MB |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def table(
    service: Service, queries: Sequence[str], seconds: float, callers: Sequence[int], modes: Sequence[str]
) -> None:
    """Measure every load, each after a short warm-up."""
    print(HEADER)
    for place, load in enumerate(loads(service.collection, callers, modes)):
        warm = bodies(load, queries, 0)
        run_load(Orders(service.url, load.path, warm, load.callers, 1.0))
        measure(service, load, queries, seconds, place + 1)


def compared(collection: Path, queries: Sequence[str], processes: Sequence[int], arguments: argparse.Namespace) -> None:
    """Measure services with several numbers of processes in turn, load by load."""
    loads_of = [int(each) for each in arguments.callers.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        services = []
        for number in processes:
            copy = (
                shutil.copytree(collection, folder / str(number) / collection.name) if arguments.writes else collection
            )
            options = [*arguments.serve, "--processes", str(number)]
            services.append(stack.enter_context(running(copy, options)))
            if arguments.writes:
                client = stack.enter_context(httpx.Client())
                work = partial(add_document, client, services[-1], queries)
                stack.enter_context(in_the_background(work, arguments.writes))
        print(HEADER)
        for place, load in enumerate(loads(collection.name, loads_of, arguments.modes.split(","))):
            seen = []
            for number, service in zip(processes, services, strict=True):
                named = replace(load, name=f"{load.name}, {number} processes")
                run_load(Orders(service.url, load.path, bodies(load, queries, 0), load.callers, 1.0))
                seen.append(measure(service, named, queries, arguments.seconds, place + 1))
            rates = [len(each.latencies_ms) / each.seconds for each in seen]
            p99s = [np.percentile(each.latencies_ms, 99) for each in seen]
            print(f"  {rates[-1] / rates[0]:.2f} × as many requests; p99 {p99s[-1] / p99s[0]:.2f} ×", flush=True)


def overload(service: Service, queries: Sequence[str], seconds: float, mode: str) -> None:
    """Measure normal load, ten times that load, and normal load one second later.

    160 callers make the flood. A refused caller asks again after a pause that brings ten times the normal rate;
    `Retry-After` would make it wait for a second.
    """
    path = f"/v1/collections/{service.collection}/search"
    print(HEADER)
    normal = Load("normal", 8, path, {"mode": mode, "k": 10})
    run_load(Orders(service.url, path, bodies(normal, queries, 0), 8, 2.0))
    before = measure(service, normal, queries, 10, 1)
    again_s = FLOOD / (10 * len(before.latencies_ms) / before.seconds)
    flood = measure(service, Load("ten times as much", FLOOD, path, normal.body), queries, seconds, 2, again_s)
    time.sleep(1)
    after = measure(service, Load("one second later", 8, path, normal.body), queries, 10, 3)
    p99 = [np.percentile(seen.latencies_ms, 99) for seen in (before, flood)]
    refused = np.percentile(flood.refusals_ms, [50, 99]) if flood.refusals_ms else (0.0, 0.0)
    asked = sum(flood.statuses.values()) / flood.seconds / (len(before.latencies_ms) / before.seconds)
    print(f"\nthe flood asked {asked:.1f} × as often as is answered normally")
    print(f"accepted p99 under the flood: {p99[1] / p99[0]:.1f} × normal (at most 3)")
    print(f"statuses under the flood: {flood.statuses}; refusals took {refused[0]:.1f} ms, p99 {refused[1]:.1f} ms")
    rates = [len(seen.latencies_ms) / seen.seconds for seen in (before, after)]
    print(f"one second later: {rates[1] / rates[0]:.2f} of the normal speed")


def soak(service: Service, queries: Sequence[str], seconds: float, mode: str) -> None:
    """Measure mixed load for long; compare memory with that after the first tenth."""
    path = f"/v1/collections/{service.collection}/search"
    print(HEADER)
    measured: list[float] = []
    errors = 0
    for part in range(10):
        load = Load("search", 8, path, {"mode": mode, "k": 10})
        if part % 3 == 2:
            load = Load("embeddings, one short text", 8, EMBEDDINGS, {"model": "default"})
        seen = measure(service, load, queries, seconds / 10, part + 1)
        errors += sum(count for status, count in seen.statuses.items() if status != "200")
        measured.append(service.anonymous_mb())
    growth = measured[-1] / measured[0] - 1
    print(f"\nmemory {measured[0]:.0f} → {measured[-1]:.0f} MB: {growth:+.1%} (at most +3 %); errors: {errors}")


def adding(service: Service, queries: Sequence[str], seconds: float, mode: str) -> None:
    """Measure one caller alone, then while ten documents a second are added.

    Each document becomes searchable as soon as possible.
    """
    path = f"/v1/collections/{service.collection}/search"
    load = Load("alone", 1, path, {"mode": mode, "k": 10})
    print(HEADER)
    run_load(Orders(service.url, path, bodies(load, queries, 0), 1, 2.0))
    before = measure(service, load, queries, seconds, 1)
    with (
        httpx.Client() as client,
        in_the_background(lambda number: add_document(client, service, queries, number), ADDED_PER_SECOND) as added,
    ):
        during = measure(service, Load("while adding", 1, path, load.body), queries, seconds, 2)
    p99 = [np.percentile(seen.latencies_ms, 99) for seen in (before, during)]
    print(f"\n{added[0] / during.seconds:.1f} documents a second were added; p99 {p99[1] / p99[0]:.1f} × (at most 2)")


def add_document(client: httpx.Client, service: Service, queries: Sequence[str], number: int) -> None:
    """Send a document and do not wait for its change."""
    document = {"id": f"added-{number}", "text": " ".join(queries[number % len(queries) :][:8])}
    url = f"{service.url}/v1/collections/{service.collection}/documents"
    client.post(url, json={"documents": [document]}).raise_for_status()


@contextmanager
def in_the_background(work: Callable[[int], None], rate: float) -> Iterator[list[int]]:
    """Call `work` with a counter, `rate` times a second, while the block runs.

    Yields a list with the number of calls.
    """
    done, stop = [0], threading.Event()

    def loop() -> None:
        started = time.perf_counter()
        while not stop.wait(max(0.0, started + (done[0] + 1) / rate - time.perf_counter())):
            work(done[0])
            done[0] += 1

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def main() -> None:
    """Parse, start, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("queries", type=Path, help="JSONL with a field `text`")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--callers", default="1,8,32")
    parser.add_argument("--modes", default="dense,lexical,hybrid")
    parser.add_argument("--mode", default="hybrid", help="of --overload, --soak and --adding")
    parser.add_argument("--overload", action="store_true")
    parser.add_argument("--adding", action="store_true")
    parser.add_argument("--processes", default="", metavar="1,2", help="numbers of processes to compare")
    parser.add_argument("--writes", type=float, default=0.0, help="documents a second to add meanwhile")
    parser.add_argument("--soak", type=float, metavar="SECONDS")
    parser.add_argument("--serve", action="append", default=[], metavar="OPTION", help="option of `attendex serve`")
    arguments = parser.parse_args()
    queries = [json.loads(line)["text"] for line in arguments.queries.read_text(encoding="utf-8").splitlines()]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("command:", " ".join(["python -m benchmarks.service", *sys.argv[1:]]))
    if arguments.processes:
        compared(arguments.collection, queries, [int(each) for each in arguments.processes.split(",")], arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        collection = arguments.collection
        if arguments.adding:
            collection = shutil.copytree(collection, Path(folder) / "copy")
        start(collection, queries, arguments)


def start(collection: Path, queries: Sequence[str], arguments: argparse.Namespace) -> None:
    """Run the service and the chosen measurement."""
    with running(collection, arguments.serve) as service:
        if arguments.adding:
            adding(service, queries, max(20.0, arguments.seconds), arguments.mode)
        elif arguments.soak:
            soak(service, queries, arguments.soak, arguments.mode)
        elif arguments.overload:
            overload(service, queries, max(30.0, arguments.seconds), arguments.mode)
        else:
            callers = [int(each) for each in arguments.callers.split(",")]
            table(service, queries, arguments.seconds, callers, arguments.modes.split(","))


if __name__ == "__main__":
    main()
