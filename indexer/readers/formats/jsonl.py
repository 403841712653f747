"""JSON lines: one object a line, UTF-8."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import first_bytes
from indexer.readers.formats.records import UNENCODABLE, document_from, fields_problem
from indexer.readers.text.text_builder import clean
from retrieval.errors import BadDocument
from retrieval.types import Document

SAMPLE_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"


def read_jsonl(
    stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions, *, allow_empty: bool = False
) -> Iterator[ReadItem]:
    """A document, or what is wrong, for every line that is not blank."""
    longest = options.limits.record_bytes
    if options.tables_as_text and not allow_empty and _holds_no_records(stream, options):
        yield _as_text(stream, origin, options)
        return
    number = 0
    while line := stream.readline(longest + 1):
        number += 1
        if len(line) > longest:
            yield BadDocument(f"the line is longer than {longest:,} bytes", path=origin.path, line=number)
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
    """Whether the first line is an object without id or text, as those of logs are."""
    for line in first_bytes(stream, SAMPLE_BYTES).removeprefix(BOM).split(b"\n"):
        if line.strip():
            with contextlib.suppress(BadDocument):
                return bool(fields_problem(list(parse_object(line)), options))
            return False
    return False


def _as_text(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> ReadItem:
    """The file as one document, its lines as they are."""
    lines, left = [], options.limits.text_bytes
    while line := stream.readline(left + 1):
        left -= len(line)
        if left < 0:
            return BadDocument(f"gives more than {options.limits.text_bytes:,} bytes of text", path=origin.path)
        lines.append(line.decode("utf-8", "replace"))
    return Document(origin.name, clean("".join(lines)).strip(), origin.name.rsplit("/", 1)[-1])


def _document(line: bytes, options: ReadOptions, allow_empty: bool) -> Document:
    document = document_from(parse_object(line), options, allow_empty=allow_empty)
    if b"\\u" in line:  # only an escape can bring in half of a surrogate pair
        check_encodable(document)
    return document


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object in `line`; raises BadDocument that says what is wrong, without a place."""
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


def check_encodable(document: Document) -> None:
    """Refuse text that UTF-8 cannot hold; the indexes and the encoder would fail on it later, without its place."""
    try:
        for text in _strings(document):
            text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadDocument(UNENCODABLE) from error


def _strings(document: Document) -> Iterator[str]:
    yield from (document.id, document.title, document.text)
    for key, value in document.metadata.items():
        yield key
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from value


def _skip_line(stream: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(1 << 20)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
