"""The adapters against the real frameworks and a running service."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from retrieval.errors import FilterError, InputError
from service.client import AsyncClient, Client, ServiceError
from tests.service.conftest import Serve, Served


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("adapters") / "collections"
    shutil.copytree(collections, root)
    with serve(root) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.url) as client:
        yield client


GIVEN = {"day": "2024-05-01", "sizes": [1, 2], "author": {"name": "Ada"}, "parts": [{"n": 1}], "none": None, "title": 7}


class TestLangChain:
    def test_retriever(self, served: Served, client: Client) -> None:
        from service.adapters.langchain import AttendexRetriever

        retriever = AttendexRetriever(client=client, collection="small", options={"k": 2})
        found = retriever.invoke("how do cats sleep")
        assert len(found) == 2
        assert (found[0].id, found[0].metadata["title"], found[0].metadata["year"]) == ("cat/1", "Cats", 2020)
        assert [each[0].id for each in retriever.batch(["cats sleep", "heat flows"])] == ["cat/1", "heat"]
        assert asyncio.run(retriever.ainvoke("heat"))[0].id == "heat"

        async def ask() -> str:
            async with AsyncClient(served.url) as later:
                asking = AttendexRetriever(client=client, async_client=later, collection="small")
                return str((await asking.ainvoke("heat"))[0].id)

        assert asyncio.run(ask()) == "heat"

    def test_filters_as_dictionaries(self, client: Client) -> None:
        from service.adapters.langchain import AttendexRetriever, AttendexVectorStore

        store = AttendexVectorStore(client, "small")
        found = {
            str(given): sorted(each.id for each in store.similarity_search("of the", k=9, filter=given) if each.id)
            for given in (
                {"year": 2003},
                {"year": {"$gte": 1961, "$lt": 2003}},
                {"year": {"$in": [1953, 2020]}},
                {"$or": [{"year": 1953}, {"$not": {"year": {"$ne": 1999}}}]},
                {"year": {"$exists": False}},
                {"colour": "red"},
                {},
            )
        }
        assert list(found.values()) == [
            ["aspirin"],
            ["größe", "heat"],
            ["cat/1", "wing"],
            ["größe", "wing"],
            [],
            [],
            ["aspirin", "cat/1", "größe", "heat", "wing"],
        ]
        retriever = AttendexRetriever(client=client, collection="small", options={"filter": {"year": 1961}})
        assert [each.id for each in retriever.invoke("cats")] == ["heat"]
        for wrong in ({"$nor": []}, {"year": {"$like": 1}}, {"$or": {}}, {"year": {"$in": 3}}, {"year": {"$gt": "x"}}):
            with pytest.raises(FilterError):
                store.similarity_search("a", filter=wrong)
        assert store.similarity_search("cats", k=0) == []

    def test_numbers_as_ids(self, client: Client) -> None:
        from service.adapters.langchain import AttendexVectorStore

        client.create("numbers")
        store = AttendexVectorStore(client, "numbers")
        assert store.add_texts(["zero", "one"], ids=[0, 1]) == ["0", "1"]  # type: ignore[list-item]
        assert [each.page_content for each in store.get_by_ids([0])] == ["zero"]  # type: ignore[list-item]
        assert store.delete([1]) is True  # type: ignore[list-item]

    def test_vector_store(self, client: Client) -> None:
        from service.adapters.langchain import AttendexVectorStore

        texts = [
            "Tea is made from leaves.",
            "Coffee is made from beans.",
            "Bread is made from flour.",
            "Tea leaves dry.",
        ]
        store = AttendexVectorStore.from_texts(
            texts,
            None,
            [{"n": n} for n in range(4)],
            ids=list("abcd"),
            client=client,
            collection="drinks",
            mode="dense",
        )
        [best, *_] = store.similarity_search("a drink of beans", k=2)
        assert (best.id, best.page_content, best.metadata["n"]) == ("b", texts[1], 1)
        scored = store.similarity_search_with_score("tea", k=4)
        assert [score for _, score in scored] == sorted((score for _, score in scored), reverse=True)
        relevant = store.similarity_search_with_relevance_scores("tea", k=4)
        assert all(0 <= score <= 1 for _, score in relevant)
        assert [each.id for each in store.similarity_search("made", k=4, filter="n >= 2")] != []
        diverse = store.max_marginal_relevance_search("tea leaves", k=2, fetch_k=4, lambda_mult=0.1)
        assert {each.id for each in diverse} != {"a", "d"}
        diverse = store.max_marginal_relevance_search("tea leaves", k=2, fetch_k=2, lambda_mult=0.1)
        assert {each.id for each in diverse} == {"a", "d"}
        assert len(store.max_marginal_relevance_search("tea leaves", k=3, fetch_k=1)) == 1
        assert [each.id for each in store.get_by_ids(["c", "missing", "a"])] == ["c", "a"]
        store.add_texts(["Milk comes from cows."], [GIVEN], ids=["milk"])
        [found, *_] = store.similarity_search("cows", k=1)
        assert {name: found.metadata[name] for name in GIVEN} == GIVEN
        assert store.get_by_ids(["milk"])[0].metadata == GIVEN
        when, key = datetime(2024, 5, 1, 10, tzinfo=UTC), UUID(int=7)
        store.add_texts(["Milk is old."], [{"when": when, "key": key, "weight": np.float32(0.5)}], ids=["old"])
        assert store.get_by_ids(["old"])[0].metadata == {"when": when, "key": key, "weight": 0.5}
        added = store.add_texts(["Milk is white."])
        assert len(added[0]) == 36
        assert store.delete(["a", *added])
        assert not store.delete(["a"])
        with pytest.raises(InputError, match="everything=True"):
            store.delete()
        with pytest.raises(ServiceError, match="did you mean filter"):
            store.similarity_search("tea", filtr="n >= 2")
        with pytest.raises(InputError, match="has no option namespace"):
            store.delete(["b"], namespace="x")
        with pytest.raises(TypeError, match="whole"):
            AttendexVectorStore.from_texts(["x"], None, client=client, collection="drinks", whole=True)
        vector = store.embeddings.embed_query("a drink of beans")
        assert store.similarity_search_by_vector(vector, k=1)[0].id == "b"
        assert store.max_marginal_relevance_search_by_vector(vector, k=1)[0].id == "b"
        retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 1})
        assert len(retriever.invoke("coffee")) == 1
        assert len(store.embeddings.embed_query("x")) == 384
        assert store.delete(everything=True)
        assert store.similarity_search("tea") == []
        client.drop("drinks")


class TestLlamaIndex:
    def test_retriever(self, client: Client) -> None:
        from service.adapters.llama_index import AttendexRetriever

        retriever = AttendexRetriever(client, "small", k=2, mode="dense")
        found = retriever.retrieve("how do cats sleep")
        assert len(found) == 2
        assert (found[0].node.node_id, found[0].node.metadata["title"]) == ("cat/1", "Cats")
        assert found[0].node.metadata["year"] == 2020
        assert "sleep" in found[0].node.get_content()
        client.create("given")
        client.add("given", [{"id": "milk", "text": "Milk comes from cows.", "metadata": GIVEN}])
        [milk] = AttendexRetriever(client, "given").retrieve("cows")
        assert {name: milk.node.metadata[name] for name in GIVEN} == GIVEN
        assert milk.node.metadata["source"] == "milk"
        client.drop("given")
        assert found[0].score > found[1].score
        assert asyncio.run(retriever.aretrieve("heat"))[0].node.node_id == "heat"


class TestHaystack:
    @pytest.fixture
    def store(self, served: Served, client: Client) -> Iterator[Any]:
        from service.adapters.haystack import AttendexDocumentStore

        client.create("hay")
        store = AttendexDocumentStore("hay", served.url)
        yield store
        store.client.close()
        client.drop("hay")

    def test_document_store(self, store: Any) -> None:
        from haystack import Document
        from haystack.document_stores.errors import DuplicateDocumentError
        from haystack.document_stores.types import DuplicatePolicy
        from haystack.errors import FilterError

        def ids(filters: dict[str, Any] | None) -> list[str]:
            return sorted(each.id for each in store.filter_documents(filters))

        def where(operator: str, value: Any, field: str = "meta.n") -> dict[str, Any]:
            return {"field": field, "operator": operator, "value": value}

        documents = [
            Document(id=str(n), content=f"Text {n}", meta={"n": n, "kind": "odd" if n % 2 else "even"})
            for n in range(4)
        ]
        assert store.write_documents(documents) == 4
        assert store.count_documents() == 4
        assert store.write_documents(documents, DuplicatePolicy.SKIP) == 0
        twice = [Document(id="new", content="first"), Document(id="new", content="second")]
        with pytest.raises(DuplicateDocumentError, match="new"):
            store.write_documents(twice, DuplicatePolicy.FAIL)
        assert store.count_documents() == 4
        assert store.write_documents(twice, DuplicatePolicy.SKIP) == 1
        assert store.filter_documents(where("==", "new", "id"))[0].content == "first"
        assert store.write_documents(twice, DuplicatePolicy.OVERWRITE) == 2
        assert store.filter_documents(where("==", "new", "id"))[0].content == "second"
        store.delete_documents(["new"])
        assert store.write_documents([Document(id="0", content="New")], DuplicatePolicy.OVERWRITE) == 1
        with pytest.raises(DuplicateDocumentError):
            store.write_documents(documents, DuplicatePolicy.FAIL)

        assert ids(None) == ["0", "1", "2", "3"]
        assert ids(where(">=", 2)) == ["2", "3"]
        assert ids(where("in", [1, 3])) == ["1", "3"]
        assert ids(where("==", "even", "meta.kind")) == ["2"]
        both = {"operator": "AND", "conditions": [where(">", 0), where("==", "odd", "meta.kind")]}
        assert ids(both) == ["1", "3"]
        assert ids({"operator": "OR", "conditions": [where("==", 1), where("==", 2)]}) == ["1", "2"]
        assert "1" not in ids({"operator": "NOT", "conditions": [where("==", 1)]})
        assert ids(where("in", ["1", "2", "missing"], "id")) == ["1", "2"]
        assert ids(where("!=", "1", "id")) == ["0", "2", "3"]
        with pytest.raises(FilterError, match="has no 'conditions'"):
            store.filter_documents({"operator": "=="})
        for meta in ({"title": "Milk", "n": 1}, GIVEN, {}):
            store.write_documents([Document(id="milk", content="Milk comes from cows.", meta=meta)])
            [found] = [each for each in store.filter_documents() if each.id == "milk"]
            assert found.meta == meta
        store.write_documents([Document(id="milk", content="Milk.", meta={"page number": 3, "in": 'a "b"\n\\'})])
        assert ids(where("==", 3, "meta.page number")) == ids(where("in", ['a "b"\n\\'], "meta.in")) == ["milk"]
        store.delete_documents(["milk"])
        store.delete_documents(["1", "missing"])
        assert store.count_documents() == 3

    def test_retriever_in_a_pipeline_that_was_saved_and_loaded(self, store: Any) -> None:
        from haystack import Document, Pipeline

        from service.adapters.haystack import AttendexRetriever

        store.write_documents(
            [Document(id="tea", content="Tea is made from leaves."), Document(id="b", content="Bread.")]
        )
        pipeline = Pipeline()
        pipeline.add_component("retriever", AttendexRetriever(store, top_k=1, mode="dense"))
        again = Pipeline.loads(pipeline.dumps(), allowed_modules=["service.adapters.haystack"])
        [found] = again.run({"retriever": {"query": "a drink from leaves"}})["retriever"]["documents"]
        assert (found.id, found.content) == ("tea", "Tea is made from leaves.")
        assert found.score > 0
        assert (found.meta["source"], found.meta["passage"]) == ("tea", 1)
        later = again.get_component("retriever").run_async("a drink from leaves", top_k=2)
        assert [each.id for each in asyncio.run(later)["documents"]] == ["tea", "b"]
        again.get_component("retriever").document_store.client.close()
        for option, says in (({"k": 3}, "give top_k"), ({"filter": "n > 1"}, "give filters")):
            with pytest.raises(InputError, match=says):
                AttendexRetriever(store, options=option).run("tea")
        with pytest.raises(ServiceError, match="did you mean neighbours"):
            AttendexRetriever(store, options={"neighbors": 1}).run("tea")
