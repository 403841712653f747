"""Memory that a long-running process has freed, given back to the system.

The C library keeps what was freed, in pieces, for each thread that ever allocated; under changing load the pieces grow
in number for a long time.
"""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Let the C library return what it does not use; nothing where it is not glibc."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
