"""The rows of a query: `sqlite:///file.db` and `postgresql://user@host/database`."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, datetime
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from indexer.readers.base.outcomes import DocumentOrigin, printable
from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, SourceItem
from retrieval.errors import BadDocument, SettingsError
from retrieval.util.files import storage_errors

ROWS_TOGETHER = 1_000
STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine, between two looks at the clock
MAX_REASON_CHARACTERS = 300


class SqlSource:
    """The rows of a query; each is a document.  The transaction can only read.

    The rows wait in a temporary file until they are compared and fetched, so that memory does not grow with them.
    """

    def __init__(self, settings: SourceSettings) -> None:
        if not settings.query.strip():
            raise SettingsError(f'{settings.shown}: needs a query, as query = "SELECT id, title, text FROM notes"')
        self._settings = settings
        self._spool = tempfile.TemporaryFile(prefix="attendex-sql-")  # noqa: SIM115 -- `__exit__` closes it

    def __enter__(self) -> SqlSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def version(self, known: str) -> str:  # noqa: ARG002
        """Return "": only the rows tell."""
        return ""

    def list(self) -> Iterator[SourceItem]:
        """Yield the rows in the query's order.  Raises BadDocument."""
        rows = self._sqlite_rows() if self._settings.source.startswith("sqlite:") else self._postgresql_rows()
        columns = next(rows)
        id_column = self._column(columns, self._settings.id_field or ("_id" if "_id" in columns else "id"))
        version_column = self._settings.version_field and self._column(columns, self._settings.version_field)
        size = 0
        for number, row in enumerate(rows, start=1):
            values = dict(zip(columns, map(_plain, row), strict=True))
            if values[id_column] in (None, ""):
                yield SourceItem(f"row {number}", failed=f"row {number} of the query has no {id_column}")
                continue
            name = f"{self._settings.prefix}{printable(str(values[id_column]))}"
            data = json.dumps({**values, id_column: name}, ensure_ascii=False).encode("utf-8", "replace")
            if len(data) > self._settings.item_bytes:
                yield SourceItem(name, failed=f"is larger than {self._settings.item_bytes:,} bytes")
                continue
            size += len(data)
            if size > self._settings.bytes:
                raise BadDocument(f"the rows have more than {self._settings.bytes:,} bytes; raise `bytes`")
            known_by = str(values[version_column]).encode("utf-8", "replace") if version_column else data
            version = hashlib.blake2b(known_by, digest_size=16).hexdigest()
            shown = f"{self._settings.shown}: {name}"
            yield SourceItem(name, version, shown, handle=self._store(data))

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:
        """Save a row as `path`, one line of JSON.

        The name of the file differs from the id, so that the row gets no metadata of a file.
        """
        start, size = item.handle
        self._spool.seek(start)
        with storage_errors(path):
            path.write_bytes(self._spool.read(size) + b"\n")
        origin = DocumentOrigin(item.shown, f"row {item.name}")
        return FoundFile(path, origin, format="jsonl", is_temporary=True)

    def _store(self, data: bytes) -> tuple[int, int]:
        """Append a row to the temporary file; return its place."""
        start = self._spool.seek(0, 2)
        with storage_errors(Path(tempfile.gettempdir())):
            self._spool.write(data)
        return start, len(data)

    def _column(self, columns: Sequence[str], name: str) -> str:
        if name not in columns:
            raise BadDocument(f"the query has no column {name!r}, but {', '.join(columns)}")
        return name

    def _sqlite_rows(self) -> Iterator[Any]:
        """Yield the names of the columns, then the rows, of a file opened read-only."""
        path = Path(unquote(urlsplit(self._settings.source).path.removeprefix("/")))
        deadline = time.monotonic() + self._settings.seconds
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                database.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
                cursor = database.execute(self._settings.query)
                yield _names(cursor.description)
                while rows := cursor.fetchmany(ROWS_TOGETHER):
                    yield from rows
                    deadline = time.monotonic() + self._settings.seconds
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise BadDocument(f"the query failed: {str(error)[:MAX_REASON_CHARACTERS]}") from error

    def _postgresql_rows(self) -> Iterator[Any]:
        """Yield the names of the columns, then the rows, from a cursor of the server."""
        import psycopg

        seconds = self._settings.seconds
        password: Any = {"password": self._settings.password} if self._settings.password else {}
        options = f"-c statement_timeout={round(1_000 * seconds)} -c default_transaction_read_only=on"
        for attempt in range(self._settings.retries + 1):
            try:
                connection = psycopg.connect(
                    self._settings.source, connect_timeout=max(2, round(seconds)), options=options, **password
                )
                break
            except psycopg.OperationalError as error:
                if attempt == self._settings.retries:
                    raise BadDocument(f"the server cannot be reached: {_first_line(error)}") from error
                time.sleep(min(2.0**attempt * 0.1, seconds))
        try:
            with connection, connection.cursor(name="attendex") as cursor:
                cursor.itersize = ROWS_TOGETHER
                cursor.execute(self._settings.query.encode())
                yield _names(cursor.description)
                yield from cursor
        except psycopg.Error as error:
            raise BadDocument(f"the query failed: {_first_line(error)}") from error


def open_postgresql(settings: SourceSettings) -> SqlSource:
    """Return the source of a PostgreSQL server.

    Raises ImportError without its package.
    """
    import psycopg

    del psycopg
    return SqlSource(settings)


def _names(description: Any) -> list[str]:
    if description is None:
        raise BadDocument("the query gives no rows; write a SELECT")
    names = [str(column[0]) for column in description]
    if len(set(names)) < len(names):
        raise BadDocument(f"the query has two columns of one name: {', '.join(names)}; rename one with AS")
    return names


def _plain(value: Any) -> Any:
    """Return a value of a row as JSON holds it; None for bytes and other types."""
    if value is None or isinstance(value, bool | int | float | str):
        return value if value == value else None  # not a number
    if isinstance(value, datetime | date | clock_time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {str(name): _plain(each) for name, each in value.items()} if isinstance(value, dict) else None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:MAX_REASON_CHARACTERS]
