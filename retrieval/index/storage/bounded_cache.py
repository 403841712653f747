"""A cache in memory with a size limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values by key, with a total size of at most `max_size`.

    The caller chooses the unit of sizes.  If the next value does not fit, all values are dropped: frequent keys return
    soon, and a hit costs no more than a look-up in a dictionary.  Safe to use from several threads.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = 0
        self._values: dict[K, V] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return the cached value, or None."""
        return self._values.get(key)

    def put(self, key: K, value: V, size: int) -> None:
        """Cache a value, unless it alone exceeds the limit."""
        if size > self._max_size:
            return
        with self._lock:
            if key in self._values:
                return
            if self._size + size > self._max_size:
                self._values, self._size = {}, 0
            self._values[key] = value
            self._size += size

    def get_all(
        self, keys: Sequence[K], read: Callable[[Sequence[K]], Sequence[V]], size: Callable[[V], int]
    ) -> list[V]:
        """Return the value of each key; one call of `read` fetches the missing values."""
        values = self._values
        found = {key: values[key] for key in keys if key in values}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            for key, value in zip(missing, read(missing), strict=True):
                found[key] = value
                self.put(key, value, size(value))
        return [found[key] for key in keys]
