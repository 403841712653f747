"""LangChain's own suites for vector stores, retrievers and embeddings."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_tests", reason="needs the package langchain-tests")

from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, RetrieversIntegrationTests
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests

from service.adapters.langchain import AttendexEmbeddings, AttendexRetriever, AttendexVectorStore
from service.client import Client
from tests.service.conftest import Serve, Served


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("suite") / "collections"
    shutil.copytree(collections, root)
    with serve(root) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served.url) as client:
        yield client


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, client: Client) -> Iterator[VectorStore]:  # type: ignore[override]
        name = f"c{uuid.uuid4().hex}"
        client.create(name)
        yield AttendexVectorStore(client, name)
        client.drop(name)


class TestEmbeddings(EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _address(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ATTENDEX_URL", served.url)

    @property
    def embeddings_class(self) -> type[AttendexEmbeddings]:
        return AttendexEmbeddings


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _address(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ATTENDEX_URL", served.url)

    @property
    def retriever_constructor(self) -> type[AttendexRetriever]:
        return AttendexRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"collection": "small"}

    @property
    def retriever_query_example(self) -> str:
        return "how do cats sleep"
