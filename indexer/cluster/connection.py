"""Connect to a Ray cluster, or start one on this machine.

Ray asks for a token of each process of the cluster, and its dashboard does not run.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retrieval.errors import ClusterError, InputError, MissingExtra

ENVIRONMENT = {  # of this process and of those that Ray starts, unless the user sets another value
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
LOOPBACK = "127.0.0.1"
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray then binds and finds addresses of loopback alone


def import_ray() -> Any:
    """Return the module `ray`, with authentication switched on.  Raises MissingExtra."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "--engine ray") from None
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to the cluster at `address` and yield the module `ray`.

    An empty address means that of the variable RAY_ADDRESS, or else a cluster of this machine alone, which ends with
    the block.  Raises InputError, ClusterError, MissingExtra.
    """
    address = address or os.environ.get("RAY_ADDRESS", "")
    if not address or address.rpartition(":")[0] in (LOOPBACK, "localhost"):
        os.environ.update(LOOPBACK_ONLY)  # before Ray is imported
    if "://" in address:
        raise InputError(f"{address}: Ray clients are not supported; run on a node of the cluster, and give HOST:PORT")
    if not address:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of the processes of this cluster alone
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    try:
        start(ray, address)
        yield ray
    finally:
        ray.shutdown()


def start(ray: Any, address: str) -> None:
    """Connect, or start a cluster of this machine alone."""
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
        else:
            ray.init(
                address="local",
                _node_ip_address=LOOPBACK,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="warning",
            )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"cannot use the Ray cluster at {address or 'this machine'}: {error}; start it with `ray start --head`, "
            "and give every process the same token (docs/scale.md)"
        ) from error
