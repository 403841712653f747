"""Measure a service with several processes.

    python -m benchmarks.processes COLLECTION QUERIES.jsonl memory     # of one process, and of each further worker
    python -m benchmarks.processes COLLECTION QUERIES.jsonl kill       # 20 workers killed under load
    python -m benchmarks.processes COLLECTION QUERIES.jsonl restart    # the workers replaced under load
    python -m benchmarks.processes COLLECTION QUERIES.jsonl fresh      # a document searched for right after its change
    python -m benchmarks.processes COLLECTION QUERIES.jsonl attention  # time, size and memory of /attention

Each prints one line for a table. `python -m benchmarks.service … --processes 1,2` measures the speed; there,
`--serve=--processes=2` adds processes to `--soak`. Changes go to a copy of the collection.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import psutil

from benchmarks.load import Orders, Seen, run_load
from benchmarks.service import Service, anonymous_mb, running
from service.commands.worker import WORKER_NAME

CALLERS = 8
KILLS = 20
SECONDS_A_KILL = 5.0  # of the load
SETTLE_S = 10.0  # in which workers warm up their encoders
NOTICE_S = 0.1  # in which the parent learns of a death
PAIRS = 10_000


def is_whole(service: Service) -> bool:
    """Check whether all workers are ready."""
    try:
        answer = httpx.get(f"{service.url}/readyz", timeout=5)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and not answer.json()["warnings"]


def wait_until_whole(service: Service) -> float:
    """Return the seconds until all workers are ready."""
    started = time.perf_counter()
    while not is_whole(service):
        time.sleep(0.02)
    return time.perf_counter() - started


def loaded(service: Service, queries: Sequence[str], seconds: float) -> tuple[threading.Thread, list[Seen]]:
    """Start a load of searches; the list gets its result when the thread ends."""
    found: list[Seen] = []
    bodies = [json.dumps({"query": query, "k": 10}) for query in queries]
    orders = Orders(service.url, f"/v1/collections/{service.collection}/search", bodies, CALLERS, seconds)
    thread = threading.Thread(target=lambda: found.append(run_load(orders)))
    thread.start()
    return thread, found


def memory(collection: Path, _queries: Sequence[str]) -> None:
    """Print the anonymous memory at ready: of one process, of two, of three."""
    with running(collection, []) as service:
        time.sleep(SETTLE_S)
        alone = service.anonymous_mb()
    found = []
    for processes in (2, 3):
        with running(collection, ["--processes", str(processes)]) as service:
            wait_until_whole(service)
            time.sleep(SETTLE_S)
            found.append([round(anonymous_mb(each.pid)) for each in service.processes()])
    further = sum(found[1]) - sum(found[0])
    print(f"one process {alone:.0f} MB; parent, template and workers {found}; a further worker {further} MB")


def kill(collection: Path, queries: Sequence[str], kills: int = KILLS) -> None:
    """Kill workers in turn under load; print the failed requests and the times."""
    with running(collection, ["--processes", "2"]) as service:
        wait_until_whole(service)
        thread, found = loaded(service, queries, kills * SECONDS_A_KILL)
        times: list[float] = []
        while len(times) < kills and thread.is_alive():
            time.sleep(1)
            random.choice([each for each in service.processes() if each.name() == WORKER_NAME]).kill()
            time.sleep(NOTICE_S)
            times.append(NOTICE_S + wait_until_whole(service))
        thread.join()
    print(
        f"{len(times)} workers killed under load: whole again after {max(times):.1f} s at most; answers by status: "
        f"{found[0].statuses} ({CALLERS} callers)"
    )


def restart(collection: Path, queries: Sequence[str]) -> None:
    """Replace the workers under load; print the failed requests."""
    with running(collection, ["--processes", "2"]) as service:
        wait_until_whole(service)
        thread, found = loaded(service, queries, 40)
        time.sleep(2)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "service", "restart", str(collection)], check=True, capture_output=True)
        took = time.perf_counter() - started
        thread.join()
    print(f"replaced in {took:.1f} s under load; answers by status: {found[0].statuses}")


def fresh(collection: Path, _queries: Sequence[str], pairs: int = PAIRS) -> None:
    """Search for each document right after its change; print the stale answers."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(collection, Path(folder) / collection.name)
        with running(copy, ["--processes", "2"]) as service:
            wait_until_whole(service)
            stale, took = fresh_pairs(service, pairs)
    print(
        f"{pairs} documents searched for right after their change: {stale} stale, {took / pairs * 1000:.0f} ms a pair"
    )


def fresh_pairs(service: Service, pairs: int) -> tuple[int, float]:
    """Return the stale answers of `pairs` at random workers, and the seconds."""
    path = f"{service.url}/v1/collections/{service.collection}"
    clients = [httpx.Client(timeout=30) for _ in range(4)]
    stale, started = 0, time.perf_counter()
    for number in range(pairs):
        word = f"zq{number}x"
        body = {"documents": [{"id": f"fresh-{number % 100}", "text": f"the word {word}"}]}
        changed = random.choice(clients).post(f"{path}/documents", params={"wait": True}, json=body)
        changed.raise_for_status()
        search = {"query": word, "mode": "lexical", "k": 1, "typos": False}
        found = random.choice(clients).post(f"{path}/search", json=search).json()
        stale += [hit["id"] for hit in found["hits"]] != [f"fresh-{number % 100}"]
    for client in clients:
        client.close()
    return stale, time.perf_counter() - started


def attention(collection: Path, queries: Sequence[str]) -> None:
    """Print the time of the first and of later calls, the size and the memory."""
    with running(collection, []) as service:
        path = f"{service.url}/v1/collections/{service.collection}"
        hits = httpx.post(f"{path}/search", json={"query": queries[0], "k": 20}).json()["hits"]
        before, times, sizes = service.anonymous_mb(), [], []
        for hit in hits:
            body = {"query": queries[0], "id": hit["id"], "layer": 3}
            started = time.perf_counter()
            answer = httpx.post(f"{path}/attention", json=body, headers={"Accept-Encoding": "gzip"}, timeout=60)
            times.append((time.perf_counter() - started) * 1000)
            sizes.append(int(answer.headers["content-length"]) / 1000)
            one = httpx.post(f"{path}/attention", json={**body, "heads": [0]}, headers={"Accept-Encoding": "identity"})
        after = service.anonymous_mb()
        loads_torch = any("libtorch" in each.path for each in psutil.Process(service.process.pid).memory_maps())
    print(
        f"first call {times[0]:.0f} ms, later {max(times[1:]):.0f} ms at most; "
        f"all heads {max(sizes):.0f} kB with gzip, one head {len(zlib.compress(one.content, 5)) / 1000:.0f} kB; "
        f"memory {before:.0f} → {after:.0f} MB; torch {'loaded' if loads_torch else 'not loaded'}"
    )


ROWS: dict[str, Callable[[Path, Sequence[str]], None]] = {
    "memory": memory,
    "kill": kill,
    "restart": restart,
    "fresh": fresh,
    "attention": attention,
}


def main() -> None:
    """Print the rows that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("queries", type=Path, help="JSONL with a field `text`")
    parser.add_argument("rows", nargs="+", choices=list(ROWS))
    arguments = parser.parse_args()
    queries = [json.loads(line)["text"] for line in arguments.queries.read_text(encoding="utf-8").splitlines()]
    for row in arguments.rows:
        ROWS[row](arguments.collection, queries)


if __name__ == "__main__":
    main()
