"""Option groups of commands; errors as one line with their notes; exit codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from retrieval.errors import InputError
from retrieval.util.terminal import option_groups, reports_errors


@dataclass(frozen=True, slots=True)
class Bm25Options:
    k1: Annotated[float, typer.Option(help="Term saturation.", rich_help_panel="BM25")] = 1.5
    terms: Annotated[list[str] | None, typer.Option("--term", help="May be repeated.")] = None
    exact: Annotated[bool, typer.Option("--exact")] = False


def _bm25_app() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @reports_errors
    @option_groups
    def bm25(
        query: Annotated[str, typer.Argument()],
        options: Bm25Options,
        k: Annotated[int, typer.Option("-k")] = 10,
    ) -> None:
        """Print the options."""
        print(query, options, k)

    return app


def test_each_field_of_an_option_group_is_an_option() -> None:
    command = typer.main.get_command(_bm25_app())
    assert [parameter.opts for parameter in command.params][:5] == [
        ["query"],
        ["--k1"],
        ["--term"],
        ["--exact"],
        ["-k"],
    ]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["wing"], f"wing {Bm25Options()} 10\n"),
        (
            ["wing", "--k1", "0.9", "--term", "a", "--term", "b", "--exact", "-k", "3"],
            f"wing {Bm25Options(0.9, ['a', 'b'], True)} 3\n",
        ),
    ],
)
def test_the_values_reach_the_command_as_a_group(arguments: list[str], printed: str) -> None:
    result = CliRunner().invoke(_bm25_app(), arguments)
    assert (result.exit_code, result.output) == (0, printed)


def test_a_wrong_value_of_a_group_is_wrong_usage() -> None:
    assert CliRunner().invoke(_bm25_app(), ["wing", "--k1", "much"]).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("x: no such [file]"), 1, "error: x: no such [file]"),
        (KeyboardInterrupt(), 130, "interrupted; the collection is as it was before"),
    ],
)
def test_an_error_is_said_with_its_notes(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error.add_note("4 finished passages are kept")

    @reports_errors
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as caught:
        command()
    assert caught.value.exit_code == code
    assert capsys.readouterr() == ("", f"{said}\n4 finished passages are kept\n")
