"""Make each process serve a change before its caller learns that it is done.

The writer announces a publication: it wakes each other process with a datagram, and all open the new generation at the
same time. When they have noted the publication in their rows, the writer notes it for the service, and answers. A
process that is behind this number, because it was late, catches up before it answers the next request.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.processes.peers import Peers
from service.processes.shared_numbers import SERVICE_ROW, Column, ProcessState, ServiceColumn

WAIT_S = 5.0  # for the other processes; one that is later catches up before its next answer
POLL_S = 0.001


class Publications:
    """The publications of a service, seen from one of its processes."""

    def __init__(self, peers: Peers, refresh: Callable[[], None]) -> None:
        self._peers = peers
        self._refresh = refresh
        self._own = peers.numbers.row(peers.row)
        self._service = peers.numbers.row(SERVICE_ROW)
        self._catching_up = threading.Lock()
        self._publishing = threading.Lock()

    @property
    def is_behind(self) -> bool:
        """Whether another process serves something newer, and its caller knows."""
        return bool(self._own[Column.PUBLICATION] < self._service[ServiceColumn.PUBLICATION])

    def catch_up(self) -> None:
        """Serve everything that was announced.  Blocks."""
        with self._catching_up:
            while self._own[Column.PUBLICATION] < (announced := self._service[ServiceColumn.ANNOUNCED]):
                self._refresh()
                self._own[Column.PUBLICATION] = announced

    def publish(self) -> None:
        """Serve what this process, the writer, has changed, in all processes.  Blocks."""
        if self._peers.folder is None:
            self._refresh()
            return
        with self._publishing:
            announced = self._service[ServiceColumn.ANNOUNCED] + 1
            self._service[ServiceColumn.ANNOUNCED] = announced
            wake_others(self._peers, self._peers.folder)
            self.catch_up()
            deadline = time.monotonic() + WAIT_S
            while self._others_lack(announced) and time.monotonic() < deadline:
                time.sleep(POLL_S)
            self._service[ServiceColumn.PUBLICATION] = announced

    def _others_lack(self, publication: float) -> bool:
        numbers = self._peers.numbers
        return any(
            numbers.row(each.row)[Column.PUBLICATION] < publication
            for each in self._peers.states()
            if each.state in (ProcessState.READY, ProcessState.RETIRING)  # one that starts catches up before
        )


def waking_socket(peers: Peers, folder: Path) -> socket.socket:
    """Return a socket that becomes readable when something was published."""
    path = _path(folder, peers.row)
    path.unlink(missing_ok=True)
    waking = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    waking.setblocking(False)
    waking.bind(str(path))
    path.chmod(0o600)
    return waking


def wake_others(peers: Peers, folder: Path) -> None:
    """Tell the other processes that something was published."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        for each in peers.states():
            if each.pid != os.getpid():
                with suppress(OSError):  # it is starting or ending, or was woken already
                    sending.sendto(b"!", str(_path(folder, each.row)))


def _path(folder: Path, row: int) -> Path:
    return folder / f"wake-{row}.sock"
