"""A time for each caller, which the processes of a service share.

A table in a mapped file has sets of eight entries: the digest of a caller, and its time. A time that has passed has no
effect, so its entry is free; if a set has no free entry, the caller with the earliest time is forgotten. Changes hold a
lock of the kernel, which frees it if its holder dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path

SETS, WAYS = 2_048, 8
ENTRY_BYTES = 16
TABLE_BYTES = SETS * WAYS * ENTRY_BYTES


class SharedTimes:
    """The times of callers.  Belongs to one event loop of each process."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, TABLE_BYTES)  # the processes agree about the size
        data = memoryview(mmap.mmap(self._descriptor, TABLE_BYTES))
        self._digests = data.cast("Q")[::2]
        self._times = data.cast("d")[1::2]

    def get(self, caller: str) -> float:
        """Return the time of a caller; 0 if it has none."""
        digest = _digest(caller)
        return next((self._times[entry] for entry in _entries(digest) if self._digests[entry] == digest), 0.0)

    def change(self, caller: str, now: float, change: Callable[[float], float]) -> None:
        """Replace the time of a caller by `change` of it, while no other process does."""
        digest = _digest(caller)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            known = [entry for entry in _entries(digest) if self._digests[entry] == digest]
            entry = known[0] if known else min(_entries(digest), key=lambda each: max(now, self._times[each]))
            self._times[entry] = change(self._times[entry] if known else 0.0)
            self._digests[entry] = digest
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


def _digest(caller: str) -> int:
    return int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=8).digest(), "little") | 1  # 0: a free entry


def _entries(digest: int) -> range:
    first = (digest >> 1) % SETS * WAYS
    return range(first, first + WAYS)
