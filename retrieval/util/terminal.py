"""Shared by all commands: option groups, output, JSON, errors, exit codes.

Results go to stdout.  Progress, summaries and errors go to stderr.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar, get_type_hints

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup
from typer.exceptions import TyperException

from retrieval.errors import AttendexError
from retrieval.util.visible_text import visible

P = ParamSpec("P")
T = TypeVar("T")

FAILURE = 1  # typer itself exits with 2 on wrong usage

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]


class ForeignTextConsole(Console):
    """Prints each string on one line, with `visible`: no markup, no emoji codes.

    A `Text` is printed as it is: its caller applies `visible`.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def stdout() -> Console:
    """Return a console on stdout; a new one each time, so that tests can capture it."""
    return ForeignTextConsole()


def stderr() -> Console:
    """Return a console on stderr."""
    return ForeignTextConsole(stderr=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout, with non-ASCII letters and signs as they are."""
    document = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False, default=_plain)
    print(visible(document, lines=True))


class ForeignTextGroup(TyperGroup):
    """A group of commands that shows the words of a wrong call with `visible`."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _visible_usage_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _visible_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _visible_usage_errors() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        error.message = visible(error.message)
        raise


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def option_groups(command: Callable[..., T]) -> Callable[..., T]:
    """Expand each dataclass parameter of `command` into one option per field.

    typer reads the signature that this decorator sets: the field `k1: Annotated[float, typer.Option(...)] = 1.5`
    becomes the option `--k1`.  A call packs the values back into the dataclasses.  The field names of all groups and
    the other parameter names must differ.  Annotations are evaluated here, so none may need a TYPE_CHECKING import.
    """
    hints = get_type_hints(command, include_extras=True)
    hints.pop("return", None)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters = [
        option
        for name, parameter in inspect.signature(command).parameters.items()
        for option in (_fields(groups[name]) if name in groups else [(name, hints[name], parameter.default)])
    ]

    @functools.wraps(command)
    def run(**values: Any) -> T:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
        return command(**values)

    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
            for name, hint, default in parameters
        ]
    )
    run.__annotations__ = {name: hint for name, hint, _ in parameters}
    return run


def _fields(group: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default of each field; `Parameter.empty` for none."""
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        missing = field.default is dataclasses.MISSING
        yield field.name, hints[field.name], inspect.Parameter.empty if missing else field.default


def reports_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Print an AttendexError of `command` as one line on stderr and exit with 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except AttendexError as error:
            stderr().print(f"error: {error}", style="red")
            _print_notes(error)
            raise typer.Exit(FAILURE) from error
        except KeyboardInterrupt as error:
            stderr().print("interrupted; the collection is as it was before", style="yellow")
            _print_notes(error)
            raise typer.Exit(130) from error

    return run


def _print_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        stderr().print(note, style="yellow")
