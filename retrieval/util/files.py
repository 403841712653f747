"""The only file-system primitives: durable writes, atomic replacement, the write lock.

A writer changes the file system through `Files` alone, one method a step, so that a test can count the steps and make
any one of them fail or be the last.  Each refusal of the operating system becomes a StorageError that names the file.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from retrieval.errors import CollectionLocked, StorageError

_BUFFER_BYTES = 1 << 20
_POLL_S = 0.05


class Files:
    """The steps by which a writer changes the file system."""

    mode = 0o644  # of new files

    def create(self, path: Path) -> int:
        """Open a new file for writing; it must not exist."""
        with storage_errors(path):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.mode)

    def write(self, descriptor: int, path: Path, data: bytes | memoryview) -> int:
        """Write some of `data`; returns how many bytes were taken."""
        with storage_errors(path):
            return os.write(descriptor, data)

    def sync(self, descriptor: int, path: Path) -> None:
        """Make a file's bytes survive a power cut."""
        with storage_errors(path):
            os.fsync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory survive a power cut."""
        with storage_errors(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Replace `target` by `source`, atomically."""
        with storage_errors(target):
            source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """A second name for the same file."""
        with storage_errors(target):
            os.link(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file's name; readers that hold the file keep it."""
        with storage_errors(path):
            path.unlink(missing_ok=True)

    def make_directory(self, path: Path) -> None:
        """A new directory; it may exist."""
        with storage_errors(path):
            path.mkdir(exist_ok=True)

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        with storage_errors(path):
            path.rmdir()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Name `path` in whatever the operating system refuses."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{reason}; what was committed before is untouched", path=path) from error


class _Output(io.RawIOBase):
    """A new file whose writes go through `Files`."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        self._descriptor = files.create(path)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        return self._files.write(self._descriptor, self._path, memoryview(data))

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def sync(self) -> None:
        self._files.sync(self._descriptor, self._path)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


@contextmanager
def writing(files: Files, path: Path) -> Iterator[BinaryIO]:
    """A new file, buffered; fsynced when the block ends well, closed as it is when it does not."""
    raw = _Output(files, path)
    try:
        buffered = io.BufferedWriter(cast(io.RawIOBase, raw), _BUFFER_BYTES)
        yield buffered
        buffered.flush()
        raw.sync()
    finally:
        raw.close()


def write_file(files: Files, path: Path, data: bytes) -> None:
    """A new file with `data`, fsynced; its directory is not."""
    with writing(files, path) as file:
        file.write(data)


def replace_atomically(path: Path, data: bytes, files: Files | None = None) -> None:
    """Readers see the old bytes or the new bytes, never a mixture."""
    files = files or Files()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_file(files, temporary, data)
        files.rename(temporary, path)
    except BaseException:
        with suppress(StorageError):  # the first refusal is the one to report
            files.unlink(temporary)
        raise
    files.sync_directory(path.parent)  # the rename itself must survive a power cut


def remove_tree(files: Files, path: Path) -> None:
    """Remove a directory and all that is in it; links are removed, not followed."""
    with storage_errors(path):
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(files, Path(entry.path))
        else:
            files.unlink(Path(entry.path))
    files.remove_directory(path)


class Lock:
    """One holder at a time, across processes and threads.

    The kernel keeps the lock (`flock`) and drops it when its holder dies, so that a stale one cannot be: the file that
    a dead process leaves behind is simply taken over.  What is written in it only tells others who holds it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next one in."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


@contextmanager
def locked(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` for a block; see `take_lock`."""
    lock = take_lock(path, wait_s=wait_s)
    try:
        yield
    finally:
        lock.release()


def take_lock(path: Path, *, wait_s: float = 0.0) -> Lock:
    """Take the lock file `path`, waiting up to `wait_s`.  Raises CollectionLocked, which names the holder.

    A holder may remove the file before it lets go; who waited for that one looks for the file again.
    """
    deadline = time.monotonic() + wait_s
    while True:
        with storage_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _wait_for_lock(descriptor, path, deadline)
            if _is_at(descriptor, path):
                with storage_errors(path):
                    _sign(descriptor)
                return Lock(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, deadline: float) -> None:
    while not _try_lock(descriptor, path):
        if time.monotonic() >= deadline:
            raise CollectionLocked(f"{path}: held by {_holder(descriptor)}; wait for it to end, then try again")
        time.sleep(_POLL_S)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def lock_is_held(path: Path) -> bool:
    """Whether someone holds the lock file just now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, path)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(f"cannot be locked ({error.strerror})", path=path) from error
    return True


def _sign(descriptor: int) -> None:
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (ValueError, KeyError, TypeError):  # signed a moment later, or never
        return "another process"
