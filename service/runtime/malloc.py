"""What a long-running process keeps of the memory that it has freed.

glibc gives threads arenas of their own, up to eight a core, and keeps in each what was freed there, in pieces; under
changing load the pieces grow in number for a long time.  Nothing happens here where the C library is another.
"""

from __future__ import annotations

import ctypes
import sys

ARENAS = 2  # little is allocated at the same time: mostly by the one thread that has the interpreter
_M_ARENA_MAX = -8  # of malloc.h


def share_arenas() -> None:
    """Let threads share arenas; before they are started."""
    if sys.platform == "linux" and (set_option := getattr(ctypes.CDLL(None), "mallopt", None)):
        set_option(_M_ARENA_MAX, ARENAS)


def give_back_memory() -> None:
    """Let the C library return what it does not use."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
