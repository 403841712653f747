"""Run `attendex` commands for a demo, and print each before it runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape


class DemoError(Exception):
    """The demo cannot continue; the message gives the remedy."""


def run(console: Console, *arguments: object, remedy: str = "see its output above") -> None:
    """Run one attendex command in the foreground; DemoError has the `remedy`."""
    words = [str(argument) for argument in arguments]
    show(console, words)
    code = subprocess.run([*attendex(), *words], check=False).returncode
    if code != 0:
        raise DemoError(f"attendex {words[0]} ended with exit code {code}; {remedy}")
    console.print()


def show(console: Console, words: Sequence[str]) -> None:
    """Print a command as a user types it."""
    line = " ".join(f'"{word}"' if " " in word else word for word in words)
    console.print("[cyan]$ attendex " + escape(line) + "[/cyan]")


def attendex() -> list[str]:
    """Return the `attendex` command of this environment, which may not be on the PATH."""
    return [str(Path(sys.executable).with_name("attendex"))]


def fail(error: Exception) -> int:
    """Print the error and return the exit code."""
    Console(stderr=True, soft_wrap=True).print(f"[red]demo: {escape(str(error))}[/red]", highlight=False)
    return 1
