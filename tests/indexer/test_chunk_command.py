"""`attendex chunk` shows what a file becomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.md"
    path.write_text("# Kettles\n\nThey boil water.\n\n## Descaling\n\n" + "Use vinegar and rinse well. " * 40)
    return path


def test_json_offsets_lead_back_to_the_text(note: Path) -> None:
    result = CliRunner().invoke(app, ["chunk", str(note), "--passage-tokens", "64", "--json"])
    assert result.exit_code == 0, result.output
    [document] = json.loads(result.stdout)["documents"]
    assert document["title"] == "Kettles"
    assert len(document["passages"]) > 3
    for passage in document["passages"]:
        assert len(passage["text"]) == passage["end"] - passage["start"]
        assert passage["tokens"] <= 64
    assert document["passages"][-1]["location"] == "Kettles › Descaling"


def test_text_form_names_places(note: Path) -> None:
    result = CliRunner().invoke(app, ["chunk", str(note)])
    assert result.exit_code == 0
    assert "note.md  Kettles" in result.stdout
    assert "Kettles › Descaling" in result.stdout


def test_a_bad_file_is_named_and_fails(note: Path) -> None:
    (note.parent / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    result = CliRunner().invoke(app, ["chunk", str(note.parent), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["bad"] == 1
    assert "broken.pdf: damaged" in result.stderr
    assert CliRunner().invoke(app, ["chunk", str(note.parent / "none")]).exit_code == 1
