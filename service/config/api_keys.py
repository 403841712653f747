"""API keys with roles and collections.

The file keeps digests only. A key is 256 random bits, so a plain SHA-256 cannot be reversed by guessing, and no slow
hash is needed. The digest of a presented key is compared with every kept digest in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from stat import S_IMODE
from typing import Any

from retrieval.errors import SettingsError
from retrieval.util.files import Files, locked
from retrieval.util.temporaries import replace_atomically

PREFIX = "ax_"
WAIT_S = 10.0  # while another command changes the same file
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Role(IntEnum):
    """The role of a key; each role includes the rights of the roles below it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the file keeps it.  Empty `collections` means all collections."""

    name: str
    role: str
    digest: str
    collections: tuple[str, ...] = ()
    created: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request."""

    name: str
    role: Role
    collections: tuple[str, ...] = ()

    def may_access(self, collection: str) -> bool:
        """Check whether the collection is in the caller's scope."""
        return not self.collections or collection in self.collections


ANONYMOUS = Caller("", Role.ADMIN)  # if no key is configured


class KeyRing:
    """The keys of a file and of the settings.  A changed file is read again."""

    def __init__(self, file: Path | None, extra: str | None) -> None:
        self._file = file
        self._extra = (ApiKey("settings", "admin", digest_of(extra)),) if extra else ()
        self._stamp: tuple[int, int] | None = None
        self._keys: tuple[ApiKey, ...] = self._extra
        self.reload()

    @property
    def open(self) -> bool:
        """Whether no key is needed, because none is configured."""
        return self._file is None and not self._extra

    def reload(self) -> None:
        """Read the file if it changed.  Raises SettingsError, and keeps the present keys."""
        if self._file is None:
            return
        try:
            status = self._file.stat()
        except OSError as error:
            raise SettingsError(f"the key file {self._file} cannot be read ({error.strerror})") from error
        stamp = status.st_ino, status.st_mtime_ns
        if stamp != self._stamp:
            self._keys = (*self._extra, *read_keys(self._file))
            self._stamp = stamp

    def caller(self, presented: str) -> Caller | None:
        """Return the key's caller or None, in constant time."""
        digest = digest_of(presented)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return Caller(found.name, Role[found.role.upper()], found.collections) if found else None


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def read_keys(file: Path) -> tuple[ApiKey, ...]:
    """Return the keys of a file; none if it does not exist.  Raises SettingsError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return tuple(_key(entry) for entry in content["keys"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{file} is not a key file ({error!r}); make one with `attendex keys add`") from error


def _key(kept: dict[str, Any]) -> ApiKey:
    key = ApiKey(**{**kept, "collections": tuple(kept["collections"])})
    texts = (key.name, key.role, key.digest, key.created, *key.collections)
    if not all(isinstance(text, str) for text in texts) or not _DIGEST.fullmatch(key.digest):
        raise ValueError(f"the entry of the key {key.name!r} is damaged")
    Role[key.role.upper()]
    return key


def write_keys(file: Path, keys: Sequence[ApiKey]) -> None:
    """Replace the file in one step; a new file is readable by its owner only.

    The owner and the permissions of the file stay; a link stays a link.
    """
    content = json.dumps({"keys": [asdict(key) for key in keys]}, indent=1, ensure_ascii=False)
    replace_atomically(file.resolve(), content.encode(), _PrivateFiles(file))


class _PrivateFiles(Files):
    """New files are private, unless they replace a file that was not."""

    mode = 0o600

    def __init__(self, before: Path) -> None:
        self._before = before

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        with suppress(OSError):  # no such file, or it belongs to another user
            status = self._before.stat()
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, S_IMODE(status.st_mode))
        return descriptor


def add_key(file: Path, name: str, role: str, collections: Sequence[str]) -> str:
    """Add a key and return it: it cannot be shown again.  Raises SettingsError."""
    if role.upper() not in Role.__members__:
        raise SettingsError(f"role {role!r} is unknown; choose read, write or admin")
    if not name.strip() or not name.isprintable():
        raise SettingsError(f"{name!r} is no name for a key: it is blank or not printable; choose a plain word")
    secret = PREFIX + secrets.token_urlsafe(32)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    with _changing(file) as keys:
        if any(key.name == name for key in keys):
            raise SettingsError(f"{file} has a key named {name!r} already; choose another name or remove that key")
        write_keys(file, [*keys, ApiKey(name, role.lower(), digest_of(secret), tuple(collections), created)])
    return secret


def rotate_key(file: Path, name: str) -> str:
    """Give the named key a new secret and return it.  Raises SettingsError."""
    secret = PREFIX + secrets.token_urlsafe(32)
    with _changing(file) as keys:
        _require(file, keys, name)
        write_keys(file, [replace(key, digest=digest_of(secret)) if key.name == name else key for key in keys])
    return secret


def remove_key(file: Path, name: str) -> None:
    """Remove the named key.  Raises SettingsError."""
    with _changing(file) as keys:
        _require(file, keys, name)
        write_keys(file, [key for key in keys if key.name != name])


@contextmanager
def _changing(file: Path) -> Iterator[tuple[ApiKey, ...]]:
    """Yield the keys; other processes cannot change them until the block ends."""
    lock = file.with_name(f".{file.name}.lock")
    with locked(lock, wait_s=WAIT_S):
        try:
            yield read_keys(file)
        finally:
            lock.unlink()


def _require(file: Path, keys: Sequence[ApiKey], name: str) -> None:
    if not any(key.name == name for key in keys):
        names = ", ".join(key.name for key in keys) or "none"
        raise SettingsError(f"{file} has no key named {name!r} (keys: {names})")
