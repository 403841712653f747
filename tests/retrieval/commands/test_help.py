"""`--help` of every command shows the source text, brackets included."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
import typer.main
import typer.rich_utils
from typer.testing import CliRunner

from service.cli import app


def commands(group: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the path and the object of every command below a group."""
    for name, command in getattr(group, "commands", {}).items():
        yield (*path, name), command
        yield from commands(command, *path, name)


COMMANDS = dict(commands(typer.main.get_command(app)))


def words(text: str) -> str:
    """Return the text on one line, without markers of paragraphs, styles and panels."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│\b]", " ", text).split())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_is_the_source_text(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", 2000)  # wide enough that no text is wrapped
    shown = words(CliRunner().invoke(app, [*path, "--help"]).output)
    command = COMMANDS[path]
    paragraphs = re.split(r"\n\s*\n", command.help or "")
    options = [text for parameter in command.params if (text := getattr(parameter, "help", None))]
    assert [text for text in (*paragraphs, *options) if words(text) not in shown] == []
