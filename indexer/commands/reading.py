"""The options of every command that reads sources, and what is shown of the files in the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from retrieval.commands.terminal import stderr

if TYPE_CHECKING:
    from indexer.readers import FileReport, WebOptions

FormatOption = Annotated[str, typer.Option("--format", help="Format of the sources; default: by content.")]
IncludeOption = Annotated[list[str] | None, typer.Option(help="Glob of the files to read in folders, as *.pdf.")]
ExcludeOption = Annotated[list[str] | None, typer.Option(help="Glob of the files to leave out in folders.")]
HiddenOption = Annotated[bool, typer.Option("--hidden", help="Read hidden files and folders too.")]
NoIgnoreOption = Annotated[bool, typer.Option("--no-ignore", help="Do not honour .gitignore and its like.")]
PasswordOption = Annotated[str, typer.Option(help="Password of protected PDF and zip files.")]
OcrOption = Annotated[bool, typer.Option("--ocr", help="Read PDF pages that are pictures with tesseract.")]
OcrLanguageOption = Annotated[str, typer.Option("--ocr-language", help="Languages as tesseract names them: eng+deu.")]
WebOption = Annotated[bool, typer.Option("--web", help="Allow sources that are URLs: pages and sitemaps.")]
AllowHostOption = Annotated[list[str] | None, typer.Option(help="Further host that --web may fetch from.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write what became of each file here, as JSON lines.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit with 1 when a file could not be read.")]

SHOWN = 30


def web_options(web: bool, hosts: list[str] | None) -> WebOptions | None:
    """None unless fetching was asked for."""
    from indexer.readers import WebOptions

    return WebOptions(hosts=tuple(hosts or ())) if web else None


def show_files(report: FileReport) -> None:
    """A table of the files with trouble, and the counts; nothing where every file was read."""
    if not report.troubled:
        return
    table = Table("file", "became", "reason", box=None, pad_edge=False)
    for outcome in report.troubled[:SHOWN]:
        reason = outcome.reason.removeprefix(f"{outcome.path}: ").removeprefix(outcome.path)
        table.add_row(outcome.path, outcome.status.value, reason)
    stderr().print(table)
    hidden = len(report.troubled) - SHOWN
    more = f" ({hidden:,} more with trouble; --report lists them all)" if hidden > 0 else ""
    stderr().print(f"files: {report.summary()}{more}", markup=False, highlight=False)
