"""Threads that give way: what is done beside requests is not to slow them down."""

from __future__ import annotations

import os
import sys
import threading

LOW_PRIORITY = 10  # as `nice` has it


def lower_priority() -> None:
    """Give the calling thread a low priority, on Linux: elsewhere the number of a thread is that of no process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
