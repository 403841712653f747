"""Temporary files and folders that show whether their process lives.

A process keeps a lock (`flock`) on each of its temporaries, and the kernel drops the lock when the process dies.  A
temporary with a free lock is garbage.  The next process that makes a temporary for the same target removes it.
"""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from retrieval.errors import StorageError
from retrieval.util.files import (
    BUFFER_BYTES,
    Files,
    NewFile,
    is_named,
    remove_tree,
    storage_errors,
    try_lock,
    try_share_lock,
)

SUFFIX = ".attendex-tmp"
_NAME = re.compile(rf"\.(?P<target>.+)\.[0-9a-f]{{8}}{re.escape(SUFFIX)}", re.DOTALL)


def temporary_path(target: Path) -> Path:
    """Return a new hidden name beside `target`."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}{SUFFIX}")


@contextmanager
def replacing(target: Path, files: Files) -> Iterator[BinaryIO]:
    """Open a file that replaces `target` durably when the block ends without an error.

    Readers see the old or the new bytes, never a mixture.
    """
    temporary, raw = _new_file(target, files)
    try:
        buffered = io.BufferedWriter(cast(io.RawIOBase, raw), BUFFER_BYTES)
        yield buffered
        buffered.flush()
        raw.sync()
        files.rename(temporary, target)
    except BaseException:
        with suppress(StorageError):  # report the first error
            files.unlink(temporary)
        raise
    finally:
        raw.close()
    files.sync_directory(target.parent)  # the rename itself must survive a power cut


def replace_atomically(path: Path, data: bytes, files: Files | None = None) -> None:
    """Replace a file durably; readers see the old or the new bytes, never a mixture."""
    with replacing(path, files or Files()) as file:
        file.write(data)


@contextmanager
def temporary_folder(target: Path, files: Files | None = None, *, private: bool = True) -> Iterator[Path]:
    """Yield a new folder beside `target`; remove it afterwards.

    If it is private, other users cannot enter it.  The block may rename the folder to `target`.  Folders that dead
    processes left for this target are removed first.
    """
    files = files or Files()
    sweep(target.parent, target.name)
    folder, descriptor = _new_folder(target, files, private=private)
    try:
        yield folder
    finally:
        with suppress(StorageError):  # report the first error
            if folder.exists():
                remove_tree(files, folder)
        os.close(descriptor)


def sweep(folder: Path, target: str = "") -> list[StorageError]:
    """Remove the temporaries of dead processes; return the failures.

    Only those for the file name `target` are removed, if it is given.
    """
    failures = []
    for path in temporaries(folder, target):
        try:
            remove_abandoned(path, Files())
        except StorageError as error:
            failures.append(error)
    return failures


def remove_abandoned(path: Path, files: Files) -> None:
    """Remove a temporary if its process is dead.

    The lock is kept meanwhile: a process that has just made the temporary cannot take it, and makes another one.
    """
    with _unclaimed(path) as is_garbage:
        if is_garbage:
            remove_tree(files, path)


def temporaries(folder: Path, target: str = "") -> list[Path]:
    """Return the temporaries in a folder, in order; none if it cannot be listed."""
    with suppress(OSError):
        found = ((path, _NAME.fullmatch(path.name)) for path in sorted(folder.iterdir()))
        return [path for path, match in found if match and target in ("", match["target"])]
    return []


def is_temporary(name: str) -> bool:
    """Check whether a file name is that of a temporary."""
    return _NAME.fullmatch(name) is not None


def is_abandoned(path: Path) -> bool:
    """Check whether the process that made a temporary is dead.  If in doubt, it lives."""
    with _unclaimed(path) as is_garbage:
        return is_garbage


@contextmanager
def _unclaimed(path: Path) -> Iterator[bool]:
    """Yield whether no process has claimed a temporary; none can meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _can_lock(descriptor, path)
    finally:
        os.close(descriptor)


def _can_lock(descriptor: int, path: Path) -> bool:
    with suppress(StorageError):  # the file system has no locks
        return try_lock(descriptor, path) and is_named(descriptor, path)
    return False


def _new_file(target: Path, files: Files) -> tuple[Path, NewFile]:
    while True:
        path = temporary_path(target)
        raw = NewFile(files, path)
        if _claim(raw.fileno(), path):
            return path, raw
        raw.close()


def _new_folder(target: Path, files: Files, *, private: bool) -> tuple[Path, int]:
    while True:
        path = temporary_path(target)
        files.make_directory(path)
        descriptor = _open_folder(path, private=private)
        if descriptor is None:
            continue
        if _claim(descriptor, path):
            return path, descriptor
        os.close(descriptor)


def _open_folder(path: Path, *, private: bool) -> int | None:
    """Open a new folder; return None if another process has removed it."""
    with storage_errors(path), suppress(FileNotFoundError):
        if private:
            path.chmod(0o700)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return None


def _claim(descriptor: int, path: Path) -> bool:
    """Lock a new temporary; return False if another process removes it."""
    return try_share_lock(descriptor) and is_named(descriptor, path)
