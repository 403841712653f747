"""Small random cross-encoders behind the rerank routes and in searches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.errors import SettingsError
from retrieval.metrics.runs import Topic
from retrieval.search.evaluated.systems import measure_system, parse_system
from service.client import Client
from service.runtime.reranker_registry import load_rerankers
from tests.retrieval.encoder.cross_encoders import save_cross_encoder
from tests.service.conftest import Serve, Served

TEXTS = ["Cats sleep.", "A much longer text about heat that flows " * 60, "Wings", ""]
SEARCH = "/v1/collections/small/search"
QUERY = "sleepy cats"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cross_encoder(tmp_path_factory.mktemp("rerankers") / "small-model")


@pytest.fixture(scope="module")
def served(collections: Path, serve: Serve, folder: Path) -> Iterator[Served]:
    with serve(collections, rerankers=[str(folder), f"twin={folder}"]) as found:
        yield found


def search(served: Served, **options: Any) -> dict[str, Any]:
    answer = served.http.post(SEARCH, json={"query": QUERY, **options})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_routes_use_it(served: Served, folder: Path) -> None:
    expected = load_cross_encoder(folder).score(QUERY, TEXTS)
    raw = served.http.post("/rerank", json={"query": QUERY, "texts": TEXTS, "raw_scores": True}).json()
    np.testing.assert_allclose([each["score"] for each in raw], np.sort(expected)[::-1], atol=1e-5)
    assert [each["index"] for each in raw] == np.argsort(-expected).tolist()
    probabilities = 1 / (1 + np.exp(-np.sort(expected)[::-1].astype(float)))
    for model in ("", "default", "small-model", "twin"):
        body = {"query": QUERY, "documents": TEXTS, "model": model}
        shown = served.http.post("/v2/rerank", json=body).json()["results"]
        np.testing.assert_allclose([each["relevance_score"] for each in shown], probabilities, atol=1e-5)


def test_searches_use_it(served: Served) -> None:
    plain = search(served)
    assert all("rerank" not in hit["scores"] for hit in plain["hits"])
    found = search(served, rerank={"model": "twin", "depth": 3, "weight": 1.0}, explain=True)
    assert {hit["id"] for hit in found["hits"][:3]} == {hit["id"] for hit in plain["hits"][:3]}
    logits = [hit["scores"]["rerank"] for hit in found["hits"]]
    assert logits[:3] == sorted(logits[:3], reverse=True)
    assert logits[3:] == [None, None]
    part = found["hits"][0]["explanation"]["rerank"]
    assert (part["model"], part["score"], part["weight"]) == ("twin", logits[0], 1.0)
    assert part["rescaled"] == pytest.approx(found["hits"][0]["score"])
    assert found["degraded"] == []
    assert found["timings_ms"]["rerank"] > 0


def test_every_way_of_asking_gives_one_answer(served: Served) -> None:
    options: dict[str, Any] = {"model": "twin", "depth": 4, "weight": 0.3}
    expected = [(hit["id"], hit["score"]) for hit in search(served, rerank=options)["hits"]]
    batch = {"searches": [{"query": QUERY, "rerank": options}]}
    url = {"q": QUERY, "rerank": "twin", "rerank_depth": 4, "rerank_weight": 0.3}
    answers = [
        served.http.get(SEARCH, params=url).json(),
        served.http.post(f"{SEARCH}/batch", json=batch).json()["results"][0],
    ]
    for answer in answers:
        assert [(hit["id"], hit["score"]) for hit in answer["hits"]] == expected
    with Client(served.url) as client:
        hits = client.search("small", QUERY, rerank={"model": "twin", "depth": 4, "weight": 0.3}).hits
    assert [(hit.id, hit.score) for hit in hits] == expected
    spec = parse_system(f"{served.url}/small:hybrid,rerank=twin,depth=4,rerank_weight=0.3")
    measured = measure_system(spec, [Topic(str(i), QUERY) for i in range(60)], 5)  # more than a batch may rerank
    assert {ranking.ids for ranking in measured.run.rankings.values()} == {tuple(id_ for id_, _ in expected)}


def test_pages_put_together_are_the_whole_ranking(served: Served) -> None:
    whole = search(served, rerank={"depth": 3})["hits"]
    pages = [search(served, rerank={"depth": 3}, k=1, offset=start)["hits"][0] for start in range(5)]
    assert [(hit["rank"], hit["id"]) for hit in pages] == [(hit["rank"], hit["id"]) for hit in whole]


@pytest.mark.parametrize(
    ("rerank", "status", "said"),
    [
        ({"model": "other"}, 404, "no reranker 'other' here; use one of small-model, twin"),
        ({"depth": 101}, 422, "100"),
        ({"depth": 0}, 422, "1"),
        ({"weight": 1.5}, 422, "1"),
        ({"unknown": 1}, 422, "unknown"),
    ],
)
def test_wrong_requests_are_refused(served: Served, rerank: dict[str, Any], status: int, said: str) -> None:
    answer = served.http.post(SEARCH, json={"query": QUERY, "rerank": rerank})
    assert answer.status_code == status
    assert said in answer.text


def test_an_explanation_has_both_stages(served: Served) -> None:
    options: dict[str, Any] = {"model": "twin", "depth": 3, "weight": 0.4}
    hits = search(served, rerank=options, explain=True)["hits"]
    for hit in hits[:3]:
        body = {"query": QUERY, "id": hit["id"], "rerank": options}
        found = served.http.post("/v1/collections/small/explain", json=body).json()
        assert found == hit["explanation"]
        part = found["rerank"]
        assert 0.6 * part["first"] + 0.4 * part["rescaled"] == pytest.approx(hit["score"])
    with Client(served.url) as client:
        explained = client.explain("small", QUERY, hits[0]["id"], rerank={"model": "twin", "depth": 3, "weight": 0.4})
    assert explained.rerank is not None
    assert explained.rerank.model == "twin"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"id": "nothing", "rerank": {}}, 404, "nothing"),
        ({"id": "aspirin", "rerank": {"depth": 1}}, 400, "'aspirin' is not among the first 1 hits"),
        ({"id": "aspirin", "rerank": {"depth": 101}}, 422, "100"),
        ({"id": "aspirin", "rerank": {"model": "other"}}, 404, "use one of small-model, twin"),
        ({"id": "aspirin", "rerank": {}, "start": 0}, 422, "start does not go with rerank"),
    ],
)
def test_wrong_explanations_are_refused(served: Served, body: dict[str, Any], status: int, said: str) -> None:
    answer = served.http.post("/v1/collections/small/explain", json={"query": QUERY, **body})
    assert answer.status_code == status, answer.text
    assert said in answer.text


def test_a_service_without_rerankers_loads_none(small: Served, folder: Path) -> None:
    for path, more in (("/search", {}), ("/explain", {"id": "aspirin"})):
        body = {"query": QUERY, "rerank": {"model": str(folder)}, **more}
        answer = small.http.post(f"/v1/collections/small{path}", json=body)
        assert (answer.status_code, "this service has no reranker" in answer.text) == (404, True), answer.text


def test_a_batch_has_one_budget(served: Served) -> None:
    one = {"query": QUERY, "rerank": {"depth": 100}}
    answer = served.http.post(f"{SEARCH}/batch", json={"searches": [one] * 3})
    assert answer.status_code == 413
    assert "costs 300 documents to rerank, over the limit of 200 (limits.reranked)" in answer.text


def test_an_unknown_model_of_the_rerank_routes_is_refused(served: Served, small: Served) -> None:
    body = {"query": QUERY, "documents": TEXTS, "model": "other"}
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        answer = served.http.post(path, json=body)
        assert (answer.status_code, "small-model, twin" in answer.text) == (404, True), answer.text
        assert small.http.post(path, json=body).status_code == 200  # without rerankers, any name means the encoder
    answer = small.http.post(SEARCH, json={"query": QUERY, "rerank": {}})
    assert (answer.status_code, "--reranker" in answer.text) == (404, True)


def test_too_little_time_degrades(collections: Path, serve: Serve, folder: Path) -> None:
    with serve(collections, rerankers=[str(folder)], **{"rerank_ms": 1e-6}) as hurried:
        plain, found = search(hurried), search(hurried, rerank={})
        assert (plain["degraded"], found["degraded"]) == ([], ["rerank"])
        assert [hit["id"] for hit in found["hits"]] == [hit["id"] for hit in plain["hits"]]


@pytest.mark.parametrize("words", [["=x"], ["a=x", "a=y"], ["default=x"]])
def test_names_must_tell_rerankers_apart(words: list[str]) -> None:
    with pytest.raises(SettingsError, match="NAME=FOLDER"):
        load_rerankers(words, "auto", "auto")
