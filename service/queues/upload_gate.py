"""Bounds of the number and the disk space of unfinished uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from retrieval.errors import Overloaded
from service.config.upload_settings import UploadSettings

RETRY_S = 5


@dataclass(slots=True, eq=False)
class Receipt:
    """The disk space of an upload that is being received."""

    gate: UploadGate
    reserved: int  # bytes that the sender has announced
    received: int = 0

    def add(self, size_bytes: int) -> None:
        """Count received bytes.  Raises Overloaded if the disk space is used up."""
        self.received += size_bytes
        if self.received > self.reserved:
            self.gate.check(self.received - self.reserved)
            self.reserved = self.received


class UploadGate:
    """Admits uploads.  Belongs to one event loop."""

    def __init__(self, settings: UploadSettings, waiting_bytes: Callable[[], int]) -> None:
        self._settings = settings
        self._waiting_bytes = waiting_bytes
        self._receipts: list[Receipt] = []

    @contextmanager
    def receiving(self, announced_bytes: int) -> Iterator[Receipt]:
        """Admit an upload for a block.  Raises Overloaded."""
        if len(self._receipts) >= self._settings.requests:
            raise Overloaded(
                f"{len(self._receipts)} uploads are being received; try again in a few seconds", retry_after_s=RETRY_S
            )
        self.check(announced_bytes)
        receipt = Receipt(self, announced_bytes)
        self._receipts.append(receipt)
        try:
            yield receipt
        finally:
            self._receipts.remove(receipt)

    def check(self, size_bytes: int) -> None:
        """Raise Overloaded if there is no disk space for further bytes."""
        used = self._waiting_bytes() + sum(receipt.reserved for receipt in self._receipts)
        if used + size_bytes > self._settings.disk_bytes:
            raise Overloaded(
                f"unfinished uploads take {used:,} of {self._settings.disk_bytes:,} bytes on the disk; try again later",
                retry_after_s=RETRY_S,
            )
