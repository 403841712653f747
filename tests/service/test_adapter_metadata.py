"""Metadata keep their names and types through each adapter; its examples run."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import InputError
from service.adapters.exact_metadata import received_metadata, sent_metadata
from service.client import Client
from tests.conftest import REPOSITORY
from tests.service.conftest import Serve, Served

METADATA: dict[str, Any] = {
    "title": "My title",
    "score": 1.0,
    "source": ["a", "b"],
    "id": 17,
    "text": "mine",
    "metadata": {"passages": [{"start": 0, "end": 1}]},
    "page": None,
    "heading": "",
    "day": date(2024, 5, 1),
    "when": datetime(2024, 5, 1, 10, 30, tzinfo=UTC),
    "naive": datetime(2024, 5, 1, 10, 30, 1, 5),
    "hour": time(10, 30),
    "written": "2024-05-01",
    "large": 2**60 + 1,
    "huge": -(2**70),
    "fraction": 0.1,
    "whole": 4.0,
    "price": Decimal("9.90"),
    "key": uuid.UUID(int=7),
    "pair": (1, 2.0),
    "mixed": [1, "a", None, 2.0, True],
    "empty": [],
    "nested": {"a": {"b": [{"c": 1.0}, (date(2024, 1, 1),)]}, "x.y": 1},
    "flag": False,
}
TEXT = "  A text about tea, with white space around it.\n"


def exact(value: Any) -> Any:
    """Return a value that is equal only to values of the same types."""
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [exact(each) for each in value]
    return type(value).__name__, value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3)
    | st.dates() | st.datetimes(timezones=st.none() | st.just(UTC)) | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_each_value_survives_json(metadata: dict[str, Any]) -> None:
    sent = json.loads(json.dumps(sent_metadata(metadata, {"more": 1})))
    received, parts = received_metadata(sent)
    assert exact(received) == exact(metadata)
    assert parts == {"more": 1}


def test_other_programs_may_change_the_fields() -> None:
    sent = sent_metadata({"when": date(2024, 5, 1), "list": [1.0, 2.0]})
    assert received_metadata({**sent, "when": "today", "list": [3]})[0] == {"when": "today", "list": [3.0]}
    assert received_metadata({"_attendex": "no JSON", "x": 1}) == ({"x": 1}, {})
    for bad in ({"_attendex": 1}, {1: "x"}, {"a": {2: "x"}}):
        with pytest.raises(InputError):
            sent_metadata(bad)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("metadata") / "collections"
    shutil.copytree(collections, root)
    with serve(root) as served:
        yield served


@pytest.fixture
def client(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("ATTENDEX_URL", served.url)
    with Client(served.url) as client:
        for name in ("drinks", "nodes", "notes", "exact"):
            if name in {each.name for each in client.collections()}:
                client.drop(name)
        client.create("exact")
        yield client


def test_langchain(client: Client) -> None:
    pytest.importorskip("langchain_core")
    from service.adapters.langchain import AttendexRetriever, AttendexVectorStore

    store = AttendexVectorStore(client, "exact")
    store.add_texts([TEXT], [METADATA], ids=["tea"])
    for found in (*store.get_by_ids(["tea"]), *store.similarity_search("tea", k=1)):
        assert (found.page_content, exact(found.metadata)) == (TEXT, exact(METADATA))
    [passage] = AttendexRetriever(client=client, collection="exact", options={"neighbours": 1}).invoke("tea")
    assert exact({name: passage.metadata[name] for name in METADATA}) == exact(METADATA)
    assert passage.metadata["passage"] == 1
    [some] = store.similarity_search("tea", k=1, fields=["day"])
    assert some.metadata == {"title": "My title", "day": date(2024, 5, 1)}
    with pytest.raises(ValueError, match="Extra inputs"):
        AttendexRetriever(client=client, collection="exact", n=3)  # type: ignore[call-arg]


def test_llama_index(client: Client) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores.types import VectorStoreQuery

    from service.adapters.llama_index import AttendexRetriever, AttendexVectorStore

    store = AttendexVectorStore(client, "exact")
    store.add([TextNode(id_="tea", text=TEXT, metadata=METADATA)])
    for node in (*store.get_nodes(["tea"]), *(store.query(VectorStoreQuery(query_str="tea")).nodes or [])):
        assert (node.get_content(), exact(node.metadata)) == (TEXT, exact(METADATA))
    [found] = AttendexRetriever(client, "exact").retrieve("tea")
    assert exact({name: found.node.metadata[name] for name in METADATA}) == exact(METADATA)


def test_haystack(client: Client) -> None:
    pytest.importorskip("haystack")
    from haystack import Document
    from haystack.dataclasses import ByteStream, SparseEmbedding

    from service.adapters.haystack import AttendexDocumentStore, AttendexRetriever

    store = AttendexDocumentStore("exact")
    given = Document(
        id="tea",
        content=TEXT,
        meta=METADATA,
        score=0.25,
        embedding=[0.1, 1 / 3],
        sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25]),
        blob=ByteStream(b"\x00\xff", {"a": 1}, "image/png"),
    )
    without = Document(id="blob", content=None, blob=ByteStream(b"x"), meta={"n": 1})
    store.write_documents([given, without])
    assert store.filter_documents() == [given, without]
    assert exact(store.filter_documents()[0].meta) == exact(METADATA)
    [found] = AttendexRetriever(store, top_k=1).run("tea")["documents"]
    assert found.content == TEXT
    assert exact({name: found.meta[name] for name in METADATA}) == exact(METADATA)
    [found] = AttendexRetriever(store, top_k=1, whole_documents=True).run("tea")["documents"]
    assert exact(found.meta) == exact(METADATA)
    changes = {"title": "New", "nested": {"z": (1.0,)}, "whole": None, "day": date(2025, 1, 1)}
    assert store.update_by_filter({"field": "id", "operator": "==", "value": "tea"}, changes) == 1
    expected = {name: value for name, value in {**METADATA, **changes}.items() if name != "whole"}
    [changed] = store.filter_documents({"field": "meta.nested.z", "operator": "==", "value": 1})
    assert exact(changed.meta) == exact(expected)
    assert (changed.content, changed.embedding, changed.blob) == (TEXT, given.embedding, given.blob)
    assert client.document("exact", "tea").title == "New"
    store.client.close()


PACKAGES = {"LangChain": "langchain_core", "LlamaIndex": "llama_index.core", "Haystack": "haystack"}


@pytest.mark.parametrize("framework", PACKAGES)
def test_the_examples_of_the_page_run(client: Client, framework: str) -> None:
    pytest.importorskip(PACKAGES[framework])
    page = (REPOSITORY / "docs" / "adapters.md").read_text(encoding="utf-8")
    [code] = re.findall(rf"## {framework}\n.*?```python\n(.*?)```", page.split("## Common")[0], re.DOTALL)[:1]
    names: dict[str, Any] = {}
    exec(code, names)
    names["client"].close()
    if framework == "LangChain":
        assert [each.page_content for each in names["best"]] == ["Coffee is made from beans."]
        assert len(names["diverse"]) == 2
        assert names["passages"][0].page_content == "Tea is made from leaves."
    elif framework == "LlamaIndex":
        assert [each.node.get_content() for each in names["nodes"]] == ["Tea is made from leaves."]
        assert names["passages"][0].node.get_content() == "Bread needs flour."
    else:
        assert [each.content for each in names["found"]] == ["Tea is made from leaves."]
        assert [each.meta.get("reviewed") for each in names["store"].filter_documents()] == [True, None]
        names["store"].client.close()
    for each in client.collections():
        if each.name in ("drinks", "nodes", "notes"):
            client.drop(each.name)
