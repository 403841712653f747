"""Parser processes: files go out, documents come back in the order of the files, and no file can end the run.

A thread a process drives it: sends a file, waits for frames, and replaces the process when it dies, hangs or has met
its memory limit.  Answers wait in a short queue a file, so that parsing runs ahead of whoever reads, but not far.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.sandbox.watchdog import Watchdog
from indexer.readers.sandbox.wire import (
    OUT_OF_MEMORY,
    pack_options,
    read_frame,
    unpack_bad,
    unpack_document,
    write_frame,
)
from retrieval.errors import BadDocument

AHEAD = 64  # frames of one file that wait for whoever reads
FILES_A_PROCESS = 500  # then a fresh one, should a parser leak
ENDING_SECONDS = 5.0  # that a process may take to end once it has closed its pipe


@dataclass(frozen=True, slots=True)
class FileStarted:
    """The first answer to a file that is read: what it turned out to be."""

    format: str


@dataclass(frozen=True, slots=True)
class FileEnded:
    """The last answer to a file."""

    skipped: str = ""  # why it holds no documents; "" where it was read


ParserMessage: TypeAlias = ReadItem | FileStarted | FileEnded


@dataclass(slots=True)
class ParserTask:
    """A file on its way through the pool."""

    path: Path
    origin: DocumentOrigin
    options: ReadOptions
    answers: queue.Queue[ParserMessage] = field(default_factory=lambda: queue.Queue(AHEAD))


class PoolClosed(Exception):
    """The pool was closed while a file was being read."""


class ParserPool:
    """At most `workers` parser processes, started when they are needed.  Close it, or use it as a context."""

    def __init__(self, workers: int, limits: ReadLimits) -> None:
        self._limits = limits
        self._tasks: queue.SimpleQueue[ParserTask | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._scratch = tempfile.mkdtemp(prefix="attendex-read-")
        self._drivers = [_ParserThread(self._tasks, self._closing, self._scratch, limits) for _ in range(workers)]

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, task: ParserTask) -> None:
        """Queue a file; its answers come through `answers`."""
        for driver in self._drivers:
            if not driver.is_alive() and driver.ident is None:
                driver.start()
                break
        self._tasks.put(task)

    def answers(self, task: ParserTask) -> Iterator[ParserMessage]:
        """FileStarted where the file is read, its documents and errors, then one FileEnded."""
        while True:
            answer = task.answers.get()
            yield answer
            if isinstance(answer, FileEnded):
                return

    def close(self) -> None:
        """Stop at once: processes are ended, and what they left behind is removed."""
        self._closing.set()
        for driver in self._drivers:
            self._tasks.put(None)
            driver.stop()
        for driver in self._drivers:
            if driver.ident is not None:
                driver.join()
        shutil.rmtree(self._scratch, ignore_errors=True)


class _ParserThread(threading.Thread):
    """Drives one parser process after another."""

    def __init__(
        self, tasks: queue.SimpleQueue[ParserTask | None], closing: threading.Event, scratch: str, limits: ReadLimits
    ) -> None:
        super().__init__(daemon=True, name="attendex-parser")
        self._tasks = tasks
        self._closing = closing
        self._scratch = scratch
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._files = 0

    def run(self) -> None:
        """Work until the pool is closed."""
        with contextlib.suppress(PoolClosed):
            while (task := self._tasks.get()) is not None and not self._closing.is_set():
                self._serve(task)
        self._end_process()

    def stop(self) -> None:
        """Make a wait for the process end."""
        if (process := self._process) is not None:
            _kill(process)

    def _serve(self, task: ParserTask) -> None:
        end = FileEnded()
        try:
            end = self._exchange(task)
        except BadDocument as error:
            self._end_process()
            self._put(task, BadDocument(str(error), path=task.origin.path))
        except PoolClosed:
            raise
        except Exception as error:  # who reads waits for an end, whatever a parser sends
            self._end_process()
            self._put(task, BadDocument(f"the parser's answer broke off: {error}", path=task.origin.path))
        self._put(task, end)
        if self._files >= FILES_A_PROCESS:
            self._end_process()

    def _exchange(self, task: ParserTask) -> FileEnded:
        """Send the file and pass on what comes back; raises BadDocument when the process dies of it."""
        process = self._ready_process()
        self._files += 1
        request = {
            "path": os.fsencode(task.path).hex(),  # which may be no text
            "shown": task.origin.path,
            "name": task.origin.name,
            "options": pack_options(task.options),
        }
        with contextlib.suppress(BrokenPipeError):
            write_frame(cast(BinaryIO, process.stdin), request)
        most_bytes = 8 * self._limits.text_bytes  # a text, its sections, and JSON's escapes
        with Watchdog(partial(_kill, process), self._limits.wall_seconds) as watchdog:
            while True:
                message = watchdog.watch(read_frame, cast(BinaryIO, process.stdout), most_bytes)
                if message is None:
                    raise BadDocument(self._cause(process, watchdog.timed_out))
                if "end" in message:
                    return FileEnded(**message["end"])
                if "alive" not in message:
                    self._put(task, _answer(message, task.origin))

    def _cause(self, process: subprocess.Popen[bytes], timed_out: bool) -> str:
        """Why the process has gone."""
        status = _status(process)
        self._process = None
        _close_pipes(process)
        if self._closing.is_set():
            raise PoolClosed
        if timed_out:
            return f"the parser gave no sign of life for {self._limits.wall_seconds} s"
        if status == OUT_OF_MEMORY:
            return f"needs more than {self._limits.memory_bytes >> 20:,} MB of memory to be read"
        if status == -getattr(signal, "SIGXCPU", 24):
            return f"needs more than {self._limits.cpu_seconds} s of computing time to be read"
        if status == -signal.SIGABRT:
            return (
                f"the parser gave up, as it does when {self._limits.memory_bytes >> 20:,} MB of memory are too little"
            )
        return f"the parser crashed ({signal.Signals(-status).name if status < 0 else f'status {status}'})"

    def _ready_process(self) -> subprocess.Popen[bytes]:
        if self._closing.is_set():
            raise PoolClosed
        if self._process is None or self._process.poll() is not None:
            self._end_process()
            self._process = _start(self._scratch)
            self._files = 0
        return self._process

    def _end_process(self) -> None:
        if (process := self._process) is not None:
            self._process = None
            _kill(process)
            process.wait()
            _close_pipes(process)

    def _put(self, task: ParserTask, answer: ParserMessage) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                task.answers.put(answer, timeout=0.2)
                return
        raise PoolClosed


def _answer(message: dict[str, Any], origin: DocumentOrigin) -> ReadItem | FileStarted:
    if "begin" in message:
        return FileStarted(**message["begin"])
    return unpack_document(message["document"]) if "document" in message else unpack_bad(message["bad"], origin)


def _start(scratch: str) -> subprocess.Popen[bytes]:
    """A fresh parser process, with its own place for temporary files and one thread a library."""
    names = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS")
    single = dict.fromkeys(names, "1")
    roots = os.pathsep.join([str(Path(__file__).resolve().parents[3]), *filter(None, sys.path)])
    environment = {**os.environ, **single, "TMPDIR": scratch, "PYTHONPATH": roots, "PYTHONHASHSEED": "0"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "indexer.readers.sandbox.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the command, which then closes the pool
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """FileEnded the process and what it has started, as tesseract for a page."""
    if process.poll() is None and hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _status(process: subprocess.Popen[bytes]) -> int:
    """The exit status; a process that has closed its pipe and goes on is ended."""
    try:
        return process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.wait()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
