"""The command line as a whole."""

from __future__ import annotations

import tomllib

from typer.testing import CliRunner

from service import __version__
from service.cli import app
from tests.conftest import REPOSITORY


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"attendex {__version__}\n")


def test_help_names_the_commands() -> None:
    shown = CliRunner().invoke(app, [])
    assert "Semantic search you can measure: index documents" in shown.output
    assert "serve" in shown.output
