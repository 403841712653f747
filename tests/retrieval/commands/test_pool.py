"""`attendex pool`: what it refuses before it asks anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app


@pytest.mark.parametrize("system", ["http://127.0.0.1:9/papers", "nowhere:dense"])
def test_texts_are_found_before_anything_is_asked(tmp_path: Path, system: str) -> None:
    (tmp_path / "queries.tsv").write_text("q1\taspirin\n")
    asked = ["--queries", tmp_path / "queries.tsv", "--out", tmp_path / "pool.tsv", "--runs", "http://127.0.0.1:9/x"]
    result = CliRunner().invoke(app, ["pool", system, *map(str, asked)])
    assert result.exit_code == 1
    assert "no texts to read" in result.output or "neither a run file nor a collection" in result.output
