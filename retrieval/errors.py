"""Errors that Attendex raises for its callers.

A message has the problem, the value and the next step.  Commands print it and exit with 1; the service maps each
class to a status in `service/http/problems.py`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path


class AttendexError(Exception):
    """Base of all errors of Attendex."""


class InputError(AttendexError):
    """An unusable input of the caller."""


class BadQuery(InputError):
    """A search request with an unusable query text, k, offset, mode or weight."""


class ShardedCollection(InputError):
    """A sharded collection, where an operation takes a collection without shards."""


class FilterError(InputError):
    """A filter expression, facet or sort field that does not fit the collection."""


class BadDocument(InputError):
    """An unreadable document; `path` and `line` (from 1) locate it if known."""

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(where + message)
        self.path = path
        self.line = line


class SchemaError(InputError):
    """A metadata value that does not fit its field."""


class BadJudgments(InputError):
    """A run or qrels file that cannot be read."""


class BadMeasure(InputError):
    """A measure that ir-measures does not know or cannot compute."""


class SettingsError(InputError):
    """A setting of the service that does not exist, or a value that it cannot take."""


class EmptyInput(InputError):
    """A missing text."""


class TooLarge(InputError):
    """A request that is larger than a limit of the service."""


class StaleCursor(InputError):
    """A cursor of another generation than the current one."""


class ContentChanged(InputError):
    """A change of content that another change came before."""


class NotFound(AttendexError):
    """A collection, document or job that does not exist."""


class CollectionNotFound(NotFound):
    """No collection of that name."""


class DocumentNotFound(NotFound):
    """No live document with that id."""


class JobNotFound(NotFound):
    """No job with that id."""


class EncoderError(AttendexError):
    """The encoder cannot be loaded or run."""


class UnsupportedCheckpoint(EncoderError):
    """A checkpoint of unknown layout, or one that needs pickle or remote code."""


class EncoderUnavailable(EncoderError):
    """The service that a remote encoder asks gives no vectors now."""


class EncoderMismatch(EncoderError):
    """The encoder is not the one that made the collection; names the differences."""


class CollectionError(AttendexError):
    """The collection on disk cannot be used."""


class NotACollection(CollectionError):
    """The directory contains no collection, or a collection of another format."""


class CorruptCollection(CollectionError):
    """The file `path` of the collection is missing, truncated or altered."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class CollectionLocked(CollectionError):
    """Another writer has the lock; names it."""


class CollectionExists(CollectionError):
    """A collection of that name exists."""


class StorageError(CollectionError):
    """The file system refused an operation on `path` (full disk, I/O error)."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class SourceUnavailable(CollectionError):
    """The source of a replica cannot be reached, or what it holds cannot be used."""


class AccessError(AttendexError):
    """The service refuses the caller."""


class Unauthenticated(AccessError):
    """A missing or unknown key."""


class Forbidden(AccessError):
    """A key without the role or the collection of the request."""


class Overloaded(AttendexError):
    """A bounded queue is full; the caller may retry after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(Overloaded):
    """The caller sends more requests than its limit."""


class GenerationNotServed(Overloaded):
    """A request needs a generation that the service does not serve yet."""


class DeadlineExceeded(AttendexError):
    """The request took longer than the service allows."""


class WorkCancelled(AttendexError):
    """No caller waits for the result of the running work any more."""


class ClusterError(AttendexError):
    """A cluster cannot be reached, or one of its processes ended."""


class ShardUnavailable(AttendexError):
    """A shard cannot answer; the caller may retry after `retry_after_s` seconds."""

    retry_after_s = 5

    def __init__(self, message: str, *, shard: str) -> None:
        super().__init__(message)
        self.shard = shard


class RemoteError(AttendexError):
    """Another service cannot be reached, or answers with an error."""


class ModelError(RemoteError):
    """A language model fails; the caller may retry after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelTimeout(ModelError):
    """A language model takes longer than the service allows."""


class MissingExtra(AttendexError):
    """An optional dependency is missing; names the command that installs it."""

    HINT = " needs packages that are not installed; install them with: "

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose}{self.HINT}pip install {' '.join(map(shlex.quote, packages_of(extra)))}")
        self.extra = extra


def packages_of(extra: str) -> list[str]:
    """Return the requirements of an extra.

    pip can install them anywhere; `attendex[…]` is in no package index if Attendex runs from a checkout.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = [line.partition(";") for line in requires("attendex") or ()]
    except PackageNotFoundError:  # the packages are imported from a checkout that is not installed
        lines = []
    found = [package.strip() for package, _, marker in lines if re.search(rf"""extra == ['"]{extra}['"]""", marker)]
    return found or [f".[{extra}]"]
