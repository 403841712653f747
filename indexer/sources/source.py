"""The seam of all sources: list the items, tell their versions, fetch one.

A new source is one module in this folder and one row in `source_table.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from indexer.readers.base.outcomes import DocumentOrigin
from indexer.readers.formats.dispatch import as_bad_document
from retrieval.errors import BadDocument, StorageError


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file to read, or in `failed` the reason why it cannot be read."""

    path: Path
    origin: DocumentOrigin
    failed: str = field(default="", kw_only=True)
    format: str = field(default="", kw_only=True)  # if the source names it; "" means that the reader detects it
    version: str = field(default="", kw_only=True)  # of the item, if only fetching tells it
    is_unchanged: bool = field(default=False, kw_only=True)  # the item still has its known version; there is no file
    is_temporary: bool = field(default=False, kw_only=True)  # the reader removes it


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A thing that a source holds: a file, a page, an object, a mail, a row.

    The ids of its documents are made from `name`, which never changes.  `version` changes with the content; it is
    empty if only fetching tells.  `failed` is the reason why the item, or all below its name, cannot be fetched.
    """

    name: str
    version: str = ""
    shown: str = ""  # in reports, if not the name
    failed: str = ""
    handle: Any = None  # what `fetch` needs beside the name
    known: str = ""  # the version that was fetched last, if the item need not be fetched again

    @property
    def origin(self) -> DocumentOrigin:
        """The origin of its documents."""
        return DocumentOrigin(self.shown or self.name, self.name)


class Source(Protocol):
    """A place whose items are read as files.  Use it as a context manager."""

    def __enter__(self) -> Source: ...

    def __exit__(self, *_: object) -> None: ...

    def version(self, known: str) -> str:
        """Return what identifies the state of all items; "" if only `list` tells.

        `known` is the value of an earlier call.  If it is returned, no item has changed.  Raises BadDocument if the
        source cannot be reached.
        """

    def list(self) -> Iterator[SourceItem]:
        """Yield the items in a stable order.  Raises BadDocument."""

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:
        """Return the file of an item, saved as `path` if it is not a local one.

        Raises BadDocument.
        """


def fetch_files(source: Source, items: Iterator[SourceItem], folder: Path) -> Iterator[FoundFile]:
    """Yield the file of each item; an item that cannot be fetched has its reason."""
    for number, item in enumerate(items):
        yield fetch_file(source, item, folder / str(number))


def fetch_file(source: Source, item: SourceItem, path: Path) -> FoundFile:
    """Return the file of an item, or a failed one with the reason."""
    if item.failed:
        return FoundFile(Path(), item.origin, failed=item.failed)
    try:
        return source.fetch(item, path)
    except StorageError:  # the disk of this machine is full: no other item fits either
        raise
    except Exception as error:  # a server may send anything; it must not stop the reading of other items
        return FoundFile(Path(), item.origin, failed=reason_of(error))


def reason_of(error: Exception) -> str:
    """Return an exception as the reason of a failure, without a path."""
    return str(as_bad_document(error, DocumentOrigin("", "")))


def check_size(size: int, limit: int) -> None:
    """Raise BadDocument for an item of more than `limit` bytes."""
    if size > limit:
        raise BadDocument(f"is larger than {limit:,} bytes")
