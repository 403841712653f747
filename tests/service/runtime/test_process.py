"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys

import psutil
import pytest

from service.runtime.process import ARENAS, give_back_memory


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can be asked")
def test_what_was_freed_in_pieces_is_given_back() -> None:
    process = psutil.Process()
    blocks = [bytes(2_000) for _ in range(40_000)]  # each from the C library, one after the other
    last = bytes(2_000)  # behind them, so that what is freed is not at the end
    del blocks
    held = process.memory_info().rss
    give_back_memory()
    assert process.memory_info().rss < held - 40_000_000
    assert len(last) == 2_000


ALLOCATING = """
import ctypes, sys, threading
from service.runtime.process import share_arenas
if sys.argv[1] == "shared":
    share_arenas()
barrier = threading.Barrier(6)
def allocate():
    blocks = [bytes(2_000) for _ in range(1_000)]
    barrier.wait()
    del blocks
threads = [threading.Thread(target=allocate) for _ in range(6)]
for each in threads: each.start()
for each in threads: each.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can be asked")
def test_threads_share_few_arenas() -> None:
    def arenas(how: str) -> int:
        told = subprocess.run([sys.executable, "-c", ALLOCATING, how], capture_output=True, text=True, check=True)
        return len(re.findall(r"^Arena \d+:", told.stderr, re.MULTILINE))

    assert arenas("shared") <= ARENAS < arenas("own")
