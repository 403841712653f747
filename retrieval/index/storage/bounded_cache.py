"""What was made or read lately, kept in memory up to a size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, of at most `most` together, in a unit of the caller's.  Safe to call from several threads.

    Emptied when the next value would not fit: what is asked for often is soon there again, and to find a value costs
    no more than a look into a dict.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._values: dict[K, V] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value, if it is here."""
        return self._values.get(key)

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value, unless it alone is too large."""
        if size > self._most:
            return
        with self._lock:
            if key in self._values:
                return
            if self._size + size > self._most:
                self._values = {}
                self._size = 0
            self._values[key] = value
            self._size += size

    def all_of(
        self, keys: Sequence[K], read: Callable[[Sequence[K]], Sequence[V]], size: Callable[[V], int]
    ) -> list[V]:
        """The value of each key; those that are not here are read, all at once, and kept."""
        values = self._values
        found = {key: values[key] for key in keys if key in values}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            for key, value in zip(missing, read(missing), strict=True):
                found[key] = value
                self.put(key, value, size(value))
        return [found[key] for key in keys]
