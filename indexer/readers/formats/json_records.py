"""JSON lines, JSON files and BEIR corpora: one document for each record."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NoReturn

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import first_bytes, read_whole
from indexer.readers.formats.records import check_encodable, document_from, fields_problem
from indexer.readers.text.charsets import Utf8Stream, decode, wide_codec
from indexer.readers.text.text_builder import clean
from retrieval.errors import BadDocument
from retrieval.types import Document

SAMPLE_BYTES = 1 << 20
SKIP_BYTES = 1 << 20
HEAD_BYTES = 1024
BLANK = re.compile(r"\s*")
BOM = b"\xef\xbb\xbf"
LIST_FIELDS = ("documents", "data", "items", "records", "rows", "results")  # an object may keep its records in these


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
FILE_DECODER = json.JSONDecoder()  # with NaN, which is an error of its record alone


def read_beir(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Read a BEIR corpus with its empty documents: published figures count them."""
    return read_jsonl(stream, origin, options, allow_empty=True)


def read_jsonl(
    stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions, *, allow_empty: bool = False
) -> Iterator[ReadItem]:
    """Yield a document or an error for each line that is not blank."""
    max_bytes = options.limits.record_bytes
    if encoding := wide_codec(first_bytes(stream, HEAD_BYTES)):
        stream = io.BufferedReader(Utf8Stream(stream, encoding), SAMPLE_BYTES)
    if options.tables_as_text and not allow_empty and _holds_no_records(stream, options):
        yield _read_as_text(stream, origin, options)
        return
    number = 0
    while line := stream.readline(max_bytes + 1):
        number += 1
        if len(line) > max_bytes:
            yield BadDocument(f"the line is longer than {max_bytes:,} bytes", path=origin.path, line=number)
            _skip_line(stream, line)
            continue
        if number == 1 and line.startswith(BOM):
            line = line[len(BOM) :]
        if line.isspace() or not line:
            continue
        try:
            yield _document(line, options, allow_empty)
        except BadDocument as error:
            yield BadDocument(str(error), path=origin.path, line=number)


def _holds_no_records(stream: BinaryIO, options: ReadOptions) -> bool:
    """Check whether the first line is an object without id or text, as in a log."""
    for line in first_bytes(stream, SAMPLE_BYTES).removeprefix(BOM).split(b"\n"):
        if line.strip():
            with contextlib.suppress(BadDocument):
                return bool(fields_problem(list(parse_object(line)), options))
            return False
    return False


def _read_as_text(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> ReadItem:
    """Return the file as one document with its lines unchanged."""
    lines, remaining_bytes = [], options.limits.text_bytes
    while line := stream.readline(remaining_bytes + 1):
        remaining_bytes -= len(line)
        if remaining_bytes < 0:
            return BadDocument(f"gives more than {options.limits.text_bytes:,} bytes of text", path=origin.path)
        lines.append(line.decode("utf-8", "replace"))
    return Document(origin.name, clean("".join(lines)).strip(), _file_name(origin))


def _document(line: bytes, options: ReadOptions, allow_empty: bool) -> Document:
    document = document_from(parse_object(line), options, allow_empty=allow_empty)
    if b"\\u" in line:  # only an escape can hold half of a surrogate pair
        check_encodable(document)
    return document


def parse_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object in `line`. Raises BadDocument without path and line."""
    try:
        value = DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadDocument(f"invalid UTF-8 at byte {error.start} of the line") from error
    except ValueError as error:
        raise BadDocument(f"not JSON: {error}") from error
    except RecursionError as error:
        raise BadDocument("not usable JSON: nested too deeply") from error
    if not isinstance(value, dict):
        raise BadDocument(f"a line must be a JSON object, not {type(value).__name__}")
    return value


def _skip_line(stream: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(SKIP_BYTES)


def read_json(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield a document or an error for each record; its number is the line.

    A file without records is one document: its JSON, indented. A file whose first line is an object of its own holds
    JSON lines.
    """
    try:
        text = decode(read_whole(stream, options.limits)).strip()
        if _holds_lines(text):
            yield from read_jsonl(io.BytesIO(text.encode("utf-8", "replace")), origin, options)
            return
        value = parse_json(text)
    except BadDocument as error:
        yield BadDocument(str(error), path=origin.path)
        return
    records = _find_records(value, options)
    if records is None:
        yield Document(origin.name, json.dumps(value, ensure_ascii=False, indent=1), _file_name(origin))
        return
    for number, record in enumerate(records, start=1):
        yield _read_record(record, number, origin, options)


def _holds_lines(text: str) -> bool:
    """Check whether the first line is a whole JSON object and another line follows it."""
    first, _, rest = text.partition("\n")
    if not rest or not first.startswith("{"):
        return False
    with contextlib.suppress(ValueError, RecursionError):
        return isinstance(DECODER.decode(first), dict)
    return False


def load_json(data: bytes) -> Any:
    """Return the JSON value in `data`. Raises BadDocument for other data."""
    return parse_json(decode(data).strip())


def parse_json(text: str) -> Any:
    """Return the JSON value in `text`, or the list of several in a row.

    Raises BadDocument for other text.
    """
    values: list[Any] = []
    position = 0
    try:
        while position < len(text) or not values:
            value, end = FILE_DECODER.raw_decode(text, position)
            values.append(value)
            position = BLANK.match(text, end).end()  # type: ignore[union-attr]  # it matches the empty string
    except ValueError as error:
        raise BadDocument(f"not JSON: {error}") from error
    except RecursionError as error:
        raise BadDocument("not usable JSON: nested too deeply") from error
    return values[0] if len(values) == 1 else values


def _find_records(value: Any, options: ReadOptions) -> Sequence[Any] | None:
    if isinstance(value, list):
        return value if not options.tables_as_text or _is_record(value[:1], options) else None
    if isinstance(value, dict):
        if any(field in value for field in options.text_fields) and (
            not options.tables_as_text or _is_record([value], options)
        ):
            return [value]
        for field in LIST_FIELDS:
            records = value.get(field)
            if (
                isinstance(records, list)
                and records
                and isinstance(records[0], dict)
                and any(field in records[0] for field in options.text_fields)
            ):
                return records
    return None


def _is_record(first: Sequence[Any], options: ReadOptions) -> bool:
    """Check whether the first value has an id and a text."""
    return bool(first) and isinstance(first[0], dict) and not fields_problem(list(first[0]), options)


def _read_record(record: Any, number: int, origin: DocumentOrigin, options: ReadOptions) -> ReadItem:
    try:
        if not isinstance(record, dict):
            raise BadDocument(f"a record must be a JSON object, not {type(record).__name__}")
        _check_numbers(record)
        document = document_from(record, options)
        check_encodable(document)
        return document
    except BadDocument as error:
        return BadDocument(str(error), path=origin.path, line=number)


def _check_numbers(record: dict[str, Any]) -> None:
    try:
        json.dumps(record, allow_nan=False)
    except ValueError as error:
        raise BadDocument("holds NaN or Infinity, which are not JSON numbers") from error
    except RecursionError as error:
        raise BadDocument("not usable JSON: nested too deeply") from error


def _file_name(origin: DocumentOrigin) -> str:
    return origin.name.rsplit("/", 1)[-1]
