"""`attendex distil` on a tiny encoder: the student comes nearer to its teacher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.encoder.loading import load_encoder
from retrieval.types import Document
from service.cli import app
from tests.retrieval.encoder.conftest import MakeFolder, default_folder, make_folder

__all__ = ["default_folder", "make_folder"]

GOODS = ("copper", "barley", "amber", "linen", "salt", "timber", "wool", "honey", "iron", "glass")
TEXT = (
    "In the town of {0}, {1} was sold by a family of seven. It cost {2} coins in those days. "
    "The {1} of the town is known to all its neighbours. Many years later it was measured again."
)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, make_folder: MakeFolder) -> Path:
    path = tmp_path_factory.mktemp("distil") / "col"
    encoder = load_encoder(make_folder(), runtime="torch", precision="f32")
    create_collection(path, encoder)
    documents = tuple(
        Document(f"d{i}", TEXT.format(GOODS[i // 10], GOODS[i % 10], i), f"The {GOODS[i % 10]} of {GOODS[i // 10]}")
        for i in range(100)
    )
    apply_changes(path, encoder, [CollectionChange(documents)])
    return path


def test_a_student_is_smaller_and_learns_its_teachers_vectors(collection: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoders" / "small"
    sizes = ["--layers", "1", "--dimension", "16", "--vocabulary", "260"]
    steps = ["--texts", "300", "--epochs", "6", "--rate", "2e-3", "--threads", "1", "--json"]
    result = CliRunner().invoke(app, ["distil", str(collection), "--out", str(out), *sizes, *steps])
    assert result.exit_code == 0, result.output + str(result.exception)
    report = json.loads(result.stdout)
    assert (report["layers"], report["dimension"], report["vocabulary"]) == (1, 16, 260)
    assert report["weights"] < report["teacher_weights"] / 10
    assert report["after"] > max(report["before"] + 0.05, 0.8)
    student = load_encoder(out, runtime="torch", precision="f32")
    assert student.encode_passages(["The salt of wool"]).shape == (1, 16)
    assert "attendex distil" in (out / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in out.parent.iterdir()] == ["small"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "give --layers, --dimension or --vocabulary"),
        (["--layers", "2"], "has 2 layers; choose 1 to 1"),
        (["--dimension", "32"], "vectors of 32 numbers; choose 1 to 31"),
    ],
)
def test_wrong_sizes_are_refused(collection: Path, tmp_path: Path, options: list[str], problem: str) -> None:
    result = CliRunner().invoke(app, ["distil", str(collection), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 1
    assert problem in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()
