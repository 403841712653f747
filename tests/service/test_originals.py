"""Originals of uploaded files: kept with their documents, sent safely, part of backups."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indexer.maintenance.backup import restore_backup, save_backup
from indexer.maintenance.verify import verify
from retrieval.errors import CorruptCollection
from retrieval.index.collection.originals import read_originals
from service.cli import app
from service.client import Client
from tests.indexer.readers.samples import pdf_file
from tests.service.conftest import Serve, Served
from tests.service.test_routes import problem
from tests.service.test_uploads import archive, send

SMALL = "/v1/collections/small"
PDF = pdf_file([["The first page is about granite."], ["The second page is about feldspar."]])
PAGE = b"<html><body><script>alert(1)</script><p>Mica splits into sheets.</p></body></html>"


@pytest.fixture
def served(collections: Path, tmp_path: Path, serve: Serve) -> Iterator[Served]:
    shutil.copytree(collections / "small", tmp_path / "root" / "small")
    with serve(tmp_path / "root", **{"uploads.kept_bytes": 20_000}) as served:
        yield served


def original(served: Served, document: str, **headers: str) -> Any:
    return served.http.get(f"{SMALL}/documents/{document}/original", headers=headers)


def test_an_original_is_sent_as_it_came_and_safely(served: Served) -> None:
    packed = archive(**{"a.md": b"# Talc\n\nTalc is soft."})
    job = send(
        served, ("rocks/paper ü.pdf", PDF), ("page.html", PAGE), ("all.zip", packed), ("b.txt", b"Topaz."), keep=True
    )
    assert job.json()["added"] == 4, job.text
    sent = original(served, "rocks/paper ü.pdf")
    assert (sent.status_code, sent.content, sent.headers["content-type"]) == (200, PDF, "application/pdf")
    assert sent.headers["content-disposition"] == "inline; filename*=UTF-8''paper%20%C3%BC.pdf"
    assert sent.headers["etag"] == f'"{hashlib.sha256(PDF).hexdigest()}"'
    part = original(served, "rocks/paper ü.pdf", Range="bytes=5-9")
    assert (part.status_code, part.content) == (206, PDF[5:10])
    assert original(served, "rocks/paper ü.pdf", Range="bytes=999999-").status_code == 416
    for document, content in (("page.html", PAGE), ("all.zip/a.md", packed)):
        sent = original(served, document)
        assert sent.content == content
        assert sent.headers["content-type"] == "application/octet-stream"
        assert sent.headers["content-disposition"].startswith("attachment; ")
        assert sent.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert original(served, "b.txt").headers["content-type"].startswith("text/plain")
    for document in ("rocks/paper ü.pdf", "page.html", "b.txt"):
        assert original(served, document).headers["x-content-type-options"] == "nosniff"
    listed = served.http.get(f"{SMALL}/originals", params={"id": ["rocks/paper ü.pdf", "heat", "all.zip/a.md"]}).json()
    assert [(each["id"], each["media_type"]) for each in listed["originals"]] == [
        ("rocks/paper ü.pdf", "application/pdf"),
        ("all.zip/a.md", "application/octet-stream"),
    ]
    assert served.http.get(SMALL).json()["originals"] == 4
    with Client(served.url) as client:
        assert client.original("small", "rocks/paper ü.pdf") == PDF
        assert [each.id for each in client.originals("small", ["heat", "b.txt"])] == ["b.txt"]
    problem(original(served, "heat"), 404, "not_found")
    problem(original(served, "nowhere"), 404, "not_found")
    served.http.post(f"{SMALL}/documents?wait=true", json={"documents": [{"id": "x/original", "text": "Same end."}]})
    assert original(served, "x").json()["id"] == "x/original"


def test_originals_are_kept_only_if_asked_for_and_in_bounds(served: Served) -> None:
    assert send(served, ("a.txt", b"Not kept.")).json()["added"] == 1
    problem(original(served, "a.txt"), 404, "not_found")
    text = b"Beryl is a mineral. " * 800
    job = send(served, ("b.txt", text), ("c.txt", text + b"More."), keep=True).json()
    files = {each["name"]: each["reason"] for each in job["files"]}
    assert job["added"] == 2
    assert (files["b.txt"], "is not kept" in files["c.txt"]) == ("", True)
    assert original(served, "b.txt").content == text
    problem(original(served, "c.txt"), 404, "not_found")


def test_originals_go_when_no_generation_has_their_document(served: Served) -> None:
    path = served.root / "small"
    send(served, ("a.txt", b"Zircon is old."), ("b.txt", b"Zircon is old."), keep=True)
    kept = list((path / "originals").iterdir())
    assert [each.name for each in kept] == [hashlib.sha256(b"Zircon is old.").hexdigest()]
    assert served.http.delete(f"{SMALL}/documents/a.txt?wait=true").status_code == 200
    problem(original(served, "a.txt"), 404, "not_found")
    assert original(served, "b.txt").status_code == 200
    assert served.http.delete(f"{SMALL}/documents/b.txt?wait=true").status_code == 200
    for number in range(4):  # until no kept generation has the documents
        body = {"documents": [{"id": "other", "text": f"Text {number}."}]}
        assert served.http.post(f"{SMALL}/documents?wait=true", json=body).status_code == 200
    assert list((path / "originals").iterdir()) == []
    assert read_originals(path) == ()


def test_a_new_version_replaces_the_original(served: Served) -> None:
    for content in (b"The first version.", b"The second version."):
        assert send(served, ("a.txt", content), keep=True).json()["added"] == 1
        assert original(served, "a.txt").content == content
    assert len(list((served.root / "small" / "originals").iterdir())) == 1


def test_originals_are_part_of_a_backup_and_checked(served: Served, tmp_path: Path) -> None:
    path, target = served.root / "small", tmp_path / "restored"
    send(served, ("a.pdf", PDF), ("b.txt", b"Opal has water in it."), keep=True)
    save_backup(path, tmp_path / "backup.tar.zst")
    restore_backup(tmp_path / "backup.tar.zst", target)
    assert read_originals(target) == read_originals(path)
    assert sorted(each.name for each in (target / "originals").iterdir()) == sorted(
        each.name for each in (path / "originals").iterdir()
    )
    assert verify(target).ok
    file = target / "originals" / hashlib.sha256(PDF).hexdigest()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    run = CliRunner().invoke(app, ["verify", str(target)])
    assert (run.exit_code, "a.pdf" in run.output) == (1, True)
    with pytest.raises(CorruptCollection, match="differs from its digest"):
        save_backup(target, tmp_path / "damaged.tar.zst")
    table = json.loads((target / "originals.json").read_bytes())
    assert {each["name"] for each in table["originals"]} == {"a.pdf", "b.txt"}
