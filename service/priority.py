"""Threads that give way: what is done beside requests is not to slow them down."""

from __future__ import annotations

import os
import threading

LOW_PRIORITY = 10  # as `nice` has it


def lower_priority() -> None:
    """Give the calling thread a low priority, where the system can."""
    if hasattr(os, "setpriority"):  # on Linux the number of a thread works like that of a process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
