"""The commands and options in docs/evaluation.md exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from service.cli import app

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "evaluation.md"
LINES = sorted(set(re.findall(r"attendex ([a-z-]+)([^`\n#|]*)", GUIDE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(("name", "arguments"), LINES)
def test_commands_and_options_exist(name: str, arguments: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert name in commands
    known = {option for parameter in commands[name].params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", arguments)) <= known


def test_the_guide_was_read() -> None:
    assert len(LINES) > 10
