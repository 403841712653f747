"""Settings of lexical search, changed over HTTP as a job."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrieval.index.storage.manifest import read_manifest
from service.client import Client
from service.client.answers.jobs import JobAnswer
from service.queues.jobs import ChangeJob, Reindex, job_of
from tests.service.conftest import Serve, Served

PATH = "/v1/collections/shop"


@pytest.fixture(scope="module")
def shop(collections: Path, serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a service with a collection of its own, whose documents have brands."""
    root = tmp_path_factory.mktemp("shop")
    shutil.copytree(collections / "small", root / "shop")
    with serve(root) as served:
        documents = [{"id": "jacket", "text": "It keeps the rain out.", "brand": "Northpeak"}]
        served.http.post(f"{PATH}/documents", json={"documents": documents}, params={"wait": True}).raise_for_status()
        yield served


def test_searched_fields_are_changed_by_a_job(shop: Served) -> None:
    body = {"query": "northpeak", "mode": "lexical", "typos": False}
    assert shop.http.post(f"{PATH}/search", json=body).json()["hits"] == []
    settings: dict[str, Any] = {"searched_fields": {"brand": 2}, "stop_words": ["the"], "language": "english,german"}
    answer = shop.http.post(f"{PATH}/reindex", json=settings, params={"wait": True})
    job = JobAnswer.model_validate(answer.json(), extra="forbid")
    assert (answer.status_code, job.status, job.generation) == (200, "done", 3)
    assert [hit["id"] for hit in shop.http.post(f"{PATH}/search", json=body).json()["hits"]] == ["jacket"]
    lexical = read_manifest(shop.root / "shop").settings.lexical
    assert lexical is not None
    assert (lexical.searched, lexical.stop_words, lexical.language) == ((("brand", 2.0),), ("the",), "english,german")
    events = shop.http.get(f"{PATH}/jobs/{job.id}/events").text
    assert [line for line in events.splitlines() if line.startswith("event")] == ["event: committed", "event: done"]
    with Client(shop.url) as client:  # other settings stay, and the same ones make no generation
        assert client.reindex("shop", title_weight=2).generation == 4
        assert client.reindex("shop", title_weight=2).generation == 4
        assert client.collection("shop").searched_fields == {"brand": 2.0}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "names no setting to change"),
        ({"title_weight": 0}, 422, "0.1"),
        ({"stop_words": "all"}, 422, "stop_words"),
        ({"searched_fields": {"brnd": 1}}, 400, "did you mean 'brand'?"),
        ({"searched_fields": {"brand": 1e9}}, 400, "from 0.1 to 100"),
        ({"language": "klingon"}, 400, "no stemmer for 'klingon'"),
        ({"titel_weight": 2}, 422, "title_weight"),
    ],
)
def test_wrong_settings_make_no_job(shop: Served, body: dict[str, Any], status: int, said: str) -> None:
    before = len(shop.http.get(f"{PATH}/jobs").json()["jobs"])
    answer = shop.http.post(f"{PATH}/reindex", json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert len(shop.http.get(f"{PATH}/jobs").json()["jobs"]) == before


def test_another_collection_is_not_found(shop: Served) -> None:
    assert shop.http.post("/v1/collections/other/reindex", json={"k1": 1.0}).status_code == 404


def test_a_stored_job_is_the_same_after_a_restart() -> None:
    work = Reindex({"searched": (("brand", 2.0),), "stop_words": ("the", "a"), "k1": 1.2})
    record = ChangeJob("shop", Path("shop"), 7, work).accepted_record()
    assert job_of("j", record, Path("shop"), "shop").work == work
