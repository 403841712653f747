"""Set up the process: threads of numerical libraries, memory of freed objects, thread priority."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

ARENAS = 2  # little is allocated at the same time: mostly by the one thread that has the interpreter
_M_ARENA_MAX = -8  # of malloc.h


def set_up_openmp() -> None:
    """One OpenMP thread a search, and none that spins while it waits: callers are what runs in parallel here.

    Read by the OpenMP library when it is loaded, so this stands before the imports of those who load it.  Two spinning
    threads a search cost fifteen times the CPU of one.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share_arenas() -> None:
    """Let threads share arenas; before they are started."""
    if sys.platform == "linux" and (set_option := getattr(ctypes.CDLL(None), "mallopt", None)):
        set_option(_M_ARENA_MAX, ARENAS)


def give_back_memory() -> None:
    """Let the C library return what it does not use."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


LOW_PRIORITY = 10  # as `nice` has it


def lower_priority() -> None:
    """Give the calling thread a low priority, on Linux: elsewhere the number of a thread is that of no process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
