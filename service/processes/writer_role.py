"""The right to change collections, which one process of a service has.

The kernel's lock on a file gives it: when its holder ends, however that ends, another process can take it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITER_LOCK = "writer.lock"


class WriterRole:
    """The right of this process to change collections.  Belongs to one event loop."""

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / WRITER_LOCK
        self._descriptor: int | None = None
        self.is_held = folder is None  # a single process always has it
        self.changes = 0  # requests that change something and are being answered here

    def try_take(self) -> bool:
        """Take the role unless another process has it."""
        if self._file is not None and self._descriptor is None:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._descriptor = descriptor
        self.is_held = True
        return True

    def stop_taking(self) -> None:
        """Let other processes wait for the role; the changes that run here go on."""
        self.is_held = False

    def give_up(self) -> None:
        """Let another process take the role."""
        self.is_held = False
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextmanager
    def changing(self, changes: bool) -> Iterator[None]:
        """Count a request if it changes something."""
        self.changes += changes
        try:
            yield
        finally:
            self.changes -= changes
