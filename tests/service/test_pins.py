"""Pins over HTTP: replaced, searched with, and left out."""

from __future__ import annotations

import shutil
from pathlib import Path

from service.client import Client
from service.client.answers.pins import PinsAnswer
from tests.service.conftest import Serve

PATH = "/v1/collections/shop/pins"
RULE = {"queries": ["Cold cure", "aspirin"], "documents": ["heat", "cat/1"]}


def test_pinned_documents_come_first(collections: Path, serve: Serve, tmp_path: Path) -> None:
    shutil.copytree(collections / "small", tmp_path / "shop")
    with serve(tmp_path) as shop, Client(shop.url) as client:
        answer = shop.http.put(PATH, json={"pins": [RULE]})
        assert answer.status_code == 200, answer.text
        shown = PinsAnswer.model_validate(answer.json(), extra="forbid")
        assert (shown.generation, shown.model_dump()["pins"]) == (2, [RULE])
        assert client.pins("shop") == client.replace_pins("shop", [RULE]) == shown  # the same make no generation
        assert shop.http.put(PATH, json={"pins": []}, headers={"If-Match": '"other"'}).status_code == 412
        hits = client.search("shop", "aspirin?", k=3).hits
        assert [(hit.id, hit.pinned) for hit in hits] == [("heat", True), ("cat/1", True), ("aspirin", False)]
        assert [hit.id for hit in client.search("shop", "aspirin", k=1, pins=False).hits] == ["aspirin"]
        assert shop.http.put(PATH, json={"pins": [{**RULE, "documents": []}]}).status_code == 422
        refused = shop.http.put(PATH, json={"pins": [{"queries": [" "], "documents": ["heat"]}]})
        assert (refused.status_code, "queries of a pin: ' '" in refused.text) == (400, True)
