"""The number of processors.

A process that is one of several of a service has a share of the machine; its parent writes it to the environment.
"""

from __future__ import annotations

import os

SHARE_VARIABLE = "ATTENDEX_CORES"  # processors that the process should keep busy
ALONE_VARIABLE = "ATTENDEX_CORES_ALONE"  # processors that it may use for a text while nothing else waits


def cores() -> int:
    """Return the number of processors that this process should keep busy."""
    return _given(SHARE_VARIABLE) or _machine()


def cores_alone() -> int:
    """Return the number of processors for one text while nothing else waits."""
    return _given(ALONE_VARIABLE) or cores()


def _given(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else 0


def _machine() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
