"""Jupyter notebooks: Markdown cells, code, and the output of the code."""

from __future__ import annotations

from typing import Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.json_records import load_json
from indexer.readers.formats.markdown import create_parser, render_markdown, text_to_parsed
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder
from retrieval.errors import BadDocument
from retrieval.util.language import language_of

MAX_OUTPUT_CHARACTERS = 2_000  # of one cell; longer output is a log


def parse_notebook(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a notebook of format 3 or 4."""
    del options
    value = load_json(data)
    if not isinstance(value, dict):
        raise BadDocument("not a Jupyter notebook: no object")
    sheets = [sheet for sheet in value.get("worksheets") or [value] if isinstance(sheet, dict)]
    cells = [cell for sheet in sheets for cell in sheet.get("cells") or () if isinstance(cell, dict)]
    markdown = "\n\n".join(_markdown(cell) for cell in cells if _is_markdown(cell))
    builder = TextBuilder(text_to_parsed(markdown).title)
    parser = create_parser()
    for cell in cells:
        _render_cell(cell, parser, builder)
    return builder.build(programming_language=_programming_language(value), language=language_of(markdown))


def _is_markdown(cell: dict[str, Any]) -> bool:
    return cell.get("cell_type") in ("markdown", "heading")


def _programming_language(notebook: dict[str, Any]) -> str:
    about = notebook.get("metadata")
    for part, name in (("language_info", "name"), ("kernelspec", "language")):
        found = about.get(part) if isinstance(about, dict) else None
        if isinstance(found, dict) and isinstance(found.get(name), str):
            return str(found[name])
    return ""


def _render_cell(cell: dict[str, Any], parser: Any, builder: TextBuilder) -> None:
    if _is_markdown(cell):
        render_markdown(parser.parse(_markdown(cell)), builder)
        return
    builder.block(_join_lines(cell.get("source", cell.get("input"))))
    for output in cell.get("outputs") or ():
        if isinstance(output, dict):
            builder.block(_output_text(output)[:MAX_OUTPUT_CHARACTERS])


def _markdown(cell: dict[str, Any]) -> str:
    """Return the text of a cell. In format 3 a heading is a cell of its own."""
    level = cell.get("level", 1) if cell.get("cell_type") == "heading" else 0
    mark = f"{'#' * min(level, 6)} " if isinstance(level, int) and level > 0 else ""
    return mark + _join_lines(cell.get("source"))


def _output_text(output: dict[str, Any]) -> str:
    """Return the printed text of a cell, its value as text, or its error."""
    if "ename" in output:
        return f"{output['ename']}: {output.get('evalue', '')}"
    data = output.get("data")
    return _join_lines(output.get("text") or (data.get("text/plain") if isinstance(data, dict) else ""))


def _join_lines(source: Any) -> str:
    """Return a text of a notebook, which is one string or a list of lines."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
