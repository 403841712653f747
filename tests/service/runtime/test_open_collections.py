"""Each collection fails alone: what lies beside it in the folder changes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from retrieval.index.storage.manifest import MANIFEST, read_manifest, seal, unseal
from service.runtime import open_collections
from tests.service.conftest import Serve, eventually
from tests.service.test_routes import problem

SEARCH = {"query": "cats", "k": 1}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folders_that_cannot_be_read_stop_nothing(
    collections: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    shutil.copytree(collections / "small", root / "small")
    closed = {root / "lost+found": 0, root / "private": 0}
    for folder in closed:
        folder.mkdir()
    is_file = Path.is_file

    def refuse(path: Path, **options: bool) -> bool:
        if path.parent in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path, **options)

    monkeypatch.setattr(Path, "is_file", refuse)  # root, too, must meet the error
    with serve(root) as served:
        assert served.http.post("/v1/collections/small/search", json=SEARCH).json()["hits"][0]["id"] == "cat/1"
        ready = served.http.get("/readyz")
        assert (ready.status_code, [check["check"] for check in ready.json()["warnings"]]) == (
            200,
            ["collection private"],
        )
        problem(served.http.get("/v1/collections/private"), 503, "collection_unavailable")
        problem(served.http.get("/v1/collections/lost+found"), 404, "collection_not_found")


def test_foreign_names_and_links_stop_nothing(collections: Path, tmp_path: Path, serve: Serve) -> None:
    root = tmp_path / "root"
    shutil.copytree(collections / "small", root / "small")
    shutil.copytree(collections / "small", root / os.fsdecode(b"caf\xe9"))
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "circle").symlink_to(root / "circle")
    (root / "file").write_text("no collection")
    with serve(root) as served:
        listed = served.http.get("/v1/collections").json()["collections"]
        assert [each["name"] for each in listed] == ["caf\\xe9", "small"]
        found = served.http.post("/v1/collections/caf%5Cxe9/search", json=SEARCH)
        assert found.json()["hits"][0]["id"] == "cat/1"


def test_a_collection_whose_encoder_is_on_a_hub_fails_alone(
    collections: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    for name in ("first", "small"):
        shutil.copytree(collections / "small", root / name)
    manifest = root / "first" / MANIFEST
    body = unseal(manifest.read_bytes(), manifest)
    body["settings"]["encoder"]["name"] = "someone/else"
    manifest.write_bytes(seal(body))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with serve(root) as served:
        assert served.http.post("/v1/collections/small/search", json=SEARCH).status_code == 200
        problem(served.http.post("/v1/collections/first/search", json=SEARCH), 503, "collection_unavailable")
        eventually(lambda: served.http.get("/readyz").json()["warnings"])


def test_a_linked_collection_is_dropped_without_its_target(collections: Path, tmp_path: Path, serve: Serve) -> None:
    target, root = tmp_path / "elsewhere", tmp_path / "root"
    shutil.copytree(collections / "small", target)
    root.mkdir()
    (root / "small").symlink_to(target)
    for _ in range(2):
        with serve(root) as served:
            assert served.http.delete("/v1/collections/small").status_code in (204, 404)
            assert served.http.get("/v1/collections").json() == {"collections": []}
    assert (target / MANIFEST).is_file()
    assert names(root) == []


def test_a_truncated_file_takes_its_collection_out_until_it_is_whole(
    collections: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    for name in ("cut", "small"):
        shutil.copytree(collections / "small", root / name)
    monkeypatch.setattr(open_collections, "RETRY_S", 0.0)
    files = [root / "cut" / name for name, record in read_manifest(root / "cut").paths().items() if record.size_bytes]
    with serve(root) as served:

        def status(collection: str) -> int:
            return served.http.post(f"/v1/collections/{collection}/search", json=SEARCH).status_code

        for file in files:
            last = file.read_bytes()[-1:]
            os.truncate(file, file.stat().st_size - 1)  # no page is lost, so that no read ends the tests
            eventually(lambda: status("cut") == 503)
            assert [each["check"] for each in served.http.get("/readyz").json()["warnings"]] == ["collection cut"]
            assert status("small") == 200
            with file.open("ab") as cut:
                cut.write(last)
            eventually(lambda: status("cut") == 200)
