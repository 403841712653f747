"""What every command shares: answers on stdout, everything else on stderr, errors as one line and exit code 1."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console

from retrieval.errors import AttendexError

P = ParamSpec("P")
T = TypeVar("T")

FAILURE = 1  # typer itself exits with 2 on wrong usage

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]


def stdout() -> Console:
    """Where answers go.  Made on demand, so that tests may capture it."""
    return Console(soft_wrap=True)


def stderr() -> Console:
    """Where progress, summaries and errors go."""
    return Console(stderr=True, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout; non-ASCII stays readable."""
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def reports_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Make an AttendexError of `command` one line on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except AttendexError as error:
            stderr().print(f"error: {error}", style="red", markup=False, highlight=False)
            _print_notes(error)
            raise typer.Exit(FAILURE) from error
        except KeyboardInterrupt as error:
            stderr().print("interrupted; the collection is as it was before", style="yellow")
            _print_notes(error)
            raise typer.Exit(130) from error

    return run


def _print_notes(error: BaseException) -> None:
    """What was added to an error on its way, one line each."""
    for note in getattr(error, "__notes__", ()):
        stderr().print(note, style="yellow", markup=False, highlight=False)
