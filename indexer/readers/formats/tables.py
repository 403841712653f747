"""CSV and TSV: a header line, then one document for each row.

Cells are strings. The first rows tell which columns hold numbers or booleans, unless `options.types` gives the type.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeAlias

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.records import document_from, fields_problem, id_field_of
from indexer.readers.text.charsets import encoding_of, evidence_in
from indexer.readers.text.text_builder import TextBuilder
from retrieval.errors import BadDocument
from retrieval.types import FieldType

SAMPLE_ROWS = 1000
MAX_OPEN_QUOTES = 20  # each may have taken the rest of the file
NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d{1,3})?")  # no leading zero: 02134 is a postcode
BOOLEANS = {"true": True, "false": False}
DELIMITERS = (",", "\t", ";", "|")
BLANK_CELLS = ',;|" \t\r\n'  # a line of these has no filled cell
NAMED_DELIMITER = re.compile(r"sep=(.)\s*$")  # Excel writes it in the first line

Convert: TypeAlias = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class TableRow:
    """Cells of one row, and the line of the file where the row ends."""

    cells: list[str]
    line: int


def read_table(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield a document or an error for each row."""
    path = origin.path
    rows = _read_rows(stream, path, options)
    first = next(rows, None)
    if first is None:
        return
    if isinstance(first, BadDocument):
        yield first
        return
    header = _column_names(first.cells)
    if problem := _header_problem(header, options):
        if options.tables_as_text:
            cells = (row.cells for row in rows if isinstance(row, TableRow))
            yield table_as_text(itertools.chain([first.cells], cells), origin, options)
        else:
            yield BadDocument(problem, path=path, line=first.line)
        return
    rows = (_fitted(row, len(header)) for row in rows)
    sample = list(itertools.islice(rows, SAMPLE_ROWS))
    converters = _converters(header, sample, options)
    for row in itertools.chain(sample, rows):
        yield row if isinstance(row, BadDocument) else _read_record(row, header, converters, path, options)


def table_as_text(rows: Iterator[list[str]], origin: DocumentOrigin, options: ReadOptions) -> ReadItem:
    """Return the whole table as one document, a line for each row."""
    builder = TextBuilder(PurePosixPath(origin.name).stem)
    while batch := list(itertools.islice(rows, SAMPLE_ROWS)):
        builder.rows(map(_without_empty_end, batch), continued=builder.length > 0)
        if builder.length > options.limits.text_bytes:
            return BadDocument(f"gives more than {options.limits.text_bytes:,} characters of text", path=origin.path)
    return builder.build().document(origin.name, "")


def _without_empty_end(cells: list[str]) -> list[str]:
    """Return the cells up to the last filled one."""
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


def _read_record(
    row: TableRow, header: list[str], converters: Mapping[str, Convert], path: str, options: ReadOptions
) -> ReadItem:
    try:
        return document_from(_record(row, header, converters), options)
    except BadDocument as error:
        return BadDocument(str(error), path=path, line=row.line)


def _record(row: TableRow, header: list[str], converters: Mapping[str, Convert]) -> dict[str, Any]:
    if len(row.cells) != len(header):
        raise BadDocument(f"the row has {len(row.cells)} cells, the header {len(header)}")
    return {
        name: converters[name](cell) if name in converters else cell
        for name, cell in zip(header, row.cells, strict=True)
        if cell or name not in converters
    }


def _column_names(cells: list[str]) -> list[str]:
    """Return the names of the header; a column without a name gets its number."""
    return [name.strip() or f"column {number}" for number, name in enumerate(cells, start=1)]


def _fitted(row: TableRow | BadDocument, width: int) -> TableRow | BadDocument:
    """Return the row without empty cells beyond the header, which spreadsheets write."""
    if isinstance(row, BadDocument) or len(row.cells) <= width or any(row.cells[width:]):
        return row
    return TableRow(row.cells[:width], row.line)


def _read_rows(stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[TableRow | BadDocument]:
    """Yield the rows that are not blank; a bad byte makes only its row an error."""
    evidence = evidence_in(stream)
    is_late = evidence.isascii() and not stream.seekable()  # a later accent tells the encoding
    encoding = "latin-1" if is_late else encoding_of(evidence)
    text = io.TextIOWrapper(stream, encoding, errors=_bad_bytes(encoding), newline="")
    try:
        max_characters = options.limits.record_bytes
        csv.field_size_limit(max_characters)
        lines = iter(lambda: text.readline(max_characters), "")
        yield from _checked_rows(_TableLines(_decoded_late(lines, stream) if is_late else lines), path)
    finally:
        text.detach()


def _bad_bytes(encoding: str) -> str:
    """Return how bad bytes are decoded: so that they are found, or replaced."""
    return "surrogateescape" if encoding.startswith("utf-8") else "replace"


def _decoded_late(lines: Iterator[str], stream: BinaryIO) -> Iterator[str]:
    """Decode lines of Latin-1 again, in the encoding that the first accent tells."""
    encoding = ""
    for line in lines:
        if line.isascii():
            yield line
            continue
        data = line.encode("latin-1")
        encoding = encoding or encoding_of(data + evidence_in(stream))
        yield data.decode(encoding, _bad_bytes(encoding))


class _TableLines:
    """The lines of a table, with those of the row that is being read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = 0  # of the last line
        self.row: list[str] = []
        self._open_quotes = 0

    def __iter__(self) -> _TableLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.row.append(line)
        return line

    def give_back_others(self) -> bool:
        """Give back all lines of the row but the first.

        Returns False if there are no others, or if too many rows have had an open quote.
        """
        others = self.row[1:]
        self._open_quotes += 1
        if not others or self._open_quotes > MAX_OPEN_QUOTES:
            return False
        self._lines = itertools.chain(others, self._lines)
        self.number -= len(others)
        return True

    def delimiter(self) -> str:
        """Return the delimiter of the first filled line; drop a line that names it."""
        while (start := next(self._lines, "")) and not start.strip(BLANK_CELLS):
            self.number += 1
        if named := NAMED_DELIMITER.match(start):
            self.number += 1
            return named.group(1)
        self._lines = itertools.chain([start] if start else [], self._lines)
        return delimiter_of(start)


def _checked_rows(lines: _TableLines, path: str) -> Iterator[TableRow | BadDocument]:
    """Yield each row with a filled cell, or the error of the row."""
    delimiter = lines.delimiter()
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        lines.row.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field larger" in str(error) or "unexpected end" in str(error):  # an open quote took what follows
                has_others = lines.give_back_others()
                yield BadDocument(f"not a row: {error}", path=path, line=lines.number)
                if not has_others:
                    return
                reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
                continue
            cells = _loose_cells(lines.row, delimiter)
        if not any(cells):
            continue
        if all(cell.isascii() or _is_unicode(cell) for cell in cells):
            yield TableRow(cells, lines.number)
        else:
            yield BadDocument("invalid UTF-8", path=path, line=lines.number)


def _loose_cells(lines: list[str], delimiter: str) -> list[str]:
    """Return the cells of a row with quotes inside quoted cells."""
    escape = "\\" if any('\\"' in line for line in lines) else None
    return next(csv.reader(lines, delimiter=delimiter, escapechar=escape), [])


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def delimiter_of(header: str) -> str:
    """Return the most frequent delimiter of the header outside quotes."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=unquoted.count)


def _header_problem(header: list[str], options: ReadOptions) -> str:
    if repeated := {name for name, count in Counter(header).items() if count > 1}:
        return f"the header names a column twice: {', '.join(sorted(repeated))}"
    return fields_problem(header, options)


def _converters(header: list[str], sample: list[TableRow | BadDocument], options: ReadOptions) -> dict[str, Convert]:
    """Return the functions that convert the cells of each metadata column."""
    text_columns = {id_field_of(header, options), options.title_field, *options.text_fields}
    rows = [row.cells for row in sample if isinstance(row, TableRow) and len(row.cells) == len(header)]
    by_type: dict[FieldType, Convert] = {
        FieldType.NUMBER: _number,
        FieldType.BOOLEAN: lambda cell: BOOLEANS.get(cell.strip().lower(), cell),
        **{kind: partial(_strings, separator=options.list_separator) for kind in FieldType if kind.is_list},
    }
    found = {}
    for column, name in enumerate(header):
        if name not in text_columns:
            field_type = options.types.get(name) or _infer_type([row[column] for row in rows])
            found[name] = by_type.get(field_type, str)
    return found


def _infer_type(cells: list[str]) -> FieldType:
    filled = [cell.strip() for cell in cells if cell.strip()]
    if filled and all(NUMBER.fullmatch(cell) for cell in filled):
        return FieldType.NUMBER
    if filled and all(cell.lower() in BOOLEANS for cell in filled):
        return FieldType.BOOLEAN
    return FieldType.STRING


def _number(cell: str) -> float | str:
    """Return the number, or the cell itself, so that the schema reports it."""
    try:
        return float(cell)
    except ValueError:
        return cell


def _strings(cell: str, separator: str) -> list[str]:
    """Return the values of a JSON list, or the values between separators."""
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list):
        return [str(item) for item in value]
    return [part.strip() for part in cell.split(separator) if part.strip()]
