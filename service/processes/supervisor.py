"""The parent of a service: it starts, watches and replaces the workers.

It imports none of the heavy libraries and answers no requests. It binds the port once, and the workers accept from the
inherited socket. A template (`template.py`) makes them. Each is in a process group of its own, so that Ctrl-C reaches
only the parent, which passes signals on.
"""

from __future__ import annotations

import logging
import os
import select
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from service.observability.logs import LOGGER
from service.processes.shared_numbers import SERVICE_ROW, Column, ProcessState, ServiceColumn, SharedNumbers
from service.processes.template import Orphans, Template, WorkerProcess, pause_after

ENDING = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (*ENDING, signal.SIGHUP, signal.SIGCHLD)
RETIRE = signal.SIGUSR1  # tells a worker that another has its place
TICK_S = 0.05
STUCK_S = 60.0  # without a sign of life
LATE_S = 5.0  # after the grace period

StartWorker = Callable[[int, int], WorkerProcess | None]  # in a row, with a number; None: not yet possible


@dataclass(slots=True, eq=False)
class Worker:
    """A running worker."""

    number: int  # from 1
    row: int  # of the shared numbers
    process: WorkerProcess
    replaced: Worker | None = None  # whose place it takes when it is ready
    was_ready: bool = False
    ends: bool = False  # it was told to end


class Supervisor:
    """Keeps `processes` workers running, until a signal ends the service."""

    def __init__(
        self,
        template: Template,
        start_worker: StartWorker,
        numbers: SharedNumbers,
        processes: int,
        grace_s: float,
        on_started: Callable[[], None],
    ) -> None:
        self._template = template
        self._start_worker = start_worker
        self._on_started = on_started  # called once, when all workers are ready
        self._orphans = Orphans()
        self._numbers = numbers
        self._service = numbers.row(SERVICE_ROW)
        self._service[ServiceColumn.PID] = os.getpid()
        self._service[ServiceColumn.PROCESSES] = processes
        self._grace_s = grace_s
        self._workers: list[Worker] = []
        self._due: dict[int, float] = dict.fromkeys(range(1, processes + 1), 0.0)  # when to start a worker
        self._failures: dict[int, int] = {}  # starts in a row that failed, by number
        self._to_replace: deque[Worker] = deque()
        self._replacing = False
        self._ends_at: float | None = None  # by the monotonic clock
        self._status = 0
        self._logger = logging.getLogger(LOGGER)

    def run(self) -> int:
        """Return the exit status of the service."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for kind in SIGNALS:
            signal.signal(kind, lambda _kind, _frame: None)
        while self._ends_at is None or self._workers:
            select.select([reading], [], [], TICK_S)
            with suppress(BlockingIOError):
                for number in os.read(reading, 64):
                    self._on_signal(signal.Signals(number))
            self._reap()
            if self._ends_at is None:
                self._watch()
                self._watch_template()
                self._start_due()
                self._replace_next()
            elif monotonic() > self._ends_at + LATE_S:
                self._signal_all(signal.SIGKILL)
        self._template.renew()
        return self._status

    def _on_signal(self, kind: signal.Signals) -> None:
        if kind in ENDING and self._ends_at is not None:
            self._signal_all(signal.SIGKILL)
            signal.signal(kind, signal.SIG_DFL)
            os.kill(os.getpid(), kind)
        elif kind in ENDING:
            self._end(kind)
        elif kind == signal.SIGHUP and self._ends_at is None:
            self._logger.info("replacing the workers one by one")
            self._replacing = True
            self._template.renew()
            self._to_replace.extend(worker for worker in self._workers if not worker.ends and not worker.replaced)

    def _end(self, kind: signal.Signals) -> None:
        self._ends_at = monotonic() + self._grace_s
        for worker in self._workers:
            worker.ends = True
        self._signal_all(kind)

    def _signal_all(self, kind: signal.Signals) -> None:
        for worker in self._workers:
            worker.process.send_signal(kind)

    def _start_due(self) -> None:
        for number, due in list(self._due.items()):
            if monotonic() >= due and self._start(number, None):
                del self._due[number]

    def _start(self, number: int, replaced: Worker | None) -> bool:
        """Start a worker; return False while there is no row or no template."""
        taken = {worker.row for worker in self._workers}
        row = next((each for each in self._numbers.rows if each not in taken), None)
        if row is None:
            return False
        cells = self._numbers.row(row)
        cells[Column.NUMBER] = number
        if (process := self._start_worker(row, number)) is None:
            return False
        cells[Column.STATE], cells[Column.PID] = ProcessState.STARTING, process.pid
        self._workers.append(Worker(number, row, process, replaced))
        return True

    def _watch(self) -> None:
        """Note the workers that became ready; end those that are stuck."""
        for worker in self._workers:
            cells = self._numbers.row(worker.row)
            if not worker.was_ready and cells[Column.STATE] == ProcessState.READY:
                self._became_ready(worker)
            if worker.was_ready and monotonic() - cells[Column.HEARTBEAT] > STUCK_S:
                self._log("a worker is stuck; ending it", worker)
                worker.process.kill()
        if not self._service[ServiceColumn.STARTED] and not self._due and all(each.was_ready for each in self._workers):
            self._service[ServiceColumn.STARTED] = 1
            self._on_started()

    def _watch_template(self) -> None:
        """Note that the code of a worker cannot be imported."""
        if (status := self._template.failure()) is None:
            return
        if not self._service[ServiceColumn.STARTED]:
            self._end_without_start(status)
            return
        self._logger.error("the code of a worker does not start", extra={"fields": {"status": status}})
        if self._replacing:
            self._keep_present()

    def _keep_present(self) -> None:
        """Give up the replacement of the workers."""
        self._to_replace.clear()
        self._replacing = False
        self._service[ServiceColumn.NOT_REPLACED] += 1

    def _end_without_start(self, status: int) -> None:
        self._status = status if status > 0 else 1  # as with a single process; the process has told why
        self._end(signal.SIGTERM)

    def _became_ready(self, worker: Worker) -> None:
        worker.was_ready = True
        self._failures.pop(worker.number, None)
        if (old := worker.replaced) is not None:
            worker.replaced = None
            old.ends = True
            if old in self._workers:
                old.process.send_signal(RETIRE)

    def _replace_next(self) -> None:
        """Start the next new worker as soon as the one before is ready."""
        if not self._replacing or any(worker.replaced for worker in self._workers):
            return
        if not self._to_replace:
            self._replacing = False
            self._service[ServiceColumn.REPLACED] += 1
            self._logger.info("all workers are replaced")
        elif self._to_replace[0] not in self._workers or self._to_replace[0].ends:
            self._to_replace.popleft()  # it ended, and another was started
        elif self._start(self._to_replace[0].number, self._to_replace[0]):
            self._to_replace.popleft()

    def _reap(self) -> None:
        """Note the workers that ended, and plan new ones."""
        for worker in [each for each in self._workers if each.process.poll() is not None]:
            self._workers.remove(worker)
            self._numbers.clear(worker.row)
            if self._ends_at is None and not worker.ends:
                self._lost(worker)
        self._orphans.reap()

    def _lost(self, worker: Worker) -> None:
        status = worker.process.returncode or 0
        if any(each.replaced is worker for each in self._workers):
            self._log("a worker ended before it was replaced", worker, status=status)
        elif worker.replaced is not None and worker.replaced in self._workers:
            self._keep_present()
            self._log("a new worker did not start; the present ones stay", worker, status=status)
        elif not worker.was_ready and not self._service[ServiceColumn.STARTED]:
            self._end_without_start(status)
        else:
            self._service[ServiceColumn.RESTARTS] += 1
            failures = self._failures[worker.number] = (
                0 if worker.was_ready else self._failures.get(worker.number, 0) + 1
            )
            pause = pause_after(failures)
            self._due[worker.number] = monotonic() + pause
            self._log("a worker ended; starting another", worker, status=status, pause_s=pause)

    def _log(self, message: str, worker: Worker, **fields: object) -> None:
        all_fields = {"worker": worker.number, "pid": worker.process.pid, **fields}
        self._logger.error(message, extra={"fields": all_fields})
