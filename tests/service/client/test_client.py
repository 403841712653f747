"""The Python client against a running service."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.util.files import locked
from service.client import (
    AsyncClient,
    AuthenticationError,
    Client,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ServerError,
    ServiceError,
)
from service.client import documents as client_documents
from service.client import uploads as client_uploads
from service.client.events import Event, EventReader
from service.client.retries import pause_after, pauses
from tests.service.conftest import Serve, Served, eventually


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("client") / "collections"
    shutil.copytree(collections, root)
    with serve(root) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.url) as client:
        yield client


def test_importing_it_loads_no_heavy_library() -> None:
    heavy = ("torch", "faiss", "numpy", "pyarrow", "fastapi", "openvino")
    own = "[name for name in sys.modules if name.startswith(('retrieval.', 'indexer.', 'service.schemas'))]"
    program = f"import sys, service.client; print(*[name for name in {heavy} if name in sys.modules], *{own})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_searching(client: Client) -> None:
    found = client.search("small", "how do cats sleep", k=2, mode="dense")
    assert [hit.id for hit in found.hits][:1] == ["cat/1"]
    assert repr(found.hits[0].metadata["year"]) == "2020"  # a whole number, not 2020.0
    assert {hit.collection for hit in client.search(["small"], "how do cats sleep").hits} == {"small"}
    several = client.search_batch("small", ["cats", "heat"], k=1)
    assert [each.hits[0].id for each in several] == ["cat/1", "heat"]
    assert client.document("small", "cat/1").title == "Cats"
    part = client.text("small", "cat/1", max_tokens=16)
    assert (part.text, part.start, part.next_start) == ("Cats sleep for most of the day and hunt at night.", 0, None)
    assert [field.name for field in client.overview("small").fields] == ["year"]
    assert client.explain("small", "cats", "cat/1").lexical is not None
    assert "cat/1" not in [hit.id for hit in client.similar("small", "cat/1", k=2).hits]
    assert client.suggest("small", "ca").titles[0].id == "cat/1"
    assert [each.name for each in client.collections()] == ["small"]
    assert client.collection("small").documents == 5
    assert client.ready()


def test_embedding_and_reranking(client: Client) -> None:
    [vector] = client.embed(["a text"])
    assert abs(sum(x * x for x in vector) - 1) < 1e-4
    assert client.rerank("cats", ["heat flows", "cats sleep"], top_n=1)[0].index == 1


def test_changing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_uploads, "UPLOAD_DOCUMENTS", 7)
    client.create("new", fields={"number": "number"})
    documents = ({"id": f"d/{n}", "text": f"Document number {n}.", "number": n} for n in range(40))
    report = client.upload("new", documents)
    assert (report.added, report.unchanged) == (40, 0)
    assert client.upload("new", [{"id": "d/0", "text": "Document number 0.", "number": 0}]).unchanged == 1
    assert client.collection("new").documents == 40
    assert client.delete("new", ["d/0"], filter="number >= 30").deleted == 11
    assert client.collection("new").documents == 29
    with pytest.raises(ServiceError, match="number") as caught:
        client.upload("new", [{"id": "x", "text": "y", "number": "no number"}])
    assert caught.value.code == "bad_schema"
    monkeypatch.setattr(client_documents, "PAGE_DOCUMENTS", 10)
    assert [each.id for each in client.documents("new")] == [f"d/{n}" for n in range(1, 30)]
    assert [each.metadata["number"] for each in client.documents("new", "number < 3", sort="-number")] == [2, 1]
    client.drop("new")


def test_errors_say_what_and_how(client: Client) -> None:
    with pytest.raises(ServiceError, match="404: no collection 'none' here") as caught:
        client.search("none", "cats")
    assert (caught.value.status, caught.value.code) == (404, "collection_not_found")
    assert caught.value.problem is not None
    assert caught.value.problem.request_id
    with Client("http://127.0.0.1:1", retries=0) as nobody:
        assert not nobody.ready()
        with pytest.raises(ServiceError, match="attendex serve"):
            nobody.collections()


def test_it_tries_again_when_there_was_no_room(served: Served) -> None:
    left = [429, 503]

    class Refusing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if left:
                return httpx.Response(left.pop(), headers={"retry-after": "0"}, content=b"busy")
            return super().handle_request(request)

    with Client(served.url, transport=Refusing()) as client:
        assert client.collections()
    left += [429] * 9
    with Client(served.url, transport=Refusing(), retries=2) as client, pytest.raises(ServiceError, match="429: busy"):
        client.collections()
    assert len(left) == 6


def test_it_tries_again_when_nobody_listens_yet() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with (
            Client(f"http://127.0.0.1:{reserved.getsockname()[1]}", retries=2) as client,
            pytest.raises(ServiceError) as caught,
        ):
            client.collections()
    assert caught.value.code == "unreachable"


def test_the_same_for_asyncio(served: Served) -> None:
    async def documents() -> AsyncIterator[dict[str, str]]:
        for number in range(10):
            yield {"id": str(number), "text": f"Text {number}"}

    async def main() -> None:
        async with AsyncClient(served.url) as client:
            found = await asyncio.gather(*(client.search("small", query, k=1) for query in ("cats", "heat")))
            assert [each.hits[0].id for each in found] == ["cat/1", "heat"]
            await client.create("later")
            assert (await client.upload("later", documents())).added == 10
            assert (await client.upload("later", [{"id": "0", "text": "Text 0"}])).unchanged == 1
            assert (await client.delete("later", ["0"])).deleted == 1
            assert len((await client.search_batch("later", ["text"]))[0].hits) == 9
            assert (await client.document("later", "1")).text == "Text 1"
            assert len(await client.embed(["x", "y"], queries=True)) == 2
            assert (await client.rerank("cats", ["heat", "cats"]))[0].index == 1
            assert {each.name for each in await client.collections()} >= {"later", "small"}
            assert (await client.collection("later")).documents == 9
            assert [each.id async for each in client.documents("later")] == [str(n) for n in range(1, 10)]
            assert await client.ready()
            await client.drop("later")
            with pytest.raises(ServiceError, match="404"):
                await client.collection("later")

    asyncio.run(main())


def test_two_callers_that_are_asked_to_wait_do_not_come_back_together() -> None:
    refused = httpx.Response(429, headers={"retry-after": "1"})
    waits = {pause_after(refused, "", pause) for pause in (*pauses(1), *pauses(1)) if pause is not None}
    assert len(waits) == 2
    assert min(waits) > 1


def test_retry_after_is_kept_to_or_the_refusal_is_final() -> None:
    date = (datetime.now(UTC) + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for header, lowest, highest in (("7", 7, 8), (date, 28, 31), ("", 0, 1), ("soon", 0, 1)):
        wait = pause_after(httpx.Response(503, headers={"retry-after": header}), "unavailable", 0.5)
        assert wait is not None
        assert lowest < wait < highest, header
    assert pause_after(httpx.Response(503, headers={"retry-after": "3600"}), "unavailable", 0.5) is None
    assert pause_after(httpx.Response(503), "deadline_exceeded", 0.5) is None
    assert pause_after(httpx.Response(409), "stale_cursor", 0.5) is None
    assert pause_after(httpx.Response(409, headers={"retry-after": "1"}), "generation_not_served", 0.5) == 1.5


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, InvalidRequestError),
        (429, OverloadedError),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_each_kind_of_failure_has_a_class(status: int, kind: type[ServiceError]) -> None:
    problem = {
        "title": "t",
        "status": status,
        "detail": "d",
        "code": "c",
        "errors": [{"pointer": "#/k", "detail": "x"}],
    }
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=problem))
    with Client(transport=transport, retries=0) as client, pytest.raises(kind) as caught:
        client.collections()
    assert (type(caught.value), caught.value.code, caught.value.detail) == (kind, "c", "d")
    assert caught.value.problem is not None
    assert caught.value.problem.errors[0].pointer == "#/k"


def test_a_stale_cursor_is_a_conflict(client: Client) -> None:
    client.create("moving")
    client.add("moving", [{"id": str(n), "text": f"Text {n}"} for n in range(3)])
    pages = client.documents("moving", page=2)
    assert next(pages).id == "0"
    client.add("moving", [{"id": "new", "text": "Text"}])
    assert next(pages).id == "1"
    with pytest.raises(ConflictError) as caught:
        next(pages)
    assert caught.value.code == "stale_cursor"
    client.drop("moving")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))  # with all signs that Python takes as ends of lines


@given(st.lists(st.tuples(st.sampled_from(["", "7"]), st.sampled_from(["message", "done"]), TEXTS)), st.data())
def test_events_are_read_however_they_arrive(sent: list[tuple[str, str, str]], data: st.DataObject) -> None:
    lines, last = "retry: 500\n\n: heartbeat\n\n", ""
    expected = []
    for id_, name, text in sent:
        lines += (f"id: {id_}\n" if id_ else "") + (f"event: {name}\n" if name != "message" else "")
        lines += f"data: {json.dumps({'text': text}, ensure_ascii=False)}\n\n"
        last = id_ or last
        expected.append(Event(last, name, {"text": text}))
    stream, reader, found = lines.encode(), EventReader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.take(stream[:size])
        stream = stream[size:]
    assert found == expected


@pytest.mark.parametrize(
    "id", ["../../other/documents/moon", "a/../b", "..", ".", "a//b", "/", "100 %", "a?b#c", "%2e%2e", "größe"]
)
def test_an_id_leads_nowhere_else(client: Client, id: str) -> None:
    client.create("other")
    client.create("ids")
    try:
        client.add("other", [{"id": "moon", "text": "The moon of another collection."}])
        with pytest.raises(ServiceError) as caught:
            client.document("ids", id)
        assert caught.value.code == "document_not_found"
        assert client.add("ids", [{"id": id, "text": "Here."}]).added == 1
        assert client.document("ids", id).id == id
        assert client.delete("ids", id).deleted == 1
    finally:
        client.drop("other")
        client.drop("ids")


def test_what_takes_longer_than_a_request_may_is_waited_for(collections: Path, tmp_path: Path, serve: Serve) -> None:
    shutil.copytree(collections, tmp_path / "collections")
    statuses: list[int] = []

    class Recording(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            statuses.append(answer.status_code)
            return answer

    with (
        serve(tmp_path / "collections", **{"limits.seconds": 2}) as served,
        Client(served.url, transport=Recording()) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        with locked(tmp_path / "collections" / "small" / "lock"):
            adding = pool.submit(client.add, "small", [{"id": "new", "text": "A new text."}])
            eventually(lambda: 202 in statuses)  # the time of the request is over, and the job waits
        assert adding.result().status == "done"
        assert client.collection("small").documents == 6


def test_whatever_answers_it_is_a_service_error(served: Served) -> None:
    class Other(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v1/embeddings":
                return httpx.Response(400, json={"error": {"message": "no such model", "code": "bad_input"}})
            if request.method == "POST":
                raise httpx.ReadTimeout("too late")
            return httpx.Response(200, content=b"<html>")

    with Client(served.url, transport=Other(), retries=0) as client:
        for ask, says in (
            (lambda: client.embed("cats"), "400: no such model"),
            (lambda: client.search("small", "cats"), "too late"),
            (client.collections, "another server"),
        ):
            with pytest.raises(ServiceError, match=says):
                ask()


def test_a_single_text_is_a_list_of_one(client: Client) -> None:
    assert client.embed("cats") == client.embed(["cats"])
    assert [each.index for each in client.rerank("cats", "Cats sleep.")] == [0]
