"""`attendex info` on real collections: one searched exactly, one with a structure."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from indexer.building.pipeline import BuildSettings, build_collection
from retrieval.index.storage.settings import VectorSettings
from service.cli import app


def build(folder: Path, documents: int, settings: BuildSettings | None = None) -> Path:
    source = folder / "numbers.jsonl"
    source.write_text(
        "".join(json.dumps({"id": str(i), "text": f"number {i}", "even": i % 2 == 0}) + "\n" for i in range(documents))
    )
    build_collection([source], folder / "numbers", settings)
    return folder / "numbers"


def test_facts_are_those_of_the_collection(tmp_path: Path) -> None:
    collection = build(tmp_path, 12)
    facts = json.loads(CliRunner().invoke(app, ["info", str(collection), "--json"]).stdout)
    assert (facts["name"], facts["generation"], facts["documents"], facts["passages"]) == ("numbers", 1, 12, 12)
    assert facts["schema"] == {"even": "boolean"}
    assert facts["encoder"]["dimension"] == 384
    shown = CliRunner().invoke(app, ["info", str(collection)]).stdout
    assert "all-MiniLM-L6-v2" in shown
    assert "12 searched exactly" in shown


def test_a_structure_is_shown_with_its_measured_recall(tmp_path: Path) -> None:
    collection = build(tmp_path, 1_200, BuildSettings(vectors=VectorSettings(structure="HNSW16,SQ8", recall=0.9)))
    shown = " ".join(CliRunner().invoke(app, ["info", str(collection)]).stdout.split())
    assert "1,200 in HNSW16,SQ8, recall@10" in shown
    assert "held-out passages" in shown
    assert "bytes a vector" in shown


def test_a_directory_without_a_collection_exits_with_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(tmp_path)])
    assert result.exit_code == 1
    assert "attendex index" in result.stderr
