"""The demo of `make demo-ray`: kill a process that ranks, and the answers stay.

It serves four shards with two replicas each on two nodes.  The nodes of the Ray cluster are processes of this machine.
The documents are those of `make demo`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from benchmarks.demo.__main__ import EXAMPLES, check_port, service
from benchmarks.demo.commands import DemoError, fail, run
from benchmarks.demo.stdlib import write_documents
from indexer.cluster.connection import ENVIRONMENT, LOOPBACK, LOOPBACK_ONLY, import_ray
from retrieval.errors import MissingExtra

NODES, SHARDS, REPLICAS = 2, 4, 2
SEARCHES = 30  # after the death of a process
NODE = {
    "num_cpus": 1,
    "node_ip_address": LOOPBACK,
    "object_store_memory": 80 << 20,
    "include_dashboard": False,
    "dashboard_host": LOOPBACK,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.demo.ray_demo", description="Serve shards, and kill one.")
    parser.add_argument("--port", type=int, default=8080, help="port of the service (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where the files go (default: %(default)s)")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        check_port(options.port, "demo-ray")
        _demo(console, options.folder, options.port)
    except (DemoError, MissingExtra) as error:
        return fail(error)
    except KeyboardInterrupt:
        console.print("\nstopped")
    return 0


def _demo(console: Console, folder: Path, port: int) -> None:
    documents, collection = folder / "python.jsonl", folder / "python-shards"
    console.rule(f"{SHARDS} shards", align="left")
    console.print(f"{write_documents(documents):,} documents → {documents}\n")
    shutil.rmtree(collection, ignore_errors=True)
    run(console, "index", documents, "--into", collection, "--shards", SHARDS)
    console.rule(f"{NODES} nodes, {REPLICAS} processes for each shard", align="left")
    with _cluster() as cluster:
        words = ["--engine", "ray", "--ray-address", cluster.address, "--replicas", str(REPLICAS)]
        with service(console, collection, port, words) as (base, _):
            before = [_search(base, question) for question in EXAMPLES]
            for question, ids in zip(EXAMPLES, before, strict=True):
                console.print(f"[bold]“{question}”[/bold]  {', '.join(ids)}")
            replicas = _replicas(cluster)
            console.print(f"\n{len(replicas)} processes rank; killing process {replicas[0]}")
            os.kill(replicas[0], signal.SIGKILL)
            after = [_search(base, EXAMPLES[number % len(EXAMPLES)]) for number in range(SEARCHES)]
            same = sum(ids == before[number % len(EXAMPLES)] for number, ids in enumerate(after))
            console.print(f"{same} of {SEARCHES} searches after it have the same answer")


@contextmanager
def _cluster() -> Iterator[Any]:
    """Start a cluster of nodes on this machine, with a token of its own."""
    os.environ.update({**ENVIRONMENT, **LOOPBACK_ONLY, "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    import_ray()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        for _ in range(NODES - 1):
            cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()


def _replicas(cluster: Any) -> list[int]:
    """Return the process ids of the replicas of shards."""
    raylets = {str(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()}
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    lines = (line.split(maxsplit=2) for line in listed.splitlines())
    return sorted(int(pid) for pid, parent, name in lines if parent in raylets and name.startswith("ray::ShardReplica"))


def _search(base: str, question: str) -> list[str]:
    """Return the ids of the best hits."""
    body = {"query": question, "k": 3}
    response = httpx.post(f"{base}/v1/collections/python-shards/search", json=body, timeout=60)
    if response.status_code != 200:
        raise DemoError(f"the service answered {response.status_code} to {question!r}: {response.text}")
    return [hit["id"] for hit in response.json()["hits"]]


if __name__ == "__main__":
    sys.exit(main())
