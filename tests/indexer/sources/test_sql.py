"""Rows of a query, of SQLite and of a PostgreSQL server."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.building.source_sync import REPEATED, sync_collection
from indexer.readers.base.outcomes import FileOutcome, FileStatus
from indexer.sources.settings import SourceSettings
from indexer.sources.source import fetch_files
from indexer.sources.source_table import open_source
from retrieval.errors import BadDocument, SettingsError
from retrieval.index.collection.index_reader import open_index_reader
from tests.indexer.sources.servers import items

QUERY = "SELECT id, title, text, price FROM goods ORDER BY id"
TABLE = "CREATE TABLE goods (id INTEGER PRIMARY KEY, title TEXT, text TEXT, price NUMERIC)"
ROWS = "INSERT INTO goods VALUES (1, 'Weir', 'A low dam.', 9.5), (2, 'Lock', 'A chamber.', NULL)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(TABLE)
        database.execute(ROWS)
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def settings(path: Path, **more: object) -> SourceSettings:
    return SourceSettings(source=f"sqlite:///{path}", **{"query": QUERY, **more})  # type: ignore[arg-type]


def rows(given: SourceSettings, folder: Path) -> list[dict[str, object]]:
    with open_source(given) as source:
        return [json.loads(each.path.read_bytes()) for each in fetch_files(source, source.list(), folder)]


def test_rows_are_documents(path: Path, tmp_path: Path) -> None:
    found = rows(settings(path, prefix="g/"), tmp_path)
    assert found == [
        {"id": "g/1", "title": "Weir", "text": "A low dam.", "price": 9.5},
        {"id": "g/2", "title": "Lock", "text": "A chamber.", "price": None},
    ]


def test_only_changed_rows_are_read(path: Path, tmp_path: Path) -> None:
    sources = [settings(path, delete="now")]
    sync_collection(tmp_path / "c", sources)
    change(path, "UPDATE goods SET text = 'A deep chamber.' WHERE id = 2")
    change(path, "INSERT INTO goods VALUES (3, 'Gate', 'It opens.', 1)")
    change(path, "DELETE FROM goods WHERE id = 1")
    report = sync_collection(tmp_path / "c", sources)
    [source] = report.sources
    assert (source.read, source.unchanged, source.deleted, report.documents) == (2, 0, 1, 2)
    with open_index_reader(tmp_path / "c") as reader:
        assert reader.find("1") is None
        [gate] = reader.documents([reader.find("3")])
    assert (gate.title, gate.text, gate.metadata) == ("Gate", "It opens.", {"price": 1.0})


def test_further_rows_of_one_id_are_counted(path: Path, tmp_path: Path) -> None:
    change(path, "INSERT INTO goods VALUES (3, 'Weir', 'Another dam.', 1)")
    query = "SELECT CASE id WHEN 3 THEN 1 ELSE id END AS id, title, text FROM goods ORDER BY goods.id"
    told: list[FileOutcome] = []
    report = sync_collection(tmp_path / "c", [settings(path, query=query)], on_file=told.append)
    [source] = report.sources
    assert (source.items, source.read, source.repeated, report.documents) == (3, 2, 1, 2)
    [skipped] = [outcome for outcome in told if outcome.status is FileStatus.SKIPPED]
    assert (skipped.name, skipped.reason) == ("1", REPEATED)
    with open_index_reader(tmp_path / "c") as reader:
        assert reader.documents([reader.find("1")])[0].text == "A low dam."


def test_a_column_tells_the_version(path: Path) -> None:
    given = settings(path, query="SELECT id, text, price AS changed FROM goods", version_field="changed")
    before = items(open_source(given))
    change(path, "UPDATE goods SET text = 'New.' WHERE id = 1")
    assert items(open_source(given)) == before
    change(path, "UPDATE goods SET price = 1 WHERE id = 1")
    assert items(open_source(given)) != before


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT text FROM goods", "no column 'id'"),
        ("SELECT id, id FROM goods", "two columns of one name"),
        ("SELECT id FROM missing", "no such table"),
        ("DELETE FROM goods", "readonly database"),
        ("INSERT INTO goods VALUES (9, '', '', 0); DROP TABLE goods", "one statement at a time"),
        (
            "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT max(id) AS id FROM n",
            "interrupted",
        ),
    ],
)
def test_queries_that_fail(path: Path, query: str, reason: str) -> None:
    with pytest.raises(BadDocument, match=reason):
        items(open_source(settings(path, query=query, seconds=0.2)))
    assert len(items(open_source(settings(path)))) == 2


def test_odd_rows_fail_alone(path: Path) -> None:
    change(path, f"INSERT INTO goods VALUES (3, '', '{'x' * 500}', 0)")
    given = settings(path, query="SELECT CASE id WHEN 2 THEN '' ELSE id END AS id, text FROM goods", item_bytes=200)
    with open_source(given) as source:
        failed = [item.failed for item in source.list()]
    assert failed == ["", "row 2 of the query has no id", "is larger than 200 bytes"]


def test_a_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="unable to open"):
        items(open_source(settings(tmp_path / "no.db")))
    assert not (tmp_path / "no.db").exists()


def test_a_query_is_needed(path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a query"):
        open_source(SourceSettings(source=f"sqlite:///{path}"))


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a new server without a network; skip where there is none."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb", path=os.pathsep.join(map(str, binaries))) or shutil.which("initdb")
    if found is None:
        pytest.skip("needs a PostgreSQL server")
    folder = tmp_path_factory.mktemp("pg")
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)
        for parent in [*folder.parents][:3]:
            parent.chmod(parent.stat().st_mode | 0o011)
    control = [*as_user, str(Path(found).with_name("pg_ctl")), "-D", str(folder / "data")]
    subprocess.run([*control, "-s", "-o", "-A trust -U me --no-sync", "initdb"], check=True, capture_output=True)
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    subprocess.run([*control, "-s", "-w", "-l", str(folder / "log"), "-o", options, "start"], check=True)
    yield f"postgresql://me@/postgres?host={folder}"
    subprocess.run([*control, "-s", "-m", "immediate", "stop"], check=True)


def test_rows_of_postgresql(postgresql: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(TABLE.encode())
        connection.execute(ROWS.encode())
    given = SourceSettings(source=postgresql, query=f"{QUERY}", seconds=5.0)
    assert [row["price"] for row in rows(given, tmp_path)] == [9.5, None]
    writing = given.model_copy(update={"query": "DELETE FROM goods RETURNING id"})
    with pytest.raises(BadDocument, match="the query failed"):
        items(open_source(writing))
    slow = given.model_copy(update={"query": "SELECT 1 AS id, pg_sleep(9)", "seconds": 0.2})
    with pytest.raises(BadDocument, match="timeout"):
        items(open_source(slow))
    missing = SourceSettings(source=postgresql.replace("host=", "host=/nothing"), query=QUERY, retries=0)
    with pytest.raises(BadDocument, match="cannot be reached"):
        items(open_source(missing))
    assert len(items(open_source(given))) == 2
