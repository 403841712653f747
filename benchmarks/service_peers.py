"""Measure other services under the loads of service.py.

    python -m venv TXTAI && TXTAI/bin/pip install "txtai[api]==9.14.0"
    python -m venv INFINITY
    INFINITY/bin/pip install "infinity-emb[torch,server]==0.0.78" "optimum>=1.24,<2" "transformers<4.49"
    python -m benchmarks.service_peers COLLECTION SCIFACT --txtai TXTAI --infinity INFINITY --work FOLDER

Each peer runs in its own virtual environment, with the packaged encoder and its own defaults; requests, callers and
counting are the same. SCIFACT is a folder in BEIR layout. txtai's index of it is made once, which takes minutes, and
kept
in FOLDER. Attendex is measured on COLLECTION, the same documents, before and after the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.load import Orders, run_load
from benchmarks.service import EMBEDDINGS, HEADER, Load, Service, bodies, measure, running
from retrieval.encoder.checkpoint.hub import DEFAULT, locate

START_TIMEOUT_S = 120.0
WARM_S = 1.0
SEARCHERS, EMBEDDERS = (1, 8), (1, 16, 32)  # callers
INDEX = """
import json, sys
from txtai import Embeddings
corpus, encoder, index = sys.argv[1:]
documents = map(json.loads, open(corpus, encoding="utf-8"))
embeddings = Embeddings(hybrid=True, content=True, path=encoder)
embeddings.index((each["_id"], each["title"] + " " + each["text"]) for each in documents)
embeddings.save(index)
"""


@contextmanager
def serving(command: Sequence[str], port: int, ready: str, environment: Mapping[str, str]) -> Iterator[Service]:
    """Run a peer as a process, once it answers `ready`."""
    url, started = f"http://127.0.0.1:{port}", time.perf_counter()
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", **environment}
    with subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not _answers(url + ready):
                if process.poll() is not None or time.perf_counter() > started + START_TIMEOUT_S:
                    raise SystemExit(f"{command[0]} did not start; run it by hand: {' '.join(command)}")
                time.sleep(0.1)
            yield Service(url, psutil.Process(process.pid), "")
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def txtai(environment: Path, scifact: Path, work: Path) -> tuple[list[str], dict[str, str], int]:
    """Return command, variables and port of txtai's API over its own index.

    The index is made if it does not exist.
    """
    index, encoder = work / "txtai-index", str(locate(DEFAULT))
    if not index.exists():
        making = [str(environment / "bin" / "python"), "-c", INDEX, str(scifact / "corpus.jsonl"), encoder, str(index)]
        subprocess.run(making, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    settings = work / "txtai.yml"
    settings.write_text(f"path: {index}\nwritable: false\nembeddings:\n  path: {encoder}\n")
    port = free_port()
    command = [str(environment / "bin" / "uvicorn"), "txtai.api:app", "--port", str(port), "--no-access-log"]
    return command, {"CONFIG": str(settings)}, port


def infinity(environment: Path) -> tuple[list[str], int]:
    """Return command and port of infinity with its torch engine."""
    port = free_port()
    command = [str(environment / "bin" / "infinity_emb"), "v2", "--model-id", str(locate(DEFAULT))]
    command += ["--served-model-name", "default", "--engine", "torch", "--device", "cpu", "--port", str(port)]
    return command, port


def table(name: str, service: Service, loads: Sequence[Load], queries: Sequence[str], seconds: float) -> None:
    """Print the lines of one service; a short load that is not counted precedes each."""
    for number, load in enumerate(loads, start=1):
        warm = bodies(load, queries, 0)
        run_load(Orders(service.url, load.path, warm, load.callers, WARM_S, method=load.method))
        named = Load(f"{name}: {load.name}", load.callers, load.path, load.body, load.method)
        measure(service, named, queries, seconds, number)


def ours(collection: Path, queries: Sequence[str], seconds: float) -> None:
    """Measure Attendex under the same loads."""
    with running(collection, []) as service:
        path = f"/v1/collections/{service.collection}/search"
        loads = [Load("search, hybrid", callers, path, {"mode": "hybrid", "k": 10}) for callers in SEARCHERS]
        loads += [Load("one short text", callers, EMBEDDINGS, {"model": "default"}) for callers in EMBEDDERS]
        table("Attendex", service, loads, queries, seconds)


def main() -> None:
    """Parse the arguments; measure one service after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path, help="SciFact, indexed by `attendex index`")
    parser.add_argument("scifact", type=Path, help="folder in BEIR layout")
    parser.add_argument("--txtai", type=Path, help="virtual environment")
    parser.add_argument("--infinity", type=Path, help="virtual environment")
    parser.add_argument("--work", type=Path, default=Path("peers"), help="folder for txtai's index")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    lines = (arguments.scifact / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line)["text"] for line in lines]
    arguments.work.mkdir(parents=True, exist_ok=True)
    print("command:", " ".join(["python -m benchmarks.service_peers", *sys.argv[1:]]))
    print(HEADER)
    ours(arguments.collection, queries, arguments.seconds)
    if arguments.txtai:
        command, variables, port = txtai(arguments.txtai, arguments.scifact, arguments.work.resolve())
        with serving(command, port, "/search?query=vaccine", variables) as service:
            loads = [Load("search, hybrid", callers, "/search", {"limit": 10}, "GET") for callers in SEARCHERS]
            table("txtai", service, loads, queries, arguments.seconds)
    if arguments.infinity:
        command, port = infinity(arguments.infinity)
        with serving(command, port, "/health", {}) as service:
            loads = [Load("one short text", callers, "/embeddings", {"model": "default"}) for callers in EMBEDDERS]
            table("infinity", service, loads, queries, arguments.seconds)
    ours(arguments.collection, queries, arguments.seconds)


if __name__ == "__main__":
    main()
