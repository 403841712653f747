"""What commands share: errors as one line, what was added to them below, exit codes."""

from __future__ import annotations

import pytest
import typer

from retrieval.errors import InputError
from retrieval.util.terminal import reports_errors


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
