"""The query log: what it keeps, and what it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from retrieval.errors import SettingsError
from retrieval.metrics.pooling import read_pool
from retrieval.metrics.query_log import LoggedClick, LoggedSearch, LogRecord, read_records
from retrieval.metrics.tasks import read_topics
from retrieval.results import SearchResult, Timings
from retrieval.types import Mode, SearchRequest
from service.cli import app
from service.client import Client
from service.config.api_keys import add_key
from service.config.log_settings import QueryLogSettings
from service.observability.query_log import QueryLog, require_log_folder
from tests.service.conftest import Serve, Served, eventually

SEARCH = "/v1/collections/small/search"
EVENTS = "/v1/collections/small/events"
QUERIES = "/v1/collections/small/queries"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def served(collections: Path, serve: Serve, folder: Path) -> Iterator[Served]:
    with serve(collections, **{"query_log.folder": folder}) as served:
        yield served


def records(folder: Path, count: int) -> list[LogRecord]:
    """Return the records of the log as soon as it has so many."""
    eventually(lambda: (folder / "small").is_dir() and len(list(read_records(folder / "small"))) >= count)
    return list(read_records(folder / "small"))


def test_without_a_folder_there_is_no_log(small: Served) -> None:
    assert "query_id" not in small.http.post(SEARCH, json={"query": "stroke"}).json()
    event = {"query_id": "0" * 16, "document": "aspirin", "position": 1}
    for answer in (small.http.post(EVENTS, json=event), small.http.get(QUERIES)):
        assert answer.status_code == 404
        assert "query_log.folder" in answer.json()["detail"]


def test_searches_and_clicks_are_summarized(served: Served, folder: Path) -> None:
    with Client(served.url) as client:
        found = [client.search("small", query) for query in ("aspirin for stroke", "Aspirin  for STROKE", "xqzv blorf")]
        client.search("small", "aspirin for stroke", offset=2)
        client.search("small", "wings", filter="year > 2100 AND year < 2200")
        client.search("small", "not written", log=False)
        client.search("small", "*")
        client.search_batch("small", ["not written"])
        assert found[0].query_id is not None
        client.click("small", found[0].query_id, "aspirin", 1)
        client.click("small", "0123456789abcdef", "aspirin", 1)  # of a search that the log lacks
        kept = records(folder, 7)
        assert [each.query for each in kept if isinstance(each, LoggedSearch)][:2] == [
            "aspirin for stroke",
            "Aspirin  for STROKE",
        ]
        answer = client.queries("small")
        assert (answer.searches, answer.zero_hits, answer.low_confidence, answer.clicks) == (4, 1, 0, 1)
        first = answer.queries[0]
        assert (first.query, first.searches, first.clicks, first.zero_hits) == ("Aspirin  for STROKE", 2, 1, 0)
        assert [each.query for each in client.queries("small", problem="zero_hits").queries] == ["wings"]
        assert client.queries("small", problem="low_confidence").queries == []


def test_what_is_written_is_redacted_and_has_no_address(served: Served, folder: Path) -> None:
    query = "refund for jane.doe@example.org order 4111 1111 1111 1111 of 2019"
    assert served.http.post(SEARCH, json={"query": query}).json()["query"] == query
    served.http.get(SEARCH, params={"q": "seen", "filter": "year != 49301234567"})
    first, second = records(folder, 2)
    assert isinstance(first, LoggedSearch)
    assert isinstance(second, LoggedSearch)
    assert first.query == "refund for [email] order [number] of 2019"
    assert second.filter == "year != [number]"
    text = b"".join(path.read_bytes() for path in (folder / "small").iterdir())
    assert b"127.0.0.1" not in text
    assert b"testclient" not in text


def test_a_read_key_sends_clicks_and_reads_no_queries(
    collections: Path, serve: Serve, folder: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    read, write = add_key(keys, "r", "read", ["small"]), add_key(keys, "w", "write", ["small"])
    event = {"query_id": "0" * 16, "document": "aspirin", "position": 1}
    with serve(collections, keys=keys, **{"query_log.folder": folder}) as served:
        post, get = served.http.post, served.http.get
        assert post(EVENTS, json=event, headers={"X-API-Key": read}).status_code == 204
        assert get(QUERIES, headers={"X-API-Key": read}).status_code == 403
        assert get(QUERIES, headers={"X-API-Key": write}).status_code == 200
        assert post(EVENTS, json=event).status_code == 401


def test_interleaved_searches_are_compared_by_clicks(served: Served, folder: Path) -> None:
    def mixed(**b: Any) -> Any:
        body = {
            "name": "words",
            "a": {"query": "stroke", "k": 3, "mode": "dense"},
            "b": {"query": "stroke", "k": 3} | b,
        }
        return served.http.post(f"{SEARCH}/interleaved", json=body)

    for wrong in ({"query": "other"}, {"k": 4}, {"offset": 1}, {"sort": "year"}, {"max_tokens": 9}):
        assert mixed(**wrong).status_code == 400
    answer = mixed(mode="lexical").json()
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    assert answer["hits"][0]["id"] == "aspirin"
    [kept] = records(folder, 1)
    assert isinstance(kept, LoggedSearch)
    assert kept.comparison == "words"
    assert kept.teams in ("A--", "B--")  # the words are in one document
    served.http.post(EVENTS, json={"query_id": answer["query_id"], "document": "aspirin", "position": 1})
    records(folder, 2)
    shown = json.loads(CliRunner().invoke(app, ["interleaved", str(folder / "small"), "--json"]).output)
    [found] = shown["comparisons"]
    assert (found["name"], found["searches"], found["wins_a"] + found["wins_b"]) == ("words", 1, 1)
    assert "sign test" in CliRunner().invoke(app, ["interleaved", str(folder / "small")]).output


@pytest.mark.parametrize(
    "wrong", [{"query_id": "x"}, {"document": ""}, {"position": 0}, {"position": 1e9}, {"event": "view"}, {"rank": 1}]
)
def test_wrong_events_are_refused(served: Served, wrong: dict[str, Any]) -> None:
    event = {"query_id": "0" * 16, "document": "aspirin", "position": 1}
    assert served.http.post(EVENTS, json=event | wrong).status_code == 422
    assert served.http.post("/v1/collections/none/events", json=event).status_code == 404


def made(tmp_path: Path, **settings: Any) -> tuple[QueryLog, list[None]]:
    dropped: list[None] = []
    require_log_folder(QueryLogSettings(folder=tmp_path))
    return QueryLog(QueryLogSettings(**settings), tmp_path, lambda: dropped.append(None)), dropped


RESULT = SearchResult("q", "small", 1, Mode.HYBRID, (), Timings(0, 0, 0, 0))


def test_a_record_that_cannot_be_written_does_not_stop_the_log(tmp_path: Path) -> None:
    log, dropped = made(tmp_path / "log")
    log.search("small", SearchRequest("\ud800"), RESULT)  # no text of UTF-8
    eventually(lambda: dropped)
    log.search("small", SearchRequest("b"), RESULT)
    log.close()
    [path] = (tmp_path / "log" / "small").iterdir()
    assert b'"b"' in path.read_bytes()


def test_a_pool_is_made_from_the_log(collections: Path, tmp_path: Path) -> None:
    log, _ = made(tmp_path / "log")
    for query in ("aspirin", "Aspirin", "wings", "mail a@b.example", "wings", "wings", "seldom"):
        clicked = log.search("small", SearchRequest(query), RESULT)
    log.click("small", clicked, "heat", 9)  # no search for "seldom" ranks it first
    log.close()
    pool, queries = tmp_path / "pool.tsv", tmp_path / "queries.jsonl"
    system = [f"{collections / 'small'}:lexical", "--depth", "1", "--out", str(pool)]
    chosen = ["--from-log", str(tmp_path / "log" / "small"), "--log-queries", "3", "--save-queries", str(queries)]
    result = CliRunner().invoke(app, ["pool", *system, *chosen])
    assert result.exit_code == 0, result.output
    assert [topic.text for topic in read_topics(queries)] == ["wings", "Aspirin", "seldom"]
    assert {(item.query, item.document_id) for item in read_pool(pool)} == {
        ("wings", "wing"),
        ("Aspirin", "aspirin"),
        ("seldom", "heat"),
    }
    both = CliRunner().invoke(app, ["pool", *system, *chosen, "--queries", str(queries)])
    assert both.exit_code == 2
    empty = CliRunner().invoke(app, ["pool", *system, "--from-log", str(tmp_path)])
    assert empty.exit_code == 1
    assert "has no queries" in empty.output


def test_its_size_is_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    log, dropped = made(tmp_path, bytes=20_000)
    for number in range(400):
        log.search("small", SearchRequest(f"query number {number}"), RESULT)
    log.close()
    kept = [each.query for each in read_records(tmp_path / "small") if isinstance(each, LoggedSearch)]
    assert not dropped
    assert kept == [f"query number {number}" for number in range(400 - len(kept), 400)]
    assert len(kept) > 50
    assert sum(path.stat().st_size for path in (tmp_path / "small").iterdir()) <= 20_000


def test_old_parts_and_no_other_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    old, other = tmp_path / "gone" / "20200101T000000000000-00000000.jsonl", tmp_path / "gone" / "notes.txt"
    old.write_text("")
    other.write_text("")
    made(tmp_path)[0].close()
    assert not old.exists()
    assert other.exists()


def test_an_incomplete_last_line_is_left_out(tmp_path: Path) -> None:
    log, _ = made(tmp_path)
    log.click("small", "0" * 16, "a", 1)
    log.close()
    [part] = (tmp_path / "small").iterdir()
    with part.open("ab") as file:
        file.write(b'{"kind":"cli')
    assert [type(each) for each in read_records(tmp_path / "small")] == [LoggedClick]


def test_a_log_that_cannot_be_written_loses_records_and_fails_no_search(tmp_path: Path) -> None:
    log, dropped = made(tmp_path)
    (tmp_path / "small").write_text("a file where the folder should be")
    assert log.search("small", SearchRequest("q"), RESULT)
    log.close()
    assert len(dropped) == 1


def test_a_folder_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"query_log\.folder"):
        require_log_folder(QueryLogSettings(folder=tmp_path / "file" / "log"))


def test_only_the_owner_reads_the_log(tmp_path: Path) -> None:
    log, _ = made(tmp_path / "log")
    log.click("small", "0" * 16, "a", 1)
    log.close()
    [part] = (tmp_path / "log" / "small").iterdir()
    assert not part.stat().st_mode & 0o077
