"""Haystack's own suites for document stores, synchronous and asynchronous."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("haystack", reason="needs the package haystack-ai")

from haystack import Document
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing import document_store as suites
from haystack.testing import document_store_async as async_suites
from haystack.utils.filters import document_matches_filter
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.haystack import AttendexDocumentStore
from service.client import Client
from tests.service.conftest import Serve, Served


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("haystack") / "collections"
    shutil.copytree(collections, root)
    with serve(root) as served:
        yield served


@pytest.fixture(scope="module")
def shared(served: Served) -> Iterator[AttendexDocumentStore]:
    """One store with one client, which takes longer to make than a collection."""
    store = AttendexDocumentStore("", served.url)
    yield store
    store.client.close()


@pytest.fixture
def document_store(shared: AttendexDocumentStore) -> Iterator[AttendexDocumentStore]:
    shared.collection = f"c{uuid.uuid4().hex}"
    shared.client.create(shared.collection)
    yield shared
    shared.client.drop(shared.collection)


class TestDocumentStore(
    suites.DocumentStoreBaseExtendedTests,
    suites.CountDocumentsByFilterTest,
    suites.CountUniqueMetadataByFilterTest,
    suites.GetMetadataFieldsInfoTest,
    suites.GetMetadataFieldMinMaxTest,
    suites.GetMetadataFieldUniqueValuesTest,
):
    @pytest.fixture
    def document_store(self, document_store: AttendexDocumentStore) -> AttendexDocumentStore:  # type: ignore[override]
        return document_store

    def test_write_documents(self, document_store: AttendexDocumentStore) -> None:  # type: ignore[override]
        """Without a policy a document replaces the one with its id; the suite leaves that to each store."""
        first, second = Document(id="1", content="one"), Document(id="1", content="two")
        assert document_store.write_documents([first]) == 1
        assert document_store.write_documents([second], DuplicatePolicy.NONE) == 1
        assert document_store.filter_documents() == [second]


class TestAsyncDocumentStore(
    async_suites.CountDocumentsAsyncTest,
    async_suites.WriteDocumentsAsyncTest,
    async_suites.DeleteDocumentsAsyncTest,
    async_suites.FilterDocumentsAsyncTest,
    async_suites.DeleteAllAsyncTest,
    async_suites.DeleteByFilterAsyncTest,
    async_suites.UpdateByFilterAsyncTest,
    async_suites.CountDocumentsByFilterAsyncTest,
    async_suites.CountUniqueMetadataByFilterAsyncTest,
    async_suites.GetMetadataFieldsInfoAsyncTest,
    async_suites.GetMetadataFieldMinMaxAsyncTest,
    async_suites.GetMetadataFieldUniqueValuesAsyncTest,
):
    async def test_write_documents_async(self, document_store: AttendexDocumentStore) -> None:  # type: ignore[override]
        """Without a policy a document replaces the one with its id; the suite leaves that to each store."""
        first, second = Document(id="1", content="one"), Document(id="1", content="two")
        assert await document_store.write_documents_async([first]) == 1
        assert await document_store.write_documents_async([second]) == 1
        assert await document_store.filter_documents_async() == [second]


def test_every_class_of_the_suites_is_used() -> None:
    """A newer version of Haystack may have further ones."""
    for module, used in ((suites, TestDocumentStore), (async_suites, TestAsyncDocumentStore)):
        classes = {each for name, each in vars(module).items() if name.endswith(("Test", "Tests"))}
        assert classes <= set(used.__mro__)


DOCUMENTS = [
    Document(id="a", content="One", meta={"n": 1, "kind": "x", "day": "2024-05-01T10:00:00", "flag": True}),
    Document(id="b", content="Two", meta={"n": 2.5, "kind": 'a "b" \\ \n', "author": {"name": "Ada"}}),
    Document(id="c", content="Three", meta={"n": -3, "day": "2024-05-02", "flag": False, "author": {"name": "x"}}),
    Document(id="d", content="Four", meta={"kind": "", "day": "1969-07-21T20:17:40+00:00"}),
    Document(id="e", content="Five"),
]
FIELDS: dict[str, list[Any]] = {
    "meta.n": [1, 2.5, -3, 0, True, "1", None, 2**70],
    "kind": ["x", 'a "b" \\ \n', "", None, 1],
    "meta.day": ["2024-05-01T10:00:00", "2024-05-02", "2024-05-02T00:00:00+00:00", "x", None, 3],
    "meta.flag": [True, False, 1, 0, None],
    "meta.author.name": ["Ada", "x", None],
    "meta.unknown": [1, "x", None],
    "id": ["a", "b", "missing"],
}
ORDERED = ("meta.n", "meta.day", "meta.unknown")


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    field = draw(st.sampled_from(list(FIELDS)))
    operator = draw(
        st.sampled_from(["==", "!=", "in", "not in", *([">", ">=", "<", "<="] if field in ORDERED else [])])
    )
    value = st.sampled_from(FIELDS[field])
    return {
        "field": field,
        "operator": operator,
        "value": draw(st.lists(value, max_size=3) if operator in ("in", "not in") else value),
    }


FILTERS = st.recursive(
    comparisons(),
    lambda inner: st.fixed_dictionaries(
        {"operator": st.sampled_from(["AND", "OR", "NOT"]), "conditions": st.lists(inner, max_size=3)}
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def filled(served: Served) -> Iterator[AttendexDocumentStore]:
    with Client(served.url) as client:
        client.create("filled")
    store = AttendexDocumentStore("filled", served.url)
    store.write_documents(DOCUMENTS)
    yield store
    store.client.close()


@settings(max_examples=80)
@given(FILTERS)
def test_filters_mean_what_haystack_says(filled: AttendexDocumentStore, filters: dict[str, Any]) -> None:
    """Haystack's own function finds the same documents, or both refuse the filters."""
    try:
        expected = [each for each in DOCUMENTS if document_matches_filter(filters, each)]
    except FilterError:
        return  # it compares some documents only; the tests below name what is refused
    try:
        found = filled.filter_documents(filters)
    except FilterError as error:
        assert "order" in str(error) or "cannot compare" in str(error)  # noqa: PT017
        return
    assert [each.id for each in found] == [each.id for each in expected]


@pytest.mark.parametrize(
    "filters",
    [
        {"field": "meta.n", "operator": "~", "value": 1},
        {"field": "meta.n", "operator": "==", "value": 1, "values": 2},
        {"field": "meta.n", "operator": "==", "value": [1]},
        {"field": "meta.kind", "operator": ">", "value": "2024-05-01"},
        {"field": "meta.n", "operator": ">", "value": "2024-05-01"},
        {"field": "meta.day", "operator": ">", "value": 3},
        {"field": "content", "operator": "==", "value": "One"},
        {"operator": "XOR", "conditions": []},
        {"operator": "AND", "conditions": {}},
        {"operator": "AND", "conditions": ["x"]},
        {"field": "meta.kind", "operator": "==", "value": "\ud800"},
    ],
)
def test_filters_that_are_refused(filled: AttendexDocumentStore, filters: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        filled.filter_documents(filters)
    with pytest.raises(FilterError):
        filled.count_documents_by_filter(filters)
    with pytest.raises(FilterError):
        filled.delete_by_filter(filters)


def test_deep_filters_are_refused_and_none_are_not_all(filled: AttendexDocumentStore) -> None:
    deep: dict[str, Any] = {"field": "meta.n", "operator": "==", "value": 1}
    for _ in range(5_000):
        deep = {"operator": "NOT", "conditions": [deep]}
    with pytest.raises(FilterError, match="nested more than 20 deep"):
        filled.filter_documents(deep)
    for change in (lambda: filled.delete_by_filter({}), lambda: filled.update_by_filter({}, {"x": 1})):
        with pytest.raises(FilterError, match="no filters mean all"):
            change()
    assert filled.count_documents() == len(DOCUMENTS)
