"""The cost of requests: refused before the work, shared by a batch, and ended with its caller."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from indexer.building.pipeline import build_collection
from tests.service.conftest import Serve, Served, eventually, write_documents
from tests.service.test_routes import problem

LARGE = "/v1/collections/large"
DOCUMENTS = 20
TEXT_BYTES = 5_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    """Return a service whose answers are smaller than ten of its documents."""
    root = tmp_path_factory.mktemp("large")
    text = "Heat flows into the plate. " * (TEXT_BYTES // 27)
    documents = [
        {"id": f"d{i}", "title": f"Plate {i}", "text": text, "kind": "k", "part": f"p{i}"} for i in range(DOCUMENTS)
    ]
    build_collection([write_documents(root / "documents.jsonl", documents)], root / "collections" / "large")
    limits = {
        "limits.answer_bytes": 9 * TEXT_BYTES,
        "limits.examples": 8,
        "limits.explained": 8,
        "limits.facet_values": 4 * DOCUMENTS,
        "limits.filter_values": 5 * DOCUMENTS,
    }
    with serve(root / "collections", **limits) as served:
        yield served


def batch(count: int, /, **options: Any) -> dict[str, Any]:
    return {"searches": [{"query": f"heat {i}", "mode": "lexical", "k": 1} | options for i in range(count)]}


TOO_COSTLY = {
    "hits to explain": ("/search/batch", batch(3, k=3, explain=True), "9 hits to explain, over the limit of 8"),
    "passages to highlight": ("/search/batch", batch(5, highlight=True), "10 passages to highlight"),
    "facets of a batch": ("/search/batch", batch(2, facets=["kind", "part"]), "120 values to count or sort"),
    "totals of a batch": ("/search/batch", batch(5, count=True), "100 values to count or sort"),
    "orders of a batch": ("/search/batch", batch(5, sort="kind"), "100 values to count or sort"),
    "conditions of a batch": ("/search/batch", batch(3, filter='kind = "k" OR part = "p1"'), "120 values"),
    "hits of a batch": ("/search/batch", batch(3, offset=3_400), "10,203 hits"),
    "bytes of a search": ("/search", {"query": "heat", "k": 20, "include": ["text"]}, "limits.answer_bytes"),
    "texts around passages": (
        "/search",
        {"query": "heat", "k": 6, "detail": "full", "neighbours": 10, "passages_per_document": 100},
        "limits.answer_bytes",
    ),
    "examples of a batch": ("/search/batch", batch(5, like=["d1"], unlike=["d2"]), "10 documents as examples"),
    "bytes of a batch": ("/search/batch", batch(12, include=["text"]), "limits.answer_bytes"),
    "weights of attention": ("/attention", {"query": "heat", "id": "d1"}, "limits.answer_bytes"),
}


@pytest.mark.parametrize("kind", TOO_COSTLY)
def test_a_costly_request_is_refused_with_its_cost_and_the_limit(large: Served, kind: str) -> None:
    path, body, detail = TOO_COSTLY[kind]
    assert detail in problem(large.http.post(LARGE + path, json=body), 413, "too_large").detail


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search/batch", batch(2, k=3, explain=True)),
        ("/search/batch", batch(2, facets=["kind"] * 16)),
        ("/search/batch", batch(6)),
        ("/search/batch", batch(4, like=["d1"], unlike=["d2"])),
        ("/search/batch", batch(5, filter='kind = "k"')),
        ("/search", {"query": "heat", "k": 6, "include": ["text"]}),
        ("/search", {"query": "heat", "k": 20, "passages_per_document": 1}),  # without the texts of the documents
    ],
)
def test_a_request_within_its_budget_is_answered(large: Served, path: str, body: dict[str, Any]) -> None:
    answer = large.http.post(LARGE + path, json=body)
    assert answer.status_code == 200, answer.text


def test_a_page_of_documents_is_bounded(large: Served) -> None:
    problem(large.http.get(f"{LARGE}/documents", params={"limit": 20}), 413, "too_large")
    assert len(large.http.get(f"{LARGE}/documents", params={"limit": 5}).json()["documents"]) == 5


def test_token_states_are_bounded_before_they_are_computed(large: Served) -> None:
    assert large.http.post("/embed_all", json={"inputs": ["heat"]}).status_code == 200
    assert large.http.post("/embed_all", json={"inputs": ["heat " * 100] * 8}).status_code == 413
    assert large.http.post("/tokenize", json={"inputs": "!" * 20_000}).status_code == 413


def test_a_repeated_facet_is_counted_once(small: Served) -> None:
    body = {"query": "heat", "facets": ["year"] * 16}
    answer = small.http.post("/v1/collections/small/search", json=body).json()
    assert list(answer["facets"]) == ["year"]


def test_large_answers_are_the_same_in_parts(small: Served) -> None:
    """An answer of more than a megabyte is made in parts, a small one at once."""
    body = {"input": [f"text {i}" for i in range(300)], "model": "default"}
    whole = small.http.post("/v1/embeddings", json=body).json()
    vectors = [each["embedding"] for each in whole["data"]]
    single = [small.http.post("/embed", json={"inputs": body["input"][i]}).json()[0] for i in (0, 299)]
    assert [vectors[0], vectors[299]] == [pytest.approx(vector, abs=1e-3) for vector in single]
    searches = [{"query": f"heat {i} " + "and diet " * 100, "explain": True, "k": 5} for i in range(10)]
    results = small.http.post("/v1/collections/small/search/batch", json={"searches": searches}).json()["results"]
    for search, result in zip(searches, results, strict=True):
        alone = small.http.post("/v1/collections/small/search", json=search).json()
        for answer in (alone, result):
            del answer["timings_ms"]
        assert result == alone


def send(served: Served, path: str, body: object) -> socket.socket:
    """Send a request, and return the connection without reading the answer."""
    content = json.dumps(body).encode()
    address = urlsplit(served.url)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {address.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    connection.sendall(head.encode() + content)
    return connection


def batches(served: Served) -> float:
    """Return the number of batches that the embedding queue has encoded."""
    lines = served.http.get("/metrics").text.splitlines()
    counts = [
        line.split()[1] for line in lines if line.startswith('attendex_encode_batch_size_count{queue="embedding"')
    ]
    return float(counts[0]) if counts else 0


TEXTS = {"inputs": [f"{i} " + "heat and diet " * 70 for i in range(2_000)]}  # more than a hundred batches


def check_idle(served: Served) -> None:
    """Check that the encoder works for no earlier request: at most one batch had begun."""
    eventually(lambda: served.lifecycle.in_progress == 0)
    before, statuses = batches(served), []

    def is_free() -> bool:
        statuses.append(served.http.post("/embed", json={"inputs": "the encoder is free"}).status_code)
        return statuses[-1] == 200

    eventually(is_free)
    assert batches(served) <= before + 1 + len(statuses)


@pytest.mark.parametrize("next_request", [b"", b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n" * 3])
def test_the_work_ends_when_the_client_leaves(collections: Path, serve: Serve, next_request: bytes) -> None:
    with serve(collections) as served:
        connection = send(served, "/embed", TEXTS)
        connection.sendall(next_request)
        eventually(lambda: batches(served) > 0)
        connection.close()
        check_idle(served)
        statuses = served.http.get("/metrics").text
        assert 'attendex_http_requests_total{method="POST",route="/embed",status="499"} 1.0' in statuses


def test_the_work_ends_at_the_deadline(collections: Path, serve: Serve) -> None:
    with serve(collections, **{"limits.seconds": 3.0}) as served:
        assert served.http.post("/embed", json=TEXTS).status_code == 503
        check_idle(served)
