"""Every error that Attendex raises on purpose.

    AttendexError
    ├── InputError                 what the caller gave cannot be used
    │   ├── BadQuery               query text, k, offset, mode, weight
    │   ├── FilterError            filter expression or field name
    │   ├── BadDocument            a document or source file; carries path and line
    │   ├── SchemaError            a metadata value that does not fit its field
    │   ├── BadJudgments           run or qrels files
    │   ├── BadMeasure             a measure that is unknown, or that ir-measures cannot compute
    │   ├── SettingsError          a setting of the service, its value or its place
    │   ├── EmptyInput             no text where one is needed
    │   └── TooLarge               a request beyond a limit of the service
    ├── NotFound
    │   ├── CollectionNotFound
    │   ├── DocumentNotFound
    │   └── JobNotFound
    ├── EncoderError
    │   ├── UnsupportedCheckpoint  unknown layout, or one that would need pickle or remote code
    │   └── EncoderMismatch        this encoder did not make that collection; names what differs
    ├── CollectionError
    │   ├── NotACollection
    │   ├── CorruptCollection      a file whose size or digest is wrong; carries the path
    │   ├── CollectionLocked       another writer holds the lock; names it
    │   ├── CollectionExists       a collection of that name is already there
    │   └── StorageError           the file system said no (full disk, I/O error); carries the path
    ├── AccessError                the service does not let this caller in
    │   ├── Unauthenticated        no key, or a wrong one
    │   └── Forbidden              a key without the role or scope that is needed
    ├── Overloaded                 a queue is full; try again later
    │   └── RateLimited            this caller asks too often
    ├── DeadlineExceeded           the request took longer than the service allows
    ├── RemoteError                a service that is asked cannot be reached or gives no answer
    └── MissingExtra               an optional dependency is not installed; carries the command

A message names the thing, the value and what to do next.  Commands print it and exit with 1; the service maps each
class to a status in `service/problems.py`.
"""

from __future__ import annotations

from pathlib import Path


class AttendexError(Exception):
    """Base of all errors raised on purpose."""


class InputError(AttendexError):
    """What the caller gave cannot be used."""


class BadQuery(InputError):
    """A search request that cannot be answered."""


class FilterError(InputError):
    """A filter expression, facet or sort field that does not fit the collection."""


class BadDocument(InputError):
    """A document that cannot be read.

    `path` and `line` (from 1) say where, when known.
    """

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
    """A setting that does not exist, or a value that it cannot take."""


class EmptyInput(InputError):
    """No text where one is needed."""


class TooLarge(InputError):
    """A request that is larger than a limit of the service."""


class NotFound(AttendexError):
    """The thing named does not exist."""


class CollectionNotFound(NotFound):
    """No collection of that name."""


class DocumentNotFound(NotFound):
    """No live document with that id."""


class JobNotFound(NotFound):
    """No job with that id."""


class EncoderError(AttendexError):
    """The encoder cannot be loaded or run."""


class UnsupportedCheckpoint(EncoderError):
    """A model folder that cannot be read safely or at all."""


class EncoderMismatch(EncoderError):
    """The encoder at hand is not the one that made the collection."""


class CollectionError(AttendexError):
    """The collection on disk cannot be used."""


class NotACollection(CollectionError):
    """The directory holds no collection."""


class CorruptCollection(CollectionError):
    """A file of the collection is missing, truncated or altered.  `path` names it."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class CollectionLocked(CollectionError):
    """Another writer holds the collection."""


class CollectionExists(CollectionError):
    """A collection of that name is already there."""


class StorageError(CollectionError):
    """The file system refused an operation.  `path` names the file."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class AccessError(AttendexError):
    """The service does not let this caller in."""


class Unauthenticated(AccessError):
    """No key, or one that is not known."""


class Forbidden(AccessError):
    """A key that lacks the role or the collection."""


class Overloaded(AttendexError):
    """A bounded queue is full.  `retry_after_s` says when to try again."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(Overloaded):
    """This caller asks more often than it may."""


class DeadlineExceeded(AttendexError):
    """The request took longer than the service allows."""


class RemoteError(AttendexError):
    """A running service that is to be measured cannot be reached, or answers with an error."""


class MissingExtra(AttendexError):
    """An optional dependency is missing."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an optional part; install it with: pip install 'attendex[{extra}]'")
        self.extra = extra
