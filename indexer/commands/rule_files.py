"""Files of rules that a command replaces: synonyms, pins."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def read_lines(file: Path) -> list[str]:
    """Return the lines of a file, or of standard input for `-`.  Raises BadParameter."""
    if str(file) == "-":
        return sys.stdin.read().splitlines()
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise typer.BadParameter(f"{file}: {reason}", param_hint="FILE") from error
