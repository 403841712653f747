"""`sync.sqlite` of a collection: the items of its sources, as they were read last.

It is a cache of what the sources gave: without it, the next synchronization reads every item again.  A synchronization
writes twice.  Before the commit it records the documents of each changed item, old and new, without a version; after
the commit it records the versions.  If it is killed in between, the items have no version and are read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.errors import CollectionLocked, CorruptCollection, StorageError
from retrieval.index.collection.document_ids import Digests

SYNC_STATE = "sync.sqlite"
SYNC_JOURNAL = f"{SYNC_STATE}-journal"
SYNC_FILES = (SYNC_STATE, SYNC_JOURNAL)
FORMAT = 1
BUSY_SECONDS = 30.0
_TABLES = f"""
    CREATE TABLE revision (number INTEGER NOT NULL);
    INSERT INTO revision VALUES (0);
    CREATE TABLE source (name TEXT PRIMARY KEY, version TEXT NOT NULL, options TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE item (
        source TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, missing INTEGER NOT NULL,
        problem TEXT NOT NULL, is_failed INTEGER NOT NULL, documents BLOB NOT NULL, PRIMARY KEY (source, name)
    ) WITHOUT ROWID;
    PRAGMA user_version = {FORMAT};
"""
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class RecordedItem:
    """The state of an item; `version` is empty if it must be read again.

    `missing` counts the lists, one after another, that lacked it.  `problem` is the reason why it, or a part of it,
    gave no document.
    """

    version: str = ""
    missing: int = 0
    problem: str = ""
    is_failed: bool = False


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """The version of a source, and the options with which it was read."""

    version: str = ""
    options: str = ""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item to record, with the digests of its documents' ids; None: as they are."""

    source: str
    name: str
    item: RecordedItem
    documents: Digests | None = None


class SyncState:
    """The recorded items of a collection.  Thread-safe: each call opens the file.

    Raises StorageError, and CorruptCollection for a damaged file.
    """

    def __init__(self, collection: Path) -> None:
        self.path = collection / SYNC_STATE
        self.revision = 0  # of the last `load`

    def load(self, source: str) -> tuple[RecordedSource, dict[str, RecordedItem]]:
        """Return what is known of a source and of its items, by name."""
        if not self.path.exists():
            self.revision = 0
            return RecordedSource(), {}
        with self._open() as database:
            self.revision = _revision(database)
            row = database.execute("SELECT version, options FROM source WHERE name = ?", (source,)).fetchone()
            query = "SELECT name, version, missing, problem, is_failed FROM item WHERE source = ?"
            items = {
                name: RecordedItem(version, missing, problem, bool(is_failed))
                for name, version, missing, problem, is_failed in database.execute(query, (source,))
            }
        return RecordedSource(*row) if row else RecordedSource(), items

    def documents(self, source: str, names: Iterable[str]) -> dict[str, Digests]:
        """Return the digests of the ids of the documents of items."""
        if not self.path.exists():
            return {}
        query = "SELECT documents FROM item WHERE source = ? AND name = ?"
        with self._open() as database:
            found = ((name, database.execute(query, (source, name)).fetchone()) for name in names)
            return {name: _digests(row[0]) for name, row in found if row}

    def others(self, changed: frozenset[tuple[str, str]]) -> Iterator[tuple[str, str, Digests]]:
        """Yield source, name and digests of every item but the `changed` ones."""
        if not self.path.exists():
            return
        with self._open() as database:
            for source, name, documents in database.execute("SELECT source, name, documents FROM item"):
                if (source, name) not in changed:
                    yield source, name, _digests(documents)

    def sources(self) -> list[str]:
        """Return the names of the recorded sources."""
        if not self.path.exists():
            return []
        with self._open() as database:
            return [name for (name,) in database.execute("SELECT name FROM source")]

    def begin(self, records: Sequence[ItemRecord]) -> None:
        """Record the changed items before the commit.

        Raises CollectionLocked if another synchronization has changed the file since `load`.
        """
        with self._open() as database, _transaction(database, self.path):
            if _revision(database) != self.revision:
                raise CollectionLocked(f"{self.path}: another synchronization has ended meanwhile; run this one again")
            _put(database, records)
            database.execute("UPDATE revision SET number = number + 1")
        self.revision += 1

    def finish(
        self, records: Sequence[ItemRecord], gone: Iterable[tuple[str, str]], sources: dict[str, RecordedSource]
    ) -> None:
        """Record versions after the commit, and remove the items that are `gone`."""
        with self._open() as database, _transaction(database, self.path):
            _put(database, records)
            database.executemany("DELETE FROM item WHERE source = ? AND name = ?", gone)
            rows = [(name, source.version, source.options) for name, source in sources.items()]
            database.executemany("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", rows)

    def forget_versions(self) -> None:
        """Let the next synchronization read every item again, as after a rollback."""
        if not self.path.exists():
            return
        with self._open() as database, _transaction(database, self.path):
            database.execute("UPDATE item SET version = ''")
            database.execute("UPDATE source SET version = ''")
            database.execute("UPDATE revision SET number = number + 1")

    def check(self) -> None:
        """Raise CorruptCollection if the file is damaged."""
        if self.path.exists():
            with self._open() as database:
                found = database.execute("PRAGMA quick_check").fetchone()[0]
                if found != "ok":
                    raise CorruptCollection(_damage(found), path=self.path)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with _errors(self.path), closing(sqlite3.connect(self.path, BUSY_SECONDS, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = EXTRA")  # the removal of the journal must survive a power cut
            if database.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                with _transaction(database, self.path):
                    if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                        for statement in _TABLES.split(";"):
                            database.execute(statement)
            yield database


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"cannot be read or written: {error}", path=path) from error
    except sqlite3.DatabaseError as error:
        raise CorruptCollection(_damage(error), path=path) from error


def _damage(detail: object) -> str:
    return f"is damaged ({detail}); remove it: the next synchronization reads every item again"


@contextmanager
def _transaction(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    with _errors(path):
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _revision(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT number FROM revision").fetchone()[0])


def _put(database: sqlite3.Connection, records: Sequence[ItemRecord]) -> None:
    whole = "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?, ?, ?)"
    facts = "UPDATE item SET version = ?, missing = ?, problem = ?, is_failed = ? WHERE source = ? AND name = ?"
    for record in records:
        item = record.item
        values = (item.version, item.missing, item.problem, int(item.is_failed))
        if record.documents is None:
            database.execute(facts, (*values, record.source, record.name))
        else:
            database.execute(whole, (record.source, record.name, *values, record.documents.astype("<u8").tobytes()))


def _digests(data: bytes) -> Digests:
    return np.frombuffer(data, dtype="<u8").reshape(-1, 2).astype(np.uint64)
