"""End a child process when its parent dies, however that dies; name a process.

Linux sends the signal when the *thread* that started the child ends, so that thread must live as long as the child.
Elsewhere a parser process ends when it has parsed its file, since its standard input is closed then.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of sys/prctl.h
_PR_SET_NAME = 15


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent process dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)


def name_process(name: str) -> None:
    """Give this process a name of at most 15 letters, which `ps` and `top` show."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
