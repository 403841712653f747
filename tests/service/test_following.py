"""A service that follows a source: it serves new generations, and goes on without the source."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indexer.writing.writer import Writer
from retrieval.errors import SettingsError
from service.cli import app
from service.commands.serve import check_follow
from service.config.settings import load_settings
from tests.service.conftest import Serve, Served, eventually


def delete(collection: Path, document: str) -> None:
    with Writer(collection) as writer:
        assert writer.delete([document]) == 1
        writer.commit()


def details(served: Served) -> Any:
    return served.http.get("/v1/collections/papers").json()


def test_new_generations_are_served_and_a_lost_source_is_told(collections: Path, serve: Serve, tmp_path: Path) -> None:
    source, copies = tmp_path / "source", tmp_path / "copies"
    shutil.copytree(collections / "small", source / "papers")
    settings = load_settings({"follow.source": str(source)})
    check_follow(copies, settings, watch=False)
    with serve(copies, **{"follow.source": str(source), "follow.seconds": 0.05}) as served:
        eventually(lambda: served.http.get("/readyz").status_code == 200)  # the first copy may take longer than a poll
        first = details(served)
        assert first["source_age_seconds"] >= 0.0
        assert not first["writable"]
        assert not served.http.get("/readyz").json()["warnings"]
        delete(source / "papers", "aspirin")
        eventually(lambda: details(served)["generation"] == first["generation"] + 1)
        assert details(served)["documents"] == first["documents"] - 1
        refused = served.http.delete("/v1/collections/papers/documents/heat")
        assert refused.status_code == 403
        assert f"follows {source}" in refused.text
        source.rename(tmp_path / "moved")
        eventually(lambda: served.http.get("/readyz").json()["warnings"])
        ready = served.http.get("/readyz")
        assert ready.status_code == 200
        [warning] = ready.json()["warnings"]
        assert warning["check"] == "source"
        assert "cannot be read" in warning["detail"]
        assert "papers is " in warning["detail"]
        assert details(served)["source_age_seconds"] > 0.0
        assert served.http.get("/v1/collections/papers/overview").json()["source_age_seconds"] > 0.0
        assert 'attendex_source_age_seconds{collection="papers"}' in served.http.get("/metrics").text
        assert served.http.get("/v1/collections/papers/search?q=stroke").status_code == 200
    with serve(copies, **{"follow.source": str(source)}) as served:  # it starts without its source, too
        assert details(served)["generation"] == first["generation"] + 1


def test_wrong_options_are_refused(collections: Path, tmp_path: Path) -> None:
    settings = load_settings({"follow.source": str(tmp_path)})
    with pytest.raises(SettingsError, match="holds collections already"):
        check_follow(collections, settings, watch=False)
    with pytest.raises(SettingsError, match="give one of both"):
        check_follow(tmp_path, settings, watch=True)
    result = CliRunner().invoke(app, ["publish", str(collections / "small"), "ftp://there"])
    assert result.exit_code == 1
    assert "write s3://bucket/prefix" in result.output
