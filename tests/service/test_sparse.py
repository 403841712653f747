"""A collection with a sparse index behind the service: searches, explanations and changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.building.pipeline import BuildSettings, build_collection
from tests.retrieval.encoder.sparse_encoders import save_splade
from tests.service.conftest import Serve, write_documents

DOCUMENTS = [
    {"id": "cats", "text": "Cats sleep for most of the day and hunt at night."},
    {"id": "bread", "text": "Bread is baked from flour, water and yeast."},
]
PATH = "/v1/collections/sparse"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    encoder = save_splade(tmp_path_factory.mktemp("encoders") / "splade")
    source = write_documents(folder / "documents.jsonl", DOCUMENTS)
    build_collection([source], folder / "sparse", BuildSettings(sparse=str(encoder)))
    return folder


def test_the_service_searches_and_changes_a_sparse_index(serve: Serve, root: Path) -> None:
    with serve(root) as served:
        assert served.http.get(PATH).json()["modes"] == ["dense", "lexical", "sparse", "hybrid"]
        body = {"query": "the cats hunt at night", "mode": "sparse", "explain": True}
        found = served.http.post(f"{PATH}/search", json=body).json()
        assert found["mode"] == "sparse"
        for hit in found["hits"]:
            terms = hit["explanation"]["sparse"]["terms"]
            assert sum(each["score"] for each in terms) == pytest.approx(hit["score"], rel=1e-5)
            assert hit["scores"]["sparse"] == hit["score"]
        by_url = served.http.get(f"{PATH}/search", params={"q": "bread", "mode": "hybrid", "sparse_weight": 1}).json()
        assert (by_url["sparse_weight"], set(by_url["score_ranges"])) == (1.0, {"dense", "sparse"})
        wrong = served.http.post(f"{PATH}/search", json={"query": "bread", "sparse_weight": 2})
        assert (wrong.status_code, "sparse_weight" in wrong.text) == (422, True)
        added = {"documents": [{"id": "moon", "text": "The moon moves around the earth at night."}]}
        assert served.http.post(f"{PATH}/documents", json=added, params={"wait": True}).status_code == 200
        ids = {hit["id"] for hit in served.http.post(f"{PATH}/search", json=body).json()["hits"]}
        assert "moon" in ids
