"""Partial updates over HTTP: merge patches of one document and of many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service.client import Client, ConflictError
from tests.service.conftest import Serve, Served, eventually

DOCUMENTS = [
    {
        "id": "jacket",
        "title": "Jacket",
        "text": "A rain jacket.",
        "price": 50,
        "maker": {"name": "Ada", "city": "Rome"},
    },
    {"id": "shoe/1", "title": "Shoe", "text": "A running shoe.", "price": 80},
]
PATH = "/v1/collections/shop/documents"


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    """Return a service with an empty folder but for the collection `shop`."""
    with serve(tmp_path_factory.mktemp("shop"), **{"limits.patches": 3}) as served:
        assert served.http.put("/v1/collections/shop", json={}).status_code == 201
        assert served.http.post(f"{PATH}?wait=true", json={"documents": DOCUMENTS}).status_code == 200
        yield served


def metadata(shop: Served, document_id: str) -> Any:
    return shop.http.get(f"{PATH}/{document_id}").json()["metadata"]


def test_a_merge_patch_changes_the_document(shop: Served) -> None:
    patch = {"price": 45, "maker": {"city": None}, "metadata": {"stock": 3}}
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = shop.http.patch(f"{PATH}/jacket?wait=true", json=patch, headers=headers)
    assert (answer.status_code, answer.json()["updated"], answer.json()["generation"]) == (200, 1, 3)
    assert metadata(shop, "jacket") == {"price": 45, "maker": {"name": "Ada"}, "stock": 3}
    [hit] = shop.http.get("/v1/collections/shop/search", params={"q": "jacket", "filter": "price < 46"}).json()["hits"]
    assert hit["metadata"]["price"] == 45
    assert shop.http.patch(f"{PATH}/jacket?wait=true", json=patch).json()["unchanged"] == 1
    answer = shop.http.patch(f"{PATH}/shoe/1?wait=true", json={"title": None, "text": "A winter boot."})
    assert answer.json()["updated"] == 1
    assert shop.http.get(f"{PATH}/shoe/1").json()["title"] == ""
    found = shop.http.get("/v1/collections/shop/search", params={"q": "boot", "mode": "lexical"}).json()["hits"]
    assert [each["id"] for each in found] == ["shoe/1"]


def test_a_patch_that_cannot_be_applied_is_refused(shop: Served) -> None:
    for wait in ("true", "false"):
        answer = shop.http.patch(f"{PATH}/jackt?wait={wait}", json={"price": 1})
        assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found")
        assert "jackt" in answer.json()["detail"]
    for patch, status in (({"price": "a lot"}, 400), ({"text": None}, 400), ({"title": 3.5, "text": 1}, 422)):
        answer = shop.http.patch(f"{PATH}/jacket?wait=true", json=patch)
        assert answer.status_code == status, answer.text
    assert metadata(shop, "jacket") == {"price": 50, "maker": {"name": "Ada", "city": "Rome"}}


def test_a_batch_reports_each_document_that_stays(shop: Served) -> None:
    with Client(shop.url) as client:
        changes = [{"id": "jacket", "price": 40}, {"id": "none", "price": 1}, {"id": "shoe/1", "price": "x"}]
        job = client.update("shop", changes)
        assert (job.updated, job.failed, job.generation) == (1, 2, 3)
        codes = {each.id: each.code for each in job.failures}
        assert codes == {"none": "document_not_found", "shoe/1": "bad_schema"}
    assert (metadata(shop, "jacket")["price"], metadata(shop, "shoe/1")) == (40, {"price": 80})
    assert shop.http.patch(PATH, json={"documents": [{"id": "a"}] * 4}).status_code == 413
    assert shop.http.patch(PATH, json={"documents": [{"price": 1}]}).status_code == 422


def test_a_patch_follows_a_change_that_waits(shop: Served) -> None:
    added = shop.http.post(PATH, json={"documents": [{"id": "hat", "text": "A felt hat.", "price": 5}]})
    patched = shop.http.patch(f"{PATH}/hat", json={"price": 6})
    assert (added.status_code, patched.status_code) == (202, 202)
    job = f"/v1/collections/shop/jobs/{patched.json()['id']}"
    eventually(lambda: shop.http.get(job).json()["status"] == "done")
    assert metadata(shop, "hat") == {"price": 6}


def test_a_change_can_demand_that_no_other_came_before(shop: Served) -> None:
    with Client(shop.url) as client:
        read = client.document("shop", "jacket")
        assert shop.http.get(f"{PATH}/jacket").headers["etag"].removeprefix("W/") == f'"{read.etag}"'
        assert client.patch("shop", "jacket", {"price": 45}, etag=read.etag).updated == 1
        with pytest.raises(ConflictError, match=r"412: document 'jacket' has changed since it was read"):
            client.patch("shop", "jacket", {"price": 60}, etag=read.etag)
        assert client.patch("shop", "jacket", {"price": 45}, etag=read.etag).unchanged == 1  # sent again by a proxy
        assert metadata(shop, "jacket")["price"] == 45
        later = client.document("shop", "jacket")
        assert later.etag not in ("", read.etag)

    def delete(if_match: str) -> tuple[int, str]:
        answer = shop.http.delete(f"{PATH}/jacket", headers={"If-Match": if_match})
        return answer.status_code, answer.json().get("code", "")

    assert delete(f'"{read.etag}"') == (412, "content_changed")
    assert delete(read.etag) == (400, "bad_input")
    assert delete(f'"other", W/"{later.etag}"') == (200, "")
    assert shop.http.get(f"{PATH}/jacket").status_code == 404
    assert delete("*") == (404, "document_not_found")


def test_waiting_changes_are_compared_in_their_order(shop: Served) -> None:
    tag = shop.http.get(f"{PATH}/jacket").headers["etag"]
    shop.http.patch(f"{PATH}/jacket", json={"price": 1})
    answer = shop.http.patch(f"{PATH}/jacket", json={"price": 2}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["code"]) == (412, "content_changed")
    assert metadata(shop, "jacket")["price"] == 1


def test_documents_of_a_new_collection_expire(shop: Served) -> None:
    with Client(shop.url) as client:
        assert client.create("offers", expires="until").expires == "until"
        client.add("offers", [{"id": "a", "text": "A coat.", "until": "2001-01-01"}, {"id": "b", "text": "A hat."}])
        assert [each.id for each in client.documents("offers")] == ["b"]
    answer = shop.http.put("/v1/collections/other", json={"expires": "until", "fields": {"until": "number"}})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_schema")


def test_fields_of_a_new_collection_are_searched(shop: Served) -> None:
    body = {"searched_fields": {"brand": 2, "id": 1}}
    assert shop.http.put("/v1/collections/goods", json=body).json()["searched_fields"] == body["searched_fields"]
    with Client(shop.url) as client:
        documents = [
            {"id": f"SKU-0004{n}", "text": "A coat.", "brand": brand} for n, brand in enumerate(["Ulm", "Bern"])
        ]
        client.add("goods", documents)
        for query, best in (("bern", "SKU-00041"), ("SKU-00040", "SKU-00040")):
            assert client.search("goods", query, mode="lexical").hits[0].id == best
    answer = shop.http.put("/v1/collections/other", json={"searched_fields": {"title": 2}})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_input")
