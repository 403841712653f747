"""File-system primitives: durable writes, atomic replacement, locks.

A writer changes the file system only through `Files`, whose methods are single steps.  A test can thus count the steps,
make each of them fail, and stop a writer after each of them.  An error of the operating system becomes a StorageError
that names the file.
"""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from retrieval.errors import CollectionLocked, StorageError

try:
    import fcntl
except ImportError as error:
    raise ImportError("Attendex locks files with fcntl, which Windows lacks; use Linux, macOS or WSL") from error

BUFFER_BYTES = 1 << 20
_POLL_S = 0.05


class Files:
    """The steps by which a writer changes the file system."""

    mode = 0o644  # of new files

    def create(self, path: Path) -> int:
        """Open a new file for writing.  Raises StorageError if it exists."""
        with storage_errors(path):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.mode)

    def write(self, descriptor: int, path: Path, data: bytes | memoryview) -> int:
        """Write a part of `data`; return the number of bytes that were written."""
        with storage_errors(path):
            return os.write(descriptor, data)

    def sync(self, descriptor: int, path: Path) -> None:
        """Make the bytes of a file survive a power cut."""
        with storage_errors(path):
            os.fsync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory survive a power cut."""
        with storage_errors(path):
            sync_path(path, os.O_DIRECTORY)

    def rename(self, source: Path, target: Path) -> None:
        """Replace `target` by `source`, atomically."""
        with storage_errors(target):
            source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        with storage_errors(target):
            os.link(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file's name; a process that has the file open can still read it."""
        with storage_errors(path):
            path.unlink(missing_ok=True)

    def make_directory(self, path: Path) -> None:
        """Make a directory, unless it exists."""
        with storage_errors(path):
            path.mkdir(exist_ok=True)

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        with storage_errors(path):
            path.rmdir()


class PrivateFiles(Files):
    """New files are readable by their owner only."""

    mode = 0o600


def sync_path(path: Path, flags: int = 0) -> None:
    """Make a file's bytes, or a directory's names, survive a power cut (OSError)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{reason}; files that were written before are unchanged", path=path) from error


class NewFile(io.RawIOBase):
    """A new file whose writes go through `Files`."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path
        self._descriptor = files.create(path)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        return self._files.write(self._descriptor, self._path, memoryview(data))

    def fileno(self) -> int:
        return self._descriptor

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
    """Open a new buffered file; fsync it if the block ends without an error."""
    raw = NewFile(files, path)
    try:
        buffered = io.BufferedWriter(cast(io.RawIOBase, raw), BUFFER_BYTES)
        yield buffered
        buffered.flush()
        raw.sync()
    finally:
        raw.close()


def write_file(files: Files, path: Path, data: bytes) -> None:
    """Write a new file and fsync it.  Its directory is not fsynced."""
    with writing(files, path) as file:
        file.write(data)


def remove_tree(files: Files, path: Path) -> None:
    """Remove a file, a link, or a directory and its contents.  No link is followed."""
    if path.is_symlink() or not path.is_dir():
        files.unlink(path)
        return
    with storage_errors(path):
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(files, Path(entry.path))
        else:
            files.unlink(Path(entry.path))
    files.remove_directory(path)


class FileLock:
    """A lock that one thread of one process has at a time.

    The kernel keeps the lock (`flock`) and drops it when its process dies.  There is thus no stale lock: the next
    process takes the lock file that a dead process left.  The file's content only names the owner for error messages.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Give up the lock, so that the next process can take it."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


@contextmanager
def locked(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Take the lock file `path` for a block, as `take_lock` does."""
    lock = take_lock(path, wait_s=wait_s)
    try:
        yield
    finally:
        lock.release()


def take_lock(path: Path, *, wait_s: float = 0.0) -> FileLock:
    """Take the lock file `path`; wait for it up to `wait_s` seconds.

    Raises CollectionLocked, which names the owner.  An owner may remove the file before it gives up the lock; a process
    that waited for the removed file opens the file of that name again.
    """
    deadline = time.monotonic() + wait_s
    while True:
        with storage_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _wait_for_lock(descriptor, path, deadline)
            if is_named(descriptor, path):
                with storage_errors(path):
                    _write_owner(descriptor)
                return FileLock(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, deadline: float) -> None:
    while not try_lock(descriptor, path):
        if time.monotonic() >= deadline:
            raise CollectionLocked(f"{path}: held by {_read_owner(descriptor)}; wait for it to end, then try again")
        time.sleep(_POLL_S)


def is_named(descriptor: int, path: Path) -> bool:
    """Check whether the open file is the file that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def lock_is_held(path: Path) -> bool:
    """Check whether a process has the lock file now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, path)
    finally:
        os.close(descriptor)


def try_share_lock(descriptor: int) -> bool:
    """Make `try_lock` fail until the file is closed; return False if another has it.

    Never waits: the other process may remove the file, or wait for this one.  Without locks in the file system: True.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def try_lock(descriptor: int, path: Path) -> bool:
    """Lock an open file; return False if another process has it.  Raises StorageError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(f"cannot be locked ({error.strerror})", path=path) from error
    return True


def _write_owner(descriptor: int) -> None:
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _read_owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (ValueError, KeyError, TypeError):  # the owner has not written its name yet
        return "another process"
