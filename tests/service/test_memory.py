"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from service.memory import give_back_memory


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
