"""Numbers that the processes of a service share, in a mapped file.

A row of 64-bit floats belongs to each process. A process writes only its own row, so that no lock is needed; a total is
the sum of a column. The first row belongs to the service as a whole. The parent clears the row of a process that has
ended. With a single process, the numbers are in its own memory.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SERVICE_ROW = 0
NUMBER_BYTES = 8


class Column(IntEnum):
    """The numbers of a process."""

    PID = 0
    STATE = 1  # of ProcessState
    NUMBER = 2  # of the worker, from 1
    HEARTBEAT = 3  # by the monotonic clock
    CONNECTIONS = 4  # that are open
    REQUESTS = 5  # in progress, without the probes
    SEARCH = 6  # searches that need the encoder, waiting or in progress
    LEXICAL = 7
    EMBEDDING = 8
    SHORT_CALLS = 9
    LONG_CALLS = 10
    SEARCH_SHEDS_UNTIL = 11  # by the monotonic clock
    LEXICAL_SHEDS_UNTIL = 12
    EMBEDDING_SHEDS_UNTIL = 13
    PUBLICATION = 14  # the newest that the process serves
    WAITING_SEARCHES = 15
    WAITING_LEXICAL = 16
    WAITING_TEXTS = 17
    WAITING_CHANGES = 18
    FAILED_COLLECTIONS = 19  # whose newest generation cannot be opened
    ANSWERS = 20  # to questions, in progress


SHEDS_UNTIL = {  # of each queue
    Column.SEARCH: Column.SEARCH_SHEDS_UNTIL,
    Column.LEXICAL: Column.LEXICAL_SHEDS_UNTIL,
    Column.EMBEDDING: Column.EMBEDDING_SHEDS_UNTIL,
}


class ServiceColumn(IntEnum):
    """The numbers of the service as a whole, in the first row."""

    PID = 0  # of the parent
    PROCESSES = 1  # that it should have
    STARTED = 2  # 1 after all workers were ready for the first time
    RESTARTS = 3  # of workers that had ended
    REPLACED = 4  # replacements of all workers that were completed
    NOT_REPLACED = 5  # replacements that were given up
    ANNOUNCED = 6  # number of the newest publication
    PUBLICATION = 7  # the newest that all workers serve


class ProcessState(IntEnum):
    """The states of a worker."""

    NONE = 0
    STARTING = 1
    READY = 2
    RETIRING = 3  # it finishes its requests, and another worker has its place
    ENDING = 4  # it answers no more requests


class SharedNumbers:
    """The rows of all processes."""

    def __init__(self, data: bytearray | mmap.mmap) -> None:
        self._cells = memoryview(data).cast("d")

    @classmethod
    def private(cls) -> SharedNumbers:
        """Return the numbers of a service with a single process."""
        return cls(bytearray(2 * len(Column) * NUMBER_BYTES))

    @classmethod
    def create(cls, file: Path, rows: int) -> SharedNumbers:
        """Make the file; only its owner can read it."""
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, (rows + 1) * len(Column) * NUMBER_BYTES)
            return cls(mmap.mmap(descriptor, 0))
        finally:
            os.close(descriptor)

    @classmethod
    def open(cls, file: Path) -> SharedNumbers:
        """Map the file of a running service."""
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            return cls(mmap.mmap(descriptor, 0))
        finally:
            os.close(descriptor)

    @property
    def rows(self) -> range:
        """The rows of processes."""
        return range(1, len(self._cells) // len(Column))

    def column(self, column: Column) -> memoryview[float]:
        """Return a column, as one number for each process; the first is that of row 1."""
        return self._cells[len(Column) + column :: len(Column)]

    def row(self, row: int) -> memoryview[float]:
        """Return the numbers of a process, or of the service."""
        return self._cells[row * len(Column) : (row + 1) * len(Column)]

    def clear(self, row: int) -> None:
        """Set the numbers of a process to zero."""
        self.row(row)[:] = memoryview(bytes(len(Column) * NUMBER_BYTES)).cast("d")


class SharedCount:
    """A number of things in use: in this process, and in all of them.

    The caller makes sure that no two threads change the number at once.  To hold a limit in all processes, add first,
    then compare the total with the limit.
    """

    def __init__(self, numbers: SharedNumbers, column: Column, row: int) -> None:
        self._column = numbers.column(column)
        self._place = row - 1
        self.own = 0

    def add(self, change: int) -> None:
        """Count things that begin (positive) or end (negative)."""
        self.own += change
        self._column[self._place] = self.own

    def total(self) -> int:
        """Return the number of things in all processes."""
        return int(sum(self._column))

    def others(self) -> int:
        """Return the number of things in the other processes."""
        return self.total() - self.own


class SharedTime:
    """The latest of the times that the processes have set."""

    def __init__(self, numbers: SharedNumbers, column: Column, row: int) -> None:
        self._column = numbers.column(column)
        self._place = row - 1

    def set(self, time: float) -> None:
        """Set the time of this process."""
        self._column[self._place] = time

    def latest(self) -> float:
        """Return the latest time; 0 if no process has set one."""
        return float(max(self._column))


WAITING = {  # of each queue
    Column.SEARCH: Column.WAITING_SEARCHES,
    Column.LEXICAL: Column.WAITING_LEXICAL,
    Column.EMBEDDING: Column.WAITING_TEXTS,
}


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """The numbers of a queue that all processes have in common."""

    items: SharedCount  # that wait or are in progress
    waiting: SharedCount
    sheds_until: SharedTime  # the end of load shedding
