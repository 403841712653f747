"""The processes of a service, seen from one of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from time import monotonic

from service.processes.shared_numbers import (
    SERVICE_ROW,
    SHEDS_UNTIL,
    WAITING,
    Column,
    ProcessState,
    QueueNumbers,
    ServiceColumn,
    SharedCount,
    SharedNumbers,
    SharedTime,
)
from service.processes.shared_times import SharedTimes

NUMBERS_FILE = "numbers"
WRITER_SOCKET = "writer.sock"
METRICS_FOLDER = "metrics"


@dataclass(frozen=True, slots=True)
class PeerState:
    """A worker, as the others see it."""

    number: int
    pid: int
    row: int
    state: ProcessState

    @property
    def accepts(self) -> bool:
        """Whether it accepts connections."""
        return self.state is ProcessState.READY


class Peers:
    """This process and the other workers of its service."""

    def __init__(
        self,
        numbers: SharedNumbers,
        row: int,
        folder: Path | None = None,
        writer_listener: socket | None = None,
    ) -> None:
        self.numbers = numbers
        self.row = row
        self.writer_listener = writer_listener  # where the process with the writer's role accepts requests
        self.folder = folder  # of the sockets and files of the service; None for a single process
        self._own = numbers.row(row)
        self._counts: dict[Column, SharedCount] = {}
        self._service = numbers.row(SERVICE_ROW)

    @classmethod
    def alone(cls) -> Peers:
        """Return those of a service with a single process."""
        return cls(SharedNumbers.private(), 1)

    @property
    def is_alone(self) -> bool:
        """Whether the service has a single process."""
        return self.folder is None

    @property
    def processes(self) -> int:
        """The number of workers that the service should have."""
        return max(1, int(self._service[ServiceColumn.PROCESSES]))

    def count(self, column: Column) -> SharedCount:
        """Return a number that holds over all workers."""
        if column not in self._counts:
            self._counts[column] = SharedCount(self.numbers, column, self.row)
        return self._counts[column]

    def queue(self, items: Column) -> QueueNumbers:
        """Return the numbers of a queue."""
        sheds_until = SharedTime(self.numbers, SHEDS_UNTIL[items], self.row)
        return QueueNumbers(self.count(items), self.count(WAITING[items]), sheds_until)

    def times(self, name: str) -> SharedTimes | None:
        """Return a table of times that all workers share; None for a single process."""
        return None if self.folder is None else SharedTimes(self.folder / f"times-{name}")

    def share(self, limit: int) -> int:
        """Return this process's part of a limit, rounded up."""
        return -(-limit // self.processes)

    def enter(self, state: ProcessState) -> None:
        """Tell the others what this process does from now on."""
        self._own[Column.PID] = os.getpid()
        self.beat()
        self._own[Column.STATE] = state

    def beat(self) -> None:
        """Tell the parent that this process is not stuck."""
        self._own[Column.HEARTBEAT] = monotonic()

    @property
    def parent(self) -> int:
        """The process id of the parent."""
        return int(self._service[ServiceColumn.PID])

    @property
    def started(self) -> bool:
        """Whether all workers were ready once."""
        return bool(self._service[ServiceColumn.STARTED])

    @property
    def restarts(self) -> int:
        """The number of workers that ended and were started again."""
        return int(self._service[ServiceColumn.RESTARTS])

    def missing(self) -> int:
        """Return the number of workers that should be ready and are not."""
        if self.is_alone:
            return 0
        ready = {each.number for each in self.states() if each.state is ProcessState.READY}
        return max(0, self.processes - len(ready))

    def states(self) -> Iterator[PeerState]:
        """Yield the workers that run, this one included."""
        for row in self.numbers.rows:
            cells = self.numbers.row(row)
            if cells[Column.PID]:
                state = ProcessState(int(cells[Column.STATE]))
                yield PeerState(int(cells[Column.NUMBER]), int(cells[Column.PID]), row, state)

    def excess_connections(self) -> int:
        """Return by how many connections this worker exceeds its part, if by several."""
        open_ = self.numbers.column(Column.CONNECTIONS)
        of_each = [open_[each.row - 1] for each in self.states() if each.accepts]
        excess = int(self._own[Column.CONNECTIONS]) - math.ceil(sum(of_each) / max(1, len(of_each)))
        return excess if excess > 1 else 0

    def has_fewest_connections(self) -> bool:
        """Check whether each other worker that accepts has more connections.

        Among workers with equally many connections, the first comes first.
        """
        open_ = self.numbers.column(Column.CONNECTIONS)
        own = self._own[Column.CONNECTIONS], self._own[Column.NUMBER]
        return all(own <= (open_[each.row - 1], each.number) for each in self.states() if each.accepts)
