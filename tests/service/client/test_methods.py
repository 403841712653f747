"""The methods of the client: each route has one, and both clients send the same."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias, get_type_hints

import httpx
import pytest

from service.client import AsyncClient, Client, ServiceError
from service.client.answers.jobs import JobAnswer
from service.client.options import Bm25Request, BoostRequest, ExplainOptions, RerankRequest, SearchOptions
from service.schemas.bm25 import Bm25Body
from service.schemas.boosts import BoostBody
from service.schemas.pages import ExplainBody
from service.schemas.search import RerankOptionsBody, SearchBody
from tests.service.conftest import Served

Sent: TypeAlias = tuple[str, str, str, Any]  # method, path, parameters, body

JOB = JobAnswer(id="j", collection="c", status="queued")
CALLS: dict[str, tuple[Any, ...]] = {  # a call of each method
    "add": ("c", [{"id": "1", "text": "x"}]),
    "aliases": (),
    "answer": ("c", "q"),
    "answer_parts": ("c", "q"),
    "click": ("c", "0" * 16, "d", 1),
    "collection": ("c",),
    "collections": (),
    "context": ("c", "q"),
    "create": ("c",),
    "delete": ("c", ["1"]),
    "delete_standing": ("c", "s"),
    "document": ("c", "d"),
    "documents": ("c",),
    "drop": ("c",),
    "embed": ("text",),
    "explain": ("c", "q", "d"),
    "facet_values": ("c", "f"),
    "finished": (JOB,),
    "job": ("c", "j"),
    "job_events": ("c", "j"),
    "jobs": ("c",),
    "judge": ("c", "q", "d", 3),
    "judgment_file": ("c", "qrels.tsv"),
    "judgments": ("c",),
    "measures": ("c",),
    "models": (),
    "original": ("c", "d"),
    "originals": ("c", ["d"]),
    "overview": ("c",),
    "page": ("c",),
    "passages": ("c", "q"),
    "patch": ("c", "d", {"year": None}),
    "pins": ("c",),
    "queries": ("c",),
    "ready": (),
    "reindex": ("c",),
    "remove_alias": ("a",),
    "replace_pins": ("c", []),
    "replace_synonyms": ("c", []),
    "rerank": ("q", ["d"]),
    "save_standing": ("c", "s", "q"),
    "search": ("c", "q"),
    "search_batch": ("c", ["q"]),
    "search_interleaved": ("c", "n", "q", {}, {"mode": "dense"}),
    "set_alias": ("a", "c"),
    "similar": ("c", "d"),
    "standing": ("c",),
    "standing_matches": ("c", "s"),
    "suggest": ("c", "q"),
    "sync_state": ("c",),
    "synonyms": ("c",),
    "text": ("c", "d"),
    "tokenize": ("text",),
    "update": ("c", [{"id": "1"}]),
    "upload": ("c", [{"id": "1", "text": "x"}]),
    "upload_files": ("c", [__file__]),
}
FURTHER: tuple[tuple[str, tuple[Any, ...]], ...] = (  # calls of methods that have several routes
    ("search", (["c", "d"], "q")),
    ("judgment_file", ("c", "queries.jsonl")),
    ("judgment_file", ("c", "qrels.txt")),
)
WITHOUT_METHOD = {  # routes, and why they have no method
    "GET /v1/collections/{name}/search": "POST does it, with all options",
    "GET /v1/collections/{name}/documents/{document_id}/similar": "`similar` sends a search with `like`",
    "POST /v1/collections/{name}/passages/search": "`passages` sends a search with `group_by`",
    "DELETE /v1/collections/{name}/documents/{document_id}": "`delete` does it for any ids",
    "GET /v1/models/{model}": "`models` has them all",
    "GET /v1/collections/{name}/projection": "of the search page",
    "POST /v1/collections/{name}/attention": "of the search page",
    "GET /healthz": "of the operator",
    "GET /livez": "of the operator",
    "GET /metrics": "of the operator",
    "POST /embed": "Text Embeddings Inference; `embed` does it",
    "POST /embed_all": "Text Embeddings Inference",
    "POST /similarity": "Text Embeddings Inference",
    "POST /rerank": "Text Embeddings Inference; `rerank` does it",
    "GET /info": "Text Embeddings Inference",
    "GET /health": "Text Embeddings Inference; `ready` does it",
    "POST /v1/rerank": "an older version; `rerank` does it",
}


def public(client: type) -> dict[str, Any]:
    return {
        name: each
        for name, each in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith("_") and name != "close"
    }


def sent_by(name: str, arguments: tuple[Any, ...]) -> list[Sent]:
    """What the synchronous client sends, to a service that refuses everything."""
    sent: list[Sent] = []
    with Client(
        "http://service", retries=0, transport=httpx.MockTransport(lambda request: refuse(sent, request))
    ) as client:
        try:
            found = getattr(client, name)(*arguments)
            if isinstance(found, Iterator):
                next(found)
        except ServiceError:
            pass
    return sent


async def sent_by_async(name: str, arguments: tuple[Any, ...]) -> list[Sent]:
    sent: list[Sent] = []
    transport = httpx.MockTransport(lambda request: refuse(sent, request))
    async with AsyncClient("http://service", retries=0, transport=transport) as client:
        try:
            found = getattr(client, name)(*arguments)
            await (anext(found) if isinstance(found, AsyncIterator) else found)
        except ServiceError:
            pass
    return sent


def refuse(sent: list[Sent], request: httpx.Request) -> httpx.Response:
    """Record a request."""
    path, _, parameters = request.url.raw_path.decode().partition("?")
    is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
    body = json.loads(request.content) if request.content and not is_form else None
    sent.append((request.method, path, parameters, body))
    return httpx.Response(400, content=b"refused")


def test_every_method_is_called_here() -> None:
    assert sorted(public(Client)) == sorted(CALLS)


@pytest.mark.parametrize(("name", "arguments"), [*CALLS.items(), *FURTHER])
def test_both_clients_send_the_same(name: str, arguments: tuple[Any, ...]) -> None:
    sent = sent_by(name, arguments)
    assert len(sent) == 1
    assert asyncio.run(sent_by_async(name, arguments)) == sent


def test_both_clients_have_the_same_methods() -> None:
    one, other = public(Client), public(AsyncClient)
    assert one.keys() == other.keys()
    for name, method in one.items():
        assert method.__doc__ == other[name].__doc__, name
        here, there = (inspect.signature(each).parameters for each in (method, other[name]))
        assert [(each.name, each.kind, each.default) for each in here.values()] == [
            (each.name, each.kind, each.default) for each in there.values()
        ], name
        types, others = get_type_hints(method), get_type_hints(other[name])
        differ = {each for each in types if types[each] != others[each]}
        streams = {"documents": {"return"}, "job_events": {"return"}, "answer_parts": {"return"}}
        assert differ == {"upload": {"documents"}, **streams}.get(name, set()), name


def test_every_route_has_a_method(small: Served) -> None:
    document = small.http.get("/openapi.json").json()
    patterns = {
        f"{method.upper()} {path}": re.compile(f"{method.upper()} " + re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(path)))
        for path, methods in document["paths"].items()
        for method in methods
    }
    called = {
        f"{sent[0]} {sent[1]}" for name, arguments in (*CALLS.items(), *FURTHER) for sent in sent_by(name, arguments)
    }
    reached = {route for route, pattern in patterns.items() if any(map(pattern.fullmatch, called))}
    assert patterns.keys() - reached == WITHOUT_METHOD.keys()
    assert [call for call in called if not any(pattern.fullmatch(call) for pattern in patterns.values())] == []


@pytest.mark.parametrize(
    ("options", "body", "others"),
    [
        (SearchOptions, SearchBody, {"query"}),
        (ExplainOptions, ExplainBody, {"query", "id"}),
        (RerankRequest, RerankOptionsBody, set()),
        (Bm25Request, Bm25Body, set()),
        (BoostRequest, BoostBody, set()),
    ],
)
def test_options_are_those_of_the_request(options: Any, body: Any, others: set[str]) -> None:
    assert options.__annotations__.keys() == body.model_fields.keys() - others
