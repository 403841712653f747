"""`attendex update`: change some fields of documents."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from retrieval.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import FAILURE, JsonOption, print_json, reports_errors, stderr

if TYPE_CHECKING:
    from indexer.building.document_patches import DocumentPatch, PatchFailure

_SHOWN_FAILURES = 10


@reports_errors
def update(
    collection: CollectionArgument,
    changes: Annotated[
        Path, typer.Argument(help="JSONL file, or - for standard input; each line has the id and the changed fields.")
    ],
    id_field: Annotated[str, typer.Option(help="Field with the id.")] = "id",
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Change some fields of documents, in one commit.

    A line is a JSON merge patch: null removes a field.  Only new titles and texts are encoded.  A document with a bad
    line or an unknown id stays as it is, and the exit code is 1.

    Examples:

      attendex update shop prices.jsonl

      echo '{"id": "sku-17", "price": 19.9, "discount": null}' | attendex update shop -
    """
    from indexer.building.document_changes import update_documents

    with ExitStack() as opened:
        lines = sys.stdin.buffer if str(changes) == "-" else opened.enter_context(changes.open("rb"))
        report = update_documents(collection, _patches(lines, str(changes), id_field), wait_s=wait)
    shown = [{"id": each.id, "error": str(each.error)} for each in report.failures]
    if as_json:
        print_json({**asdict(report), "failures": shown})
    else:
        stderr().print(
            f"{report.updated:,} documents changed, {report.unchanged:,} unchanged; generation {report.generation}"
        )
        _show_failures(report.failed, report.failures)
    if report.failed:
        raise typer.Exit(FAILURE)


def _patches(lines: BinaryIO, path: str, id_field: str) -> Iterator[DocumentPatch]:
    """Yield the patch of each line.  Raises BadDocument."""
    from indexer.building.document_patches import DocumentPatch
    from indexer.readers.formats.json_records import parse_object
    from retrieval.errors import BadDocument

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = parse_object(line)
        except BadDocument as error:
            raise BadDocument(str(error), path=path, line=number) from error
        id_ = fields.pop(id_field, None)
        if not isinstance(id_, str | int) or isinstance(id_, bool) or id_ == "":
            raise BadDocument(f"no id: field {id_field!r} is missing or empty", path=path, line=number)
        yield DocumentPatch(str(id_), fields)


def _show_failures(count: int, failures: tuple[PatchFailure, ...]) -> None:
    if count:
        stderr().print(f"{count:,} documents stay as they are:")
    for each in failures[:_SHOWN_FAILURES]:
        stderr().print(f"  {each.error}")
