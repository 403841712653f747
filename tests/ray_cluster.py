"""A Ray cluster of several nodes, all processes of this machine, bound to 127.0.0.1 and with a token."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from indexer.cluster.connection import ENVIRONMENT, LOOPBACK, LOOPBACK_ONLY

ROOT = Path(__file__).resolve().parent.parent
STORE_BYTES = 80 << 20  # of shared memory of a node, the least that Ray takes
NODE = {
    "node_ip_address": LOOPBACK,
    "object_store_memory": STORE_BYTES,
    "include_dashboard": False,
    "dashboard_host": LOOPBACK,
}


@contextmanager
def changed_environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def running_cluster(nodes: int = 2, cpus: int = 1) -> Iterator[Any]:
    """Start a cluster; yield it.  Its processes import the packages of this checkout."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"RAY_AUTH_TOKEN": secrets.token_hex(32), "PYTHONPATH": os.pathsep.join(paths)}
    with changed_environment({**ENVIRONMENT, **LOOPBACK_ONLY, **own}):
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, **NODE})
        try:
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=cpus, **NODE)
            yield cluster
        finally:
            cluster.shutdown()
