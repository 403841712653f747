"""Collections that change while they are served, here or by another process."""

from __future__ import annotations

import gc
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.search.searcher import Searcher
from retrieval.types import Document
from retrieval.util.files import locked
from service.app import open_warm
from service.runtime.encoder_registry import EncoderRegistry
from service.runtime.job_folder import JobFolder
from service.runtime.open_collections import OpenCollections
from service.runtime.reranker_registry import RerankerRegistry
from tests.service.conftest import Serve, Served, eventually
from tests.service.queues.test_search_queue import opened
from tests.service.test_routes import problem

SMALL = "/v1/collections/small"


@pytest.fixture
def served(collections: Path, tmp_path: Path, serve: Serve) -> Iterator[Served]:
    """Return a service on a copy that tests may change."""
    shutil.copytree(collections, tmp_path / "collections")
    with serve(tmp_path / "collections", **{"limits.documents": 10}) as served:
        yield served


def ids(served: Served, query: str, **options: Any) -> list[str]:
    return [hit["id"] for hit in served.http.post(f"{SMALL}/search", json={"query": query, **options}).json()["hits"]]


def add(served: Served, *documents: dict[str, Any], wait: bool = True) -> Any:
    return served.http.post(f"{SMALL}/documents", json={"documents": documents}, params={"wait": wait})


MOON = {
    "id": "moon",
    "title": "Moon",
    "text": "The moon turns around the earth.",
    "year": 1969,
    "metadata": {"kind": "sky"},
}


def test_a_document_added_with_wait_is_found_at_once(served: Served) -> None:
    done = add(served, MOON).json()
    assert (done["status"], done["added"], done["generation"]) == ("done", 1, 2)
    assert ids(served, "the moon and the earth", k=1) == ["moon"]
    found = served.http.get(f"{SMALL}/documents/moon").json()
    assert found["metadata"] == {"kind": "sky", "year": 1969}
    again = add(served, MOON).json()
    assert (again["added"], again["unchanged"], again["generation"]) == (0, 1, 2)


def test_without_wait_there_is_a_job_to_ask_about(served: Served) -> None:
    queued = add(served, MOON, wait=False)
    assert queued.status_code == 202
    assert finished(served, queued.json())["status"] == "done"
    assert "moon" in ids(served, "moon")
    problem(served.http.get(f"{SMALL}/jobs/0000"), 404, "job_not_found")


def test_single_documents_that_come_fast_share_generations(served: Served) -> None:
    jobs = [add(served, {**MOON, "id": f"moon-{number}"}, wait=False).json()["id"] for number in range(12)]
    assert add(served, {**MOON, "id": "moon-last"}, wait=True).status_code == 200
    generations = {served.http.get(f"{SMALL}/jobs/{job}").json()["generation"] for job in jobs}
    assert None not in generations
    assert len(generations) <= 3


def test_documents_are_replaced_and_deleted(served: Served) -> None:
    add(served, {"id": "heat", "title": "Heat", "text": "Penguins swim in cold water."})
    assert ids(served, "penguins", k=1) == ["heat"]
    assert served.http.delete(f"{SMALL}/documents/cat/1", params={"wait": True}).json()["deleted"] == 1
    problem(served.http.delete(f"{SMALL}/documents/cat/1"), 404, "document_not_found")
    assert "cat/1" not in ids(served, "cats sleep")
    body = {"ids": ["wing", "nobody"], "filter": "year < 2000"}
    gone = served.http.post(f"{SMALL}/documents/delete", json=body, params={"wait": True}).json()
    assert gone["deleted"] == 2
    assert sorted(ids(served, "anything")) == ["aspirin", "heat"]


def test_a_document_on_its_way_can_be_deleted_already(served: Served) -> None:
    assert served.http.put("/v1/collections/other", json={}).status_code == 201
    for number in range(6):
        assert add(served, {**MOON, "id": f"moon{number}"}, wait=False).status_code == 202
        problem(served.http.delete(f"/v1/collections/other/documents/moon{number}"), 404, "document_not_found")
        assert served.http.delete(f"{SMALL}/documents/moon{number}").status_code == 202
    add(served, {**MOON, "id": "last"})
    assert [each for each in ids(served, "the moon", k=20) if each.startswith("moon")] == []
    problem(served.http.delete(f"{SMALL}/documents/moon0"), 404, "document_not_found")


def test_a_filter_sees_the_changes_that_were_asked_for_before(served: Served) -> None:
    add(served, MOON)
    for number in range(5):
        add(served, {**MOON, "id": f"moon{number}", "year": 3000 + number}, wait=False)
    body = {"filter": "year >= 3001"}
    gone = served.http.post(f"{SMALL}/documents/delete", json=body, params={"wait": True}).json()
    assert gone["deleted"] == 4
    assert served.http.get(f"{SMALL}/documents/moon0").status_code == 200
    problem(served.http.get(f"{SMALL}/documents/moon1"), 404, "document_not_found")
    problem(served.http.post(f"{SMALL}/documents/delete", json={"filter": "yaer > 1"}), 400, "bad_filter")


def test_a_damaged_collection_can_be_dropped(collections: Path, tmp_path: Path, serve: Serve) -> None:
    shutil.copytree(collections / "small", tmp_path / "all" / "small")
    (tmp_path / "all" / "small" / "manifest.json").write_text("{}")
    with serve(tmp_path / "all") as served:
        problem(served.http.get(SMALL), 503, "collection_unavailable")
        assert served.http.delete(SMALL).status_code == 204
        assert list((tmp_path / "all").iterdir()) == []
        assert served.http.get("/readyz").json()["failed"] == []


def test_bad_documents_are_refused_and_nothing_is_lost(served: Served) -> None:
    problem(add(served, {"id": "x", "title": "", "text": ""}), 400, "bad_document")
    problem(add(served, {"id": "", "text": "no id"}), 422, "invalid_request")
    problem(add(served, {"id": "x"}), 422, "invalid_request")
    problem(add(served, *({"id": str(n), "text": "many"} for n in range(11))), 413, "too_large")
    problem(served.http.post(f"{SMALL}/documents/delete", json={}), 400, "bad_input")
    problem(served.http.post(f"{SMALL}/documents/delete", json={"filter": "year <"}), 400, "bad_filter")
    assert served.http.get(SMALL).json()["generation"] == 1


def test_collections_are_made_and_dropped(served: Served) -> None:
    made = served.http.put("/v1/collections/new", json={"fields": {"year": "number", "kind": "string"}})
    assert made.status_code == 201, made.text
    assert (made.json()["documents"], made.json()["fields"]) == (0, {"year": "number", "kind": "string"})
    problem(served.http.put("/v1/collections/new", json={}), 409, "collection_exists")
    problem(served.http.put("/v1/collections/other", json={"encoder": "/etc"}), 404, "not_found")
    for name in ("..", ".hidden", "a b", "x" * 101, "%2e%2e%2fx"):
        assert served.http.put(f"/v1/collections/{name}", json={}).status_code in (404, 405, 422)
    assert served.http.post("/v1/collections/new/search", json={"query": "x"}).json()["hits"] == []
    body = {"documents": [MOON]}
    assert served.http.post("/v1/collections/new/documents", json=body, params={"wait": True}).json()["added"] == 1
    assert served.http.delete("/v1/collections/new").status_code == 204
    problem(served.http.get("/v1/collections/new"), 404, "collection_not_found")
    assert sorted(path.name for path in served.root.iterdir()) == ["small"]


def test_what_another_process_commits_is_served_within_a_second(served: Served, encoders: EncoderRegistry) -> None:
    failures: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            status = served.http.post(f"{SMALL}/search", json={"query": "heat"}).status_code
            if status != 200:
                failures.append(status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for number in range(3):
            change = CollectionChange(
                upserts=(Document(f"news{number}", f"Fresh news number {number} about volcanoes."),)
            )
            apply_changes(served.root / "small", encoders.get("all-MiniLM-L6-v2"), [change])
            expected, query = f"news{number}", f"news number {number} volcanoes"
            eventually(lambda expected=expected, query=query: expected in ids(served, query))
    finally:
        stop.set()
        thread.join()
    assert failures == []


def test_a_damaged_generation_is_refused_while_the_last_good_one_is_served(served: Served) -> None:
    manifest = served.root / "small" / "manifest.json"
    replacement = manifest.with_name("replacement")
    replacement.write_bytes(manifest.read_bytes().replace(b'"generation": 1', b'"generation": 2', 1))
    replacement.replace(manifest)
    eventually(lambda: served.http.get("/readyz").json()["warnings"])
    assert served.http.get("/readyz").status_code == 200
    assert ids(served, "cats", k=1) == ["cat/1"]
    assert 'attendex_index_failed{collection="small"} 1.0' in served.http.get("/metrics").text


def test_a_read_only_service_takes_no_changes(collections: Path, serve: Serve) -> None:
    with serve(collections, writable=False) as served:
        problem(add(served, MOON), 403, "forbidden")
        problem(served.http.put("/v1/collections/new", json={}), 403, "forbidden")
        judged = {"query": "cats", "document": "cat/1", "grade": 3}
        problem(served.http.put(f"{SMALL}/judgments", json=judged), 403, "forbidden")


def finished(served: Served, job: dict[str, Any]) -> dict[str, Any]:
    """Return the job once it has ended."""

    def now() -> dict[str, Any]:
        return served.http.get(f"{SMALL}/jobs/{job['id']}").json()  # type: ignore[no-any-return]

    eventually(lambda: now()["status"] in ("done", "failed"))
    return now()


def test_a_change_does_not_outlive_the_collection_that_it_was_for(served: Served) -> None:
    first, second, third = (add(served, {**MOON, "id": f"moon {n}"}, wait=False).json() for n in range(3))
    finished(served, first)  # the writer pauses now, since more changes wait
    eventually(lambda: served.http.delete(SMALL).status_code == 204)  # 409 while the writer applies the others
    assert served.http.put(SMALL, json={}).status_code == 201
    assert {finished(served, job)["status"] for job in (second, third)} <= {"done", "failed"}
    assert add(served, MOON).json()["status"] == "done"  # the writer has passed the changes from before
    assert served.http.get(f"{SMALL}/documents").json()["total"] == 1


def test_the_writer_goes_on_after_any_failure(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a fault of the file system")

    with monkeypatch.context() as patched:
        patched.setattr(OpenCollections, "publish", fails)
        patched.setattr(JobFolder, "begin", fails)
        patched.setattr(JobFolder, "finish", fails)
        problem(add(served, MOON), 500, "internal")
    assert add(served, MOON).json()["status"] == "done"


def test_what_waits_when_the_time_is_over_is_applied_at_the_next_start(
    collections: Path, tmp_path: Path, encoders: EncoderRegistry
) -> None:
    shutil.copytree(collections, tmp_path / "collections")
    with opened(tmp_path / "collections", encoders) as services:
        submit = services.changes.submit
        jobs = [
            submit("small", CollectionChange(upserts=(Document(f"new {n}", "text"),), filter="year < 0"))
            for n in range(20)
        ]
        services.changes.close(0.0)
        eventually(lambda: all(job.done.done() for job in jobs))  # the running change may end later
        statuses = Counter(job.status for job in jobs)
        assert set(statuses) <= {"done", "queued"}
        assert statuses["queued"] > 0
        services.collections.refresh()
        with services.collections.lease("small") as searcher:
            found = {job for n, job in enumerate(jobs) if searcher.reader.find(f"new {n}") is not None}
        assert found == {job for job in jobs if job.status == "done"}
    with opened(tmp_path / "collections", encoders) as services:
        services.changes.take_over()
        eventually(lambda: all(services.changes.job("small", job.id)["status"] == "done" for job in jobs))
        with services.collections.lease("small") as searcher:
            assert all(searcher.reader.find(f"new {n}") is not None for n in range(20))
        jobs = [
            services.changes.submit("small", CollectionChange(deletes=(f"new {n}",), filter="year < 0"))
            for n in range(3)
        ]
        services.changes.close(30.0)
        assert {job.status for job in jobs} == {"done"}


def test_a_collection_that_cannot_be_opened_does_not_hold_up_the_others(
    collections: Path, tmp_path: Path, encoders: EncoderRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        shutil.copytree(collections / "small", tmp_path / name)
    reasons = [ValueError("out of luck"), ValueError("out of luck")]

    def opening(path: Path, previous: Searcher | None) -> Searcher:
        if path.name == "first" and reasons:
            raise reasons.pop()
        return open_warm(path, encoders, RerankerRegistry({}), previous)

    served = OpenCollections(tmp_path, opening)
    served.refresh()
    assert (served.names(), served.failures()) == (["second"], {"first": "ValueError"})
    served.refresh()
    assert len(reasons) == 1, "what has just failed is not tried again at once"
    monkeypatch.setattr("service.runtime.open_collections.RETRY_S", 0.0)
    served.refresh()
    assert not reasons
    served.refresh()
    assert (served.names(), served.failures()) == (["first", "second"], {})
    served.close()


def test_what_a_crash_left_of_a_dropped_collection_goes_at_the_next_start(serve: Serve, tmp_path: Path) -> None:
    leftover = tmp_path / ".papers.0a1b2c3d.attendex-tmp"
    (leftover / "segments").mkdir(parents=True)
    (leftover / "manifest.json").write_text("{}")
    with serve(tmp_path) as served:
        assert served.http.get("/v1/collections").json()["collections"] == []
        assert not leftover.exists()


def test_the_queue_is_bounded_in_bytes(collections: Path, tmp_path: Path, serve: Serve) -> None:
    shutil.copytree(collections, tmp_path / "collections")
    with serve(tmp_path / "collections", **{"queue.change_bytes": 100_000}) as served:
        with locked(tmp_path / "collections" / "small" / "lock"):
            blob = {"text": "x", "blob": "v" * 30_000}
            answers = [add(served, {"id": f"d{number}", **blob}, wait=False) for number in range(6)]
            assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429, 429]
            problem(answers[-1], 429, "overloaded")
            assert answers[-1].headers["Retry-After"] == "2"
            problem(add(served, *({"id": f"e{number}", **blob} for number in range(4))), 413, "too_large")
        eventually(lambda: add(served, {"id": "later", **blob}).status_code == 200)
        assert served.http.get(f"{SMALL}/documents/d2").status_code == 200


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"k" * 10_000: {str(number): 1 for number in range(60_000)}}, "characters; 512 is the limit"),
        ({"k": {str(number): 1 for number in range(60_000)}}, "more than 1,000 metadata fields"),
        ({"k": eval("{'a':" * 17 + "1" + "}" * 17)}, "more than 16 levels deep"),
    ],
)
def test_metadata_names_are_bounded(served: Served, metadata: dict[str, Any], says: str) -> None:
    answer = add(served, {"id": "a", "text": "x", "metadata": metadata})
    problem(answer, 400, "bad_document")
    assert says in answer.json()["detail"]
    assert len(answer.text) < 2_000


def test_a_failed_job_keeps_no_documents(served: Served) -> None:
    document = {"id": "wrong", "text": "Its year is no number.", "year": "soon"}
    job = add(served, document, wait=False).json()["id"]
    eventually(lambda: served.http.get(f"{SMALL}/jobs/{job}").json()["status"] == "failed")
    found = served.http.get(f"{SMALL}/jobs/{job}").json()
    assert (found["code"], "'year'" in found["error"]) == ("bad_schema", True)
    problem(add(served, document), 400, "bad_schema")
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Document) and each.id == "wrong"]
