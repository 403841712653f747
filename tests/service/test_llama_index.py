"""LlamaIndex's vector store, as the tests of its own integrations use one: each test synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_index.core", reason="needs the package llama-index-core")

from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MetadataMode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from retrieval.errors import FilterError, InputError
from service.adapters.llama_index import AttendexVectorStore
from service.client import AsyncClient, Client, ServiceError
from tests.service.conftest import Serve, Served

SUBJECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "roses": ("Roses flower in June and need sun.", {"year": 2001, "kind": "plant", "tags": ["garden", "red"]}),
    "tulips": ("Tulips flower in April from bulbs.", {"year": 2010, "kind": "Plant", "tags": ["garden"]}),
    "wings": ("A wing lifts in a stream of air.", {"year": 1953.5, "kind": "physics", "tags": []}),
    "bread": ("Bread is made from flour and yeast.", {"kind": "", "title": "Baking"}),
    "tea": ("Tea is made from leaves.", {"year": 2020, "kind": "drink", "draft": True}),
}


def nodes() -> list[TextNode]:
    """Return a node of each subject; two documents have two nodes each."""
    sources = {"roses": "garden", "tulips": "garden", "bread": "kitchen", "tea": "kitchen"}
    return [
        TextNode(
            id_=name,
            text=text,
            metadata=dict(metadata),
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=sources[name])} if name in sources else {},
        )
        for name, (text, metadata) in SUBJECTS.items()
    ]


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("llama") / "collections"
    shutil.copytree(collections, root)
    with serve(root) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served.url) as client:
        yield client


@pytest.fixture
def store(client: Client) -> Iterator[AttendexVectorStore]:
    name = f"c{uuid.uuid4().hex}"
    client.create(name)
    yield AttendexVectorStore(client, name)
    client.drop(name)


@pytest.fixture(scope="module")
def filled(client: Client) -> AttendexVectorStore:
    """A store with all nodes, for tests that do not change it."""
    client.create("filled")
    store = AttendexVectorStore(client, "filled")
    store.add(nodes())
    return store


def wait(answer: Any) -> Any:
    return asyncio.run(answer) if inspect.isawaitable(answer) else answer


def where(key: str, operator: str, value: Any = None) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, operator=FilterOperator(operator), value=value)])


def found(store: AttendexVectorStore, **query: Any) -> list[str]:
    return store.query(VectorStoreQuery(**{"query_str": "flowers", "similarity_top_k": 10, **query})).ids or []


@pytest.mark.parametrize("prefix", ["", "a"])
def test_add_get_query_delete_and_clear(store: AttendexVectorStore, prefix: str) -> None:
    def method(name: str) -> Callable[..., Any]:
        return getattr(store, "async_add" if prefix and name == "add" else prefix + name)  # type: ignore[no-any-return]

    assert wait(method("add")(nodes())) == list(SUBJECTS)
    assert wait(method("get_nodes")()) == nodes()
    assert [each.node_id for each in wait(method("get_nodes")(["tea", "missing", "roses"]))] == ["tea", "roses"]
    result = wait(method("query")(VectorStoreQuery(query_str="a hot drink", similarity_top_k=2)))
    assert result.nodes[0] == nodes()[4]
    assert result.ids[0] == "tea"
    assert result.similarities == sorted(result.similarities, reverse=True)
    wait(method("delete_nodes")())
    wait(method("delete_nodes")([]))
    wait(method("delete_nodes")(["missing"]))
    assert len(wait(method("get_nodes")())) == 5
    wait(method("delete_nodes")(["roses", "tea"], where("kind", "==", "plant")))
    assert [each.node_id for each in wait(method("get_nodes")())] == ["tulips", "wings", "bread", "tea"]
    wait(method("delete_nodes")(filters=where("year", "<", 2000)))
    assert [each.node_id for each in wait(method("get_nodes")(filters=where("kind", "!=", "x")))] == [
        "tulips",
        "bread",
        "tea",
    ]
    wait(method("delete")("kitchen"))
    wait(method("delete")("nothing of that id"))
    assert [each.node_id for each in wait(method("get_nodes")())] == ["tulips"]
    wait(method("clear")())
    assert wait(method("get_nodes")()) == []
    assert wait(method("query")(VectorStoreQuery(query_str="tea"))).ids == []


def test_nodes_of_each_class_come_back_whole(store: AttendexVectorStore) -> None:
    long = " ".join(f"Sentence {number} is about roses and their thorns." for number in range(60))
    given = [
        IndexNode(id_="index", text="Where roses are.", index_id="other", metadata={"source": "mine", "id": 7}),
        ImageNode(id_="image", text="A picture of a rose.", image_url="http://example.org/rose.png"),
        TextNode(
            id_="long", text=f"\n {long}\n", metadata={"score": 1.0, "none": None}, excluded_llm_metadata_keys=["x"]
        ),
        Document(id_="document", text="A letter about roses.", metadata={"nested": {"a": [1, {"b": 2}]}}),
        TextNode(id_="blank", text=" "),
    ]
    store.add(given)
    assert store.get_nodes(["index", "image", "long", "document", "blank"]) == given
    result = store.query(VectorStoreQuery(query_str="roses", similarity_top_k=10))
    by_id = {each.node_id: each for each in result.nodes or []}
    assert [by_id[each.node_id] for each in given[:4]] == given[:4]
    assert type(by_id["long"].metadata["score"]) is float
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(1))
    assert len(index.as_retriever(similarity_top_k=4).retrieve("roses")) == 4
    index.insert_nodes([TextNode(id_="new", text="Tea is made from leaves.")])
    assert index.as_retriever(similarity_top_k=1).retrieve("tea leaves")[0].node.node_id == "new"
    with pytest.raises(InputError, match="reserved"):
        store.add([TextNode(text="x", metadata={"_ref_doc_id": "x"})])


def test_modes(filled: AttendexVectorStore, client: Client) -> None:
    lexical = found(filled, mode=VectorStoreQueryMode.TEXT_SEARCH, query_str="flower bulbs")
    assert lexical == found(filled, mode=VectorStoreQueryMode.SPARSE, query_str="flower bulbs", sparse_top_k=9)
    assert lexical[0] == "tulips"
    assert "wings" not in lexical
    hybrid = [found(filled, mode=VectorStoreQueryMode.HYBRID, alpha=alpha) for alpha in (0.0, 0.5, 1.0)]
    assert all(each[0] in ("roses", "tulips") for each in hybrid)
    assert len(found(filled, mode=VectorStoreQueryMode.HYBRID, similarity_top_k=1, sparse_top_k=3)) == 3
    assert len(found(filled, mode=VectorStoreQueryMode.HYBRID, similarity_top_k=1, hybrid_top_k=2)) == 2
    vector = client.embed("flowers", queries=True)[0]
    assert found(filled, query_str=None, query_embedding=vector) == found(filled)
    assert set(found(filled)[:2]) == {"roses", "tulips"}
    assert found(filled, node_ids=["tea", "bread"], doc_ids=["kitchen"], similarity_top_k=1)[0] in ("tea", "bread")
    assert set(found(filled, doc_ids=["garden"])) == {"roses", "tulips"}
    title = filled.query(VectorStoreQuery(query_str="bread", output_fields=["title"])).nodes or []
    assert title[0].metadata == {"title": "Baking"}


def test_mmr_chooses_among_the_candidates(filled: AttendexVectorStore) -> None:
    query = VectorStoreQuery(query_str="flowers", similarity_top_k=2, mode=VectorStoreQueryMode.MMR)
    plain = found(filled)
    assert filled.query(query, mmr_threshold=1.0).ids == plain[:2]
    assert filled.query(query, mmr_threshold=0.1, mmr_prefetch_k=2).ids == plain[:2]
    assert filled.query(query, mmr_threshold=0.1, mmr_prefetch_factor=2.5).ids != plain[:2]
    with pytest.raises(InputError, match="give one of both"):
        filled.query(query, mmr_prefetch_k=16, mmr_prefetch_factor=2.0)


def test_options_are_never_swallowed(filled: AttendexVectorStore) -> None:
    query = VectorStoreQuery(query_str="flowers")
    with pytest.raises(ServiceError, match="did you mean filter"):
        filled.query(query, filtr="x")
    with pytest.raises(InputError, match="give filters instead"):
        filled.query(query, filter="year > 2000")
    for options, says in (
        ({"mode": VectorStoreQueryMode.SVM}, "use one of default"),
        ({"embedding_field": "other"}, "embedding_field"),
        ({"alpha": 0.5}, "mode hybrid"),
        ({"query_str": None}, "give query_str"),
        ({"mmr_threshold": 0.5}, "options of the mode mmr"),
    ):
        with pytest.raises(InputError, match=says):
            filled.query(VectorStoreQuery(**{"query_str": "flowers", **options}))
    for call in (filled.add, filled.delete, filled.delete_nodes):
        with pytest.raises(InputError, match="no option index_id"):
            call([], index_id="42")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (where("tags", "contains", "red"), {"roses"}),
        (where("tags", "any", ["red", "garden"]), {"roses", "tulips"}),
        (where("tags", "all", ["red", "garden"]), {"roses"}),
        (where("tags", "is_empty"), {"wings", "bread", "tea"}),
        (where("kind", "is_empty"), {"bread"}),
        (where("kind", "text_match", "lan"), {"roses", "tulips"}),
        (where("kind", "text_match", "P"), {"tulips"}),
        (where("kind", "text_match_insensitive", "PLANT"), {"roses", "tulips"}),
        (where("kind", "contains", "lan"), {"roses", "tulips"}),
        (where("year", "in", [2001, 2020.0]), {"roses", "tea"}),
        (where("year", "nin", [2001, 2020]), {"tulips", "wings", "bread"}),
        (where("year", "==", "2001"), set()),
        (where("none of this name", "!=", 1), set(SUBJECTS)),
        (where("none of this name", "==", 1), set()),
        (where("draft", "==", 1), {"tea"}),
        (where("kind", ">", "e"), {"roses", "wings"}),
        (
            MetadataFilters(
                filters=[
                    MetadataFilters(
                        filters=[*where("year", ">=", 2010).filters, *where("tags", "any", ["red"]).filters],
                        condition=FilterCondition.OR,
                    ),
                    MetadataFilters(filters=where("kind", "==", "drink").filters, condition=FilterCondition.NOT),
                ]
            ),
            {"roses", "tulips"},
        ),
        (MetadataFilters(filters=[]), set(SUBJECTS)),
    ],
)
def test_filters(filled: AttendexVectorStore, filters: MetadataFilters, expected: set[str]) -> None:
    assert {each.node_id for each in filled.get_nodes(filters=filters)} == expected
    assert set(found(filled, filters=filters)) == expected


ORDERS = ["==", "!=", ">", ">=", "<", "<="]
TEXTS = ["==", "!=", "text_match", "text_match_insensitive", ">", "<="]
COMPARED = (
    st.tuples(st.just("year"), st.sampled_from(ORDERS), st.sampled_from([1953.5, 2001, 2010]))
    | st.tuples(st.just("kind"), st.sampled_from(TEXTS), st.sampled_from(["plant", "Plant", "", "a", 'é"\\']))
    | st.tuples(
        st.sampled_from(["year", "other"]),
        st.sampled_from(["in", "nin"]),
        st.lists(st.sampled_from([2001, 2010, 3]), max_size=3),
    )
    | st.tuples(
        st.just("tags"), st.sampled_from(["any", "all"]), st.lists(st.sampled_from(["red", "garden"]), min_size=1)
    )
)


@settings(max_examples=40)
@given(st.lists(COMPARED, min_size=1, max_size=3), st.sampled_from(list(FilterCondition)))
def test_filters_mean_what_llama_index_says(
    filled: AttendexVectorStore, compared: list[tuple[str, str, Any]], condition: FilterCondition
) -> None:
    members = [MetadataFilter(key=key, operator=FilterOperator(name), value=value) for key, name, value in compared]
    filters = MetadataFilters(filters=members, condition=condition)
    matches = build_metadata_filter_fn(lambda name: SUBJECTS[name][1], filters)
    assert {each.node_id for each in filled.get_nodes(filters=filters)} == set(filter(matches, SUBJECTS))


def test_filters_that_cannot_be_compared_are_errors(filled: AttendexVectorStore) -> None:
    deep = where("year", "==", 1)
    for _ in range(30):
        deep = MetadataFilters(filters=[deep])
    for filters in (
        where("year", ">", "old"),
        where("tags", ">", 1),
        where("year", "in", 2001),
        where("year", "text_match", "2"),
        where("kind", "==", ["plant"]),
        deep,
    ):
        with pytest.raises(FilterError):
            filled.get_nodes(filters=filters)


def test_a_document_of_another_origin_is_its_best_passage(store: AttendexVectorStore, client: Client) -> None:
    text = " ".join(f"Sentence {number} is about bread and flour." for number in range(60)) + " A wing lifts in air."
    client.add(store._collection, [{"id": "file.txt", "text": text, "metadata": {"page": "mine"}}])
    [node] = store.query(VectorStoreQuery(query_str="a wing in the air")).nodes or []
    assert isinstance(node, TextNode)
    assert len(node.text) < len(text)
    assert text[node.start_char_idx : node.end_char_idx] == node.text
    assert (node.metadata["source"], node.metadata["page"]) == ("file.txt", "mine")
    assert "source" not in node.get_content(metadata_mode=MetadataMode.LLM)
    assert store.get_nodes(["file.txt"])[0].get_content() == text


@pytest.mark.usefixtures("filled")
def test_agents_do_not_see_the_fields_of_adapters(served: Served) -> None:
    pytest.importorskip("mcp", reason="needs the package mcp")
    from service.adapters.mcp_tools import call_tool, list_tools

    async def ask() -> str:
        async with AsyncClient(served.url) as client:
            tools = await list_tools(client, may_write=False)
            arguments = {"collection": "filled", "query": "flowers"}
            return f"{tools} {await call_tool(client, 'search', arguments, may_write=False)}"

    seen = asyncio.run(ask())
    assert "roses" in seen
    assert "_attendex" not in seen
    assert "_ref_doc_id" not in seen
