"""The number of processors."""

from __future__ import annotations

import os

CORES_VARIABLE = "ATTENDEX_CORES"  # the share of a process that is one of several on the machine


def machine_cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores() -> int:
    """Return the number of processors that this process should keep busy."""
    given = os.environ.get(CORES_VARIABLE, "")
    return max(1, int(given)) if given.isdigit() else machine_cores()
