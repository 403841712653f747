"""`attendex judge`: judge the documents of a pool, one key per document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.util.terminal import reports_errors, stdout
from retrieval.util.visible_text import visible

if TYPE_CHECKING:
    from retrieval.metrics.pooling import JudgingSession

SHOWN_CHARACTERS = 1_500
QUIT, UNDO, SKIP = "q", "u", "s"
ENDS = (QUIT, "\x03", "\x04", "\x1b", "")  # Ctrl-C, Ctrl-D, Escape, end of input


@reports_errors
def judge(
    pool: Annotated[Path, typer.Argument(help="Pool from `attendex pool`.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Judgments (TREC; .tsv: BEIR); judgments in the file are kept.", show_default=False)
    ],
) -> None:
    """Judge the documents of a pool, one key per document.

    Keys: 0 not relevant, 1 related, 2 relevant, 3 exactly what was asked.  Other keys: u undoes the last judgment, s
    skips a document, q stops.  Every judgment is saved at once, and the same command continues where it stopped.

    Examples:

      attendex judge pool.tsv --out qrels.txt
    """
    from retrieval.metrics.files import read_qrels
    from retrieval.metrics.pooling import GRADES, JudgingSession, read_pool

    judging = JudgingSession(read_pool(pool), read_qrels(out) if out.exists() else None)
    while judging.current is not None:
        _show(judging)
        key = _key()
        if key in ENDS:
            break
        if key == SKIP:
            judging.skip()
        elif key == UNDO:
            if judging.undo():
                _save(judging, out)
        elif key in map(str, GRADES):
            judging.grade(int(key))
            _save(judging, out)
        else:
            stdout().print(f"keys: {_keys()}", style="yellow")
    stdout().print(f"{judging.total - judging.remaining:,} of {judging.total:,} judged: {out}")


def _save(judging: JudgingSession, out: Path) -> None:
    """Write the judgments, or remove the file: readers refuse an empty one."""
    from retrieval.metrics.files import write_qrels

    if judging.qrels().judgments:
        write_qrels(judging.qrels(), out)
    else:
        out.unlink(missing_ok=True)


def _key() -> str:
    try:
        return typer.getchar().lower()
    except (EOFError, KeyboardInterrupt):
        return QUIT


def _show(judging: JudgingSession) -> None:
    from rich.text import Text

    item = judging.current
    assert item is not None
    console = stdout()
    console.rule(f"{judging.total - judging.remaining + 1:,} of {judging.total:,}", style="dim")
    console.print(item.query, style="bold cyan")
    console.print(item.title or item.document_id, style="bold")
    text = item.text if len(item.text) <= SHOWN_CHARACTERS else item.text[:SHOWN_CHARACTERS] + "…"
    console.print(Text(visible(text, lines=True)))
    console.print(_keys(), style="dim")


def _keys() -> str:
    from retrieval.metrics.pooling import GRADES

    return "   ".join([*(f"{grade} {word}" for grade, word in GRADES.items()), "u undo", "s later", "q stop"])
