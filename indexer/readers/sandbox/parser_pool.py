"""Parse files in other processes, in order, so that no file can end the run.

A thread drives each process: it sends a file, waits for messages, and replaces the process if it dies, hangs or meets
its memory limit. The messages of a file wait in a short queue, so that parsing runs a little ahead of the reader.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar, cast

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem, UnreadPart
from indexer.readers.sandbox.wire import (
    OUT_OF_MEMORY,
    pack_options,
    read_frame,
    unpack_bad,
    unpack_document,
    write_frame,
)
from retrieval.errors import BadDocument
from retrieval.util.temporaries import temporary_folder

MAX_QUEUED_MESSAGES = 64  # of one file
FILES_PER_PROCESS = 500  # then a new process starts, in case a parser leaks memory
EXIT_SECONDS = 5.0  # a process may take so long to exit after it closes its pipe
PUT_SECONDS = 0.2  # wait for a full queue, then check whether the pool closes
FRAME_BYTES_PER_TEXT_BYTE = 8  # a frame holds a text, its sections, and the escapes of JSON
SINGLE_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_THREAD_LIMIT",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ARROW_IO_THREADS",
)

SCRATCH = "attendex-read"

T = TypeVar("T")


def scratch_folder() -> contextlib.AbstractContextManager[Path]:
    """Return a private folder for temporary files, in the system's folder."""
    return temporary_folder(Path(tempfile.gettempdir()) / SCRATCH)


@dataclass(frozen=True, slots=True)
class FileStarted:
    """The first message of a file that has a reader: its format."""

    format: str


@dataclass(frozen=True, slots=True)
class FileEnded:
    """The last message of a file."""

    skipped: str = ""  # the reason why it holds no documents; "" if it was read


ParserMessage: TypeAlias = ReadItem | UnreadPart | FileStarted | FileEnded


@dataclass(slots=True)
class ParserTask:
    """A file that the pool parses."""

    path: Path
    origin: DocumentOrigin
    options: ReadOptions
    messages: queue.Queue[ParserMessage] = field(default_factory=lambda: queue.Queue(MAX_QUEUED_MESSAGES))


class PoolClosed(Exception):
    """The pool was closed while it parsed a file."""


class ParserPool:
    """At most `workers` parser processes, started on demand; a context manager."""

    def __init__(self, workers: int, limits: ReadLimits) -> None:
        self._limits = limits
        self._tasks: queue.SimpleQueue[ParserTask | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._scratch = contextlib.ExitStack()
        scratch = str(self._scratch.enter_context(scratch_folder()))
        self._threads = [_ParserThread(self._tasks, self._closing, scratch, limits) for _ in range(workers)]

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, task: ParserTask) -> None:
        """Queue a file. `messages` yields its messages."""
        for thread in self._threads:
            if not thread.is_alive() and thread.ident is None:
                thread.start()
                break
        self._tasks.put(task)

    def messages(self, task: ParserTask) -> Iterator[ParserMessage]:
        """Yield FileStarted (if the file has a reader), its items, then FileEnded."""
        while True:
            message = task.messages.get()
            yield message
            if isinstance(message, FileEnded):
                return

    def close(self) -> None:
        """Stop at once: kill the processes and remove their temporary files."""
        self._closing.set()
        for thread in self._threads:
            self._tasks.put(None)
            thread.stop()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._scratch.close()


class _ParserThread(threading.Thread):
    """Drives one parser process after another."""

    def __init__(
        self,
        tasks: queue.SimpleQueue[ParserTask | None],
        closing: threading.Event,
        scratch: str,
        limits: ReadLimits,
    ) -> None:
        super().__init__(daemon=True, name="attendex-parser")
        self._tasks = tasks
        self._closing = closing
        self._scratch = scratch
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._files = 0

    def run(self) -> None:
        """Parse files until the pool is closed."""
        with contextlib.suppress(PoolClosed):
            while (task := self._tasks.get()) is not None and not self._closing.is_set():
                self._parse(task)
        self._end_process()

    def stop(self) -> None:
        """Kill the process, so that a wait for it ends."""
        if (process := self._process) is not None:
            _kill(process)

    def _parse(self, task: ParserTask) -> None:
        end = FileEnded()
        try:
            end = self._exchange(task)
        except BadDocument as error:
            self._end_process()
            self._put(task, BadDocument(str(error), path=task.origin.path))
        except PoolClosed:
            raise
        except Exception as error:  # the reader waits for FileEnded, even after invalid bytes
            self._end_process()
            self._put(task, BadDocument(f"the parser's answer broke off: {error}", path=task.origin.path))
        self._put(task, end)
        if self._files >= FILES_PER_PROCESS:
            self._end_process()

    def _exchange(self, task: ParserTask) -> FileEnded:
        """Send the file and pass on the messages. Raises BadDocument if the process dies."""
        process = self._ready_process()
        self._files += 1
        request = {
            "path": os.fsencode(task.path).hex(),  # its bytes need not be text
            "shown": task.origin.path,
            "name": task.origin.name,
            "options": pack_options(task.options),
        }
        with contextlib.suppress(BrokenPipeError):
            write_frame(cast(BinaryIO, process.stdin), request)
        max_bytes = FRAME_BYTES_PER_TEXT_BYTE * self._limits.text_bytes
        with Watchdog(partial(_kill, process), self._limits.wall_seconds) as watchdog:
            while True:
                message = watchdog.watch(read_frame, cast(BinaryIO, process.stdout), max_bytes)
                if message is None:
                    raise BadDocument(self._exit_reason(process, watchdog.timed_out))
                if "end" in message:
                    return FileEnded(**message["end"])
                if "alive" not in message:
                    self._put(task, _unpack(message, task.origin))

    def _exit_reason(self, process: subprocess.Popen[bytes], timed_out: bool) -> str:
        status = _exit_status(process)
        self._process = None
        _close_pipes(process)
        if self._closing.is_set():
            raise PoolClosed
        memory = f"{self._limits.memory_bytes >> 20:,} MB of memory"
        if timed_out:
            return f"the parser gave no sign of life for {self._limits.wall_seconds} s"
        if status == OUT_OF_MEMORY:
            return f"needs more than {memory} to be read"
        if status == -getattr(signal, "SIGXCPU", 24):
            return f"needs more than {self._limits.cpu_seconds} s of computing time to be read"
        if status == -signal.SIGABRT:
            return f"the parser gave up, as it does when {memory} are too little"
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

    def _put(self, task: ParserTask, message: ParserMessage) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                task.messages.put(message, timeout=PUT_SECONDS)
                return
        raise PoolClosed


class Watchdog(threading.Thread):
    """Calls `end` once if one wait takes longer than `seconds`; a context manager."""

    def __init__(self, end: Callable[[], None], seconds: float) -> None:
        super().__init__(daemon=True, name="attendex-watchdog")
        self._end = end
        self._seconds = seconds
        self._waiting_since: float | None = None
        self._dismissed = threading.Event()
        self.timed_out = False

    def __enter__(self) -> Watchdog:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._dismissed.set()

    def watch(self, wait: Callable[..., T], *arguments: Any) -> T:
        """Return the result of `wait`, which must return soon after `end` is called."""
        self._waiting_since = time.monotonic()
        try:
            return wait(*arguments)
        finally:
            self._waiting_since = None

    def run(self) -> None:
        """Sleep until the current wait would be too long, then check it."""
        remaining = self._seconds
        while not self._dismissed.wait(remaining):
            since = self._waiting_since
            remaining = self._seconds - (time.monotonic() - since if since is not None else 0.0)
            if remaining <= 0:
                self.timed_out = True
                self._end()
                return


def _unpack(message: dict[str, Any], origin: DocumentOrigin) -> ParserMessage:
    if "begin" in message:
        return FileStarted(**message["begin"])
    if "unread" in message:
        return UnreadPart(**message["unread"])
    return unpack_document(message["document"]) if "document" in message else unpack_bad(message["bad"], origin)


def _start(scratch: str) -> subprocess.Popen[bytes]:
    """Start a parser process with one thread for each library."""
    roots = os.pathsep.join([str(Path(__file__).resolve().parents[3]), *filter(None, sys.path)])
    single_thread = dict.fromkeys(SINGLE_THREAD_VARIABLES, "1")
    environment = {**os.environ, **single_thread, "TMPDIR": scratch, "PYTHONPATH": roots, "PYTHONHASHSEED": "0"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "indexer.readers.sandbox.worker", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C goes to the command, which then closes the pool
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its children, such as tesseract."""
    if process.poll() is None and hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _exit_status(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status. Kills a process that closed its pipe and does not exit."""
    try:
        return process.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.wait()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
