"""A process that has imported the code of a service, and makes workers of it.

To import the code takes a second or more of processor time and some 90 MB.  A template does so once; then it makes each
worker as a copy of itself by `fork`, which takes milliseconds, and the copies share the memory that they do not change.
A template has no threads that a copy would miss: it imports and waits.  The copies are children of the parent, not of
the template, so that a template that dies takes no worker along.

Only Linux hands the children of a dead process to the parent of the service (a *subreaper*), and only there do the
system's own libraries survive a fork.  Elsewhere a template itself becomes the worker, and the parent starts another.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from socket import socket, socketpair
from time import monotonic
from typing import Protocol

FORKS = sys.platform == "linux"
READY = b"ready\n"
REPLY_S = 10.0  # in which a ready template makes a worker
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0  # before a program that ended before it was ready is started again
_PR_SET_CHILD_SUBREAPER = 36  # of sys/prctl.h
_LINE_BYTES = 1_024

StartProgram = Callable[[socket], "subprocess.Popen[bytes]"]  # of a template, given its end of the channel


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a worker in its service."""

    row: int  # of the shared numbers
    cores: int  # that it keeps busy
    cores_alone: int  # that it may use for a text while nothing else waits


class WorkerProcess(Protocol):
    """A running worker, as its parent sees it."""

    pid: int
    returncode: int | None  # None until `poll` has seen the end; negative: a signal

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


class ForkedProcess:
    """A child that another process has made for this one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)


def pause_after(failures: int) -> float:
    """Return the seconds to wait after so many failed starts in a row."""
    return min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1)) if failures else 0.0


class Template:
    """The parent's side of a template: starts it on demand, again after its death."""

    def __init__(self, start_program: StartProgram, *, forks: bool = FORKS) -> None:
        self._start_program = start_program
        self.forks = forks and _takes_orphans()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket | None = None
        self._ready = False
        self._failures = 0  # in a row
        self._due = 0.0  # by the monotonic clock

    def make(self, place: Place) -> WorkerProcess | None:
        """Make a worker; return None if no template is ready for it yet."""
        if self._process is None and monotonic() >= self._due:
            self._start()
        if self._process is None or not (self._ready or self._became_ready()):
            return None
        assert self._channel is not None
        with suppress(OSError):
            self._channel.sendall(json.dumps(asdict(place)).encode() + b"\n")
            if number := self._read_line(REPLY_S):
                self._failures = 0
                return ForkedProcess(int(number)) if self.forks else self._take_over()
        self._failed()  # it has died
        return None

    def renew(self) -> None:
        """Let the next worker come from a new template, which reads the present code."""
        if self._channel is not None:
            self._channel.close()  # the template ends
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self._channel, self._ready = None, None, False

    def failure(self) -> int | None:
        """Return the exit status of a template that ended before it was ready, once."""
        if self._process is None or self._ready or self._process.poll() is None:
            return None
        status = self._process.returncode
        self._failed()
        return status

    def _failed(self) -> None:
        self.renew()
        self._failures += 1
        self._due = monotonic() + pause_after(self._failures)

    def _start(self) -> None:
        own, its = socketpair()
        with its:
            self._process, self._channel = self._start_program(its), own

    def _became_ready(self) -> bool:
        with suppress(OSError):
            self._ready = self._read_line(0) == READY
        return self._ready

    def _read_line(self, seconds: float) -> bytes:
        """Return what the template has sent, b"" after its end or without an answer."""
        assert self._channel is not None
        with selectors.DefaultSelector() as selector:  # `select` refuses the descriptors of a process with many files
            selector.register(self._channel, selectors.EVENT_READ)
            return self._channel.recv(_LINE_BYTES) if selector.select(seconds) else b""

    def _take_over(self) -> subprocess.Popen[bytes] | None:
        """Return the process of the template, which is a worker now."""
        process, self._process = self._process, None
        self.renew()
        return process


def _takes_orphans() -> bool:
    """Let this process adopt the children of dead ones; return whether it does."""
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


class Orphans:
    """Children of dead workers, such as parsers, which the system hands to the parent."""

    def __init__(self) -> None:
        self._last = 0

    def reap(self) -> None:
        """Remove a dead one from the process table, in the second call that finds it.

        Another thread waits for a child that is not an orphan, and has seen its end before the next call.
        """
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is not None and dead.si_pid == self._last:
            with suppress(ChildProcessError):
                os.waitpid(dead.si_pid, os.WNOHANG)
        self._last = dead.si_pid if dead is not None else 0


def next_place(channel: socket, *, forks: bool) -> Place:
    """Wait in a template for orders; return in each worker, the copy of this process.

    The process ends when the parent closes the channel or dies.
    """
    gc.collect()
    gc.freeze()  # a later collection would write to the memory that the copies share
    channel.sendall(READY)
    while line := channel.recv(_LINE_BYTES):
        number = _fork() if forks else os.getpid()
        if number is not None:
            channel.sendall(b"%d\n" % number)
        if number is None or number == os.getpid():
            channel.close()
            return Place(**json.loads(line))
    sys.exit(0)


def _fork() -> int | None:
    """Make a copy of this process; return its number, and None in the copy.

    A process between them forks the copy and ends, so that the copy is a child of the parent.  Raises OSError if the
    system has no room for another process.
    """
    reading, writing = os.pipe()
    if between := os.fork():
        os.close(writing)
        os.waitpid(between, 0)
        number = os.read(reading, _LINE_BYTES)
        os.close(reading)
        if not number:
            raise OSError("no process could be made")
        return int(number)
    between = os.getpid()
    try:
        copy = os.fork()
    except OSError:
        os._exit(1)
    if copy:
        os.write(writing, b"%d\n" % copy)
        os._exit(0)
    os.close(reading)
    os.close(writing)
    os.setpgid(0, 0)  # Ctrl-C reaches only the parent
    while os.getppid() == between:
        time.sleep(0.001)
    return None
