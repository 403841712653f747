"""The command line as a whole."""

from __future__ import annotations

import signal
import subprocess
import sys
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


def test_death_by_a_signal_is_reported() -> None:
    program = """
import os, signal, sys
from service.cli import main
sys.argv = ["attendex", "--version"]
try:
    main()
except SystemExit:
    os.kill(os.getpid(), signal.SIGBUS)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGBUS
    assert "Bus error" in ended.stderr
