"""JSON files: a list of records or one of them, and Jupyter notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import read_whole
from indexer.readers.formats.jsonl import DECODER, check_encodable
from indexer.readers.formats.markdown import markdown_to_parsed, parser, render
from indexer.readers.formats.records import document_from, fields_problem
from indexer.readers.formats.text import read_as
from indexer.readers.text.charsets import decode
from indexer.readers.text.language import language_of
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder
from retrieval.errors import BadDocument
from retrieval.types import Document

LIST_FIELDS = ("documents", "data", "items", "records", "rows", "results")  # where an object keeps its records
OUTPUT_CHARACTERS = 2_000  # of one cell of a notebook; more is a log


def read_json(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Records of the file; an error's line is the record's number, from 1.

    A file that holds neither a record nor a list of records is one document of its own, shown as JSON.
    """
    try:
        value = _loads(read_whole(stream, options.limits))
    except BadDocument as error:
        yield BadDocument(str(error), path=origin.path)
        return
    records = _records(value, options)
    if records is None:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        yield Document(origin.name, text, origin.name.rsplit("/", 1)[-1])
        return
    for number, record in enumerate(records, start=1):
        yield _item(record, number, origin, options)


def _records(value: Any, options: ReadOptions) -> Sequence[Any] | None:
    if isinstance(value, list):
        return value if not options.tables_as_text or _is_record(value[:1], options) else None
    if isinstance(value, dict):
        if options.text_field in value and (not options.tables_as_text or _is_record([value], options)):
            return [value]
        for field in LIST_FIELDS:
            inner = value.get(field)
            if isinstance(inner, list) and inner and isinstance(inner[0], dict) and options.text_field in inner[0]:
                return inner
    return None


def _is_record(first: Sequence[Any], options: ReadOptions) -> bool:
    """Whether it has an id and a text, as the records of a collection do."""
    return bool(first) and isinstance(first[0], dict) and not fields_problem(list(first[0]), options)


def _item(record: Any, number: int, origin: DocumentOrigin, options: ReadOptions) -> ReadItem:
    try:
        if not isinstance(record, dict):
            raise BadDocument(f"a record must be a JSON object, not {type(record).__name__}")
        document = document_from(record, options)
        check_encodable(document)
        return document
    except BadDocument as error:
        return BadDocument(str(error), path=origin.path, line=number)


def _loads(data: bytes) -> Any:
    try:
        return DECODER.decode(decode(data).strip())
    except ValueError as error:
        raise BadDocument(f"not JSON: {error}") from error
    except RecursionError as error:
        raise BadDocument("not usable JSON: nested too deeply") from error


def read_notebook(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The notebook as one document: Markdown cells, code, and what it printed."""
    return read_as(parse_notebook, stream, origin, options)


def parse_notebook(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a notebook of format 3 or 4."""
    del options
    value = _loads(data)
    if not isinstance(value, dict):
        raise BadDocument("not a Jupyter notebook: no object")
    sheets = [sheet for sheet in value.get("worksheets") or [value] if isinstance(sheet, dict)]
    cells = [cell for sheet in sheets for cell in sheet.get("cells") or () if isinstance(cell, dict)]
    markdown = "\n\n".join(_markdown(cell) for cell in cells if cell.get("cell_type") in ("markdown", "heading"))
    builder = TextBuilder(markdown_to_parsed(markdown).title)
    reader = parser()
    for cell in cells:
        _render_cell(cell, reader, builder)
    return builder.build(programming_language=_programming_language(value), language=language_of(markdown))


def _programming_language(notebook: dict[str, Any]) -> str:
    about = notebook.get("metadata")
    for part, name in (("language_info", "name"), ("kernelspec", "language")):
        found = about.get(part) if isinstance(about, dict) else None
        if isinstance(found, dict) and isinstance(found.get(name), str):
            return str(found[name])
    return ""


def _render_cell(cell: dict[str, Any], reader: Any, builder: TextBuilder) -> None:
    if cell.get("cell_type") in ("markdown", "heading"):
        render(reader.parse(_markdown(cell)), builder)
        return
    builder.block(_joined(cell.get("source", cell.get("input"))))
    for output in cell.get("outputs") or ():
        if isinstance(output, dict):
            builder.block(_shown(output)[:OUTPUT_CHARACTERS])


def _markdown(cell: dict[str, Any]) -> str:
    """A cell's text; the headings of format 3 are cells of their own."""
    level = cell.get("level", 1) if cell.get("cell_type") == "heading" else 0
    mark = f"{'#' * min(level, 6)} " if isinstance(level, int) and level > 0 else ""
    return mark + _joined(cell.get("source"))


def _shown(output: dict[str, Any]) -> str:
    """What a cell printed, its value as text, or the error that it ended with."""
    if "ename" in output:
        return f"{output['ename']}: {output.get('evalue', '')}"
    data = output.get("data")
    return _joined(output.get("text") or (data.get("text/plain") if isinstance(data, dict) else ""))


def _joined(source: Any) -> str:
    """Notebooks keep texts as one string or as a list of lines."""
    if isinstance(source, list):
        return "".join(each for each in source if isinstance(each, str))
    return source if isinstance(source, str) else ""
