"""The private folder of a running service, with its sockets and numbers.

It is below the runtime directory of the user, so that `attendex restart` finds it. The parent locks a file in it; the
folder of a parent that has died is removed by the next one.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval.errors import SettingsError

SERVICE_FILE = "service.json"
LOCK_FILE = "parent.lock"


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service with several processes, as its folder describes it."""

    pid: int  # of the parent
    directory: str  # the collections that it serves
    url: str


@contextmanager
def runtime_folder() -> Iterator[Path]:
    """Make the folder of a service; remove it at the end.  Raises SettingsError."""
    base = _base()
    for folder in _folders(base):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="serve-", dir=base))
    descriptor = os.open(folder / f"{LOCK_FILE}.new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        (folder / f"{LOCK_FILE}.new").rename(folder / LOCK_FILE)  # it is locked before `_is_abandoned` finds it
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def describe_service(folder: Path, service: RunningService) -> None:
    """Write what `running_services` reads."""
    (folder / SERVICE_FILE).write_text(json.dumps(asdict(service)), encoding="utf-8")


def running_services() -> Iterator[tuple[Path, RunningService]]:
    """Yield the folders and services of this user.  Raises SettingsError."""
    for folder in _folders(_base()):
        if not _is_abandoned(folder):
            with suppress(OSError, ValueError, TypeError):
                yield folder, RunningService(**json.loads((folder / SERVICE_FILE).read_text(encoding="utf-8")))


def _base() -> Path:
    """Return the folder of all services of this user; only the user may use it."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    parent, name = (given, "attendex") if given and Path(given).is_dir() else (tempfile.gettempdir(), None)
    base = Path(parent) / (name or f"attendex-{os.getuid()}")
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        status = base.lstat()
    except OSError as error:
        raise SettingsError(f"{base} cannot be made ({error.strerror}); set XDG_RUNTIME_DIR or TMPDIR") from error
    if base.is_symlink() or not base.is_dir() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise SettingsError(f"{base} is not a private folder of this user; remove it, or set XDG_RUNTIME_DIR")
    return base


def _folders(base: Path) -> list[Path]:
    return sorted(base.glob("serve-*"))


def _is_abandoned(folder: Path) -> bool:
    """Check whether the parent has died: then its lock is free."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # it is being made or removed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
