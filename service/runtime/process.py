"""Settings of the process: OpenMP threads, memory, open files, thread priority.

glibc gives each thread its own arena, up to eight for each core. Each arena keeps freed memory in pieces, and under
changing load the number of pieces grows for a long time. With another C library the memory functions do nothing.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
import threading

ARENAS = 2  # enough: mostly the one thread that holds the interpreter allocates
_M_ARENA_MAX = -8  # of malloc.h


def prepare_process() -> None:
    """Prepare a process that serves, before it imports the heavy libraries."""
    gc.disable()  # until the server has started: a fifth of the CPU time of all imports
    set_up_openmp()
    share_arenas()


def set_up_openmp() -> None:
    """Run each search on one OpenMP thread, and let no thread spin while it waits.

    Requests run in parallel, not the parts of one request: two spinning threads for each search cost fifteen times the
    CPU of one. The OpenMP library reads the variables when it is loaded, so call this before the imports that load it.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share_arenas() -> None:
    """Let threads share arenas.  Call this before they start."""
    if sys.platform == "linux" and (set_option := getattr(ctypes.CDLL(None), "mallopt", None)):
        set_option(_M_ARENA_MAX, ARENAS)


def give_back_memory() -> None:
    """Return unused memory from the C library to the system."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def max_open_files() -> int:
    """Return the number of files and connections that the process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_open_files(wanted: int) -> None:
    """Let the process open so many files, as far as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > max_open_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


LOW_PRIORITY = 10  # as `nice` has it


def lower_priority() -> None:
    """Give the calling thread a low priority, so that it does not slow requests.

    Linux only: elsewhere a thread's number is not that of a process.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
