"""JSON lines: one object a line, UTF-8."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from indexer.readers.options import Item, Origin, ReadOptions
from indexer.readers.records import UNENCODABLE, document_from
from retrieval.errors import BadDocument
from retrieval.types import Document

BOM = b"\xef\xbb\xbf"


def read_jsonl(stream: BinaryIO, origin: Origin, options: ReadOptions, *, allow_empty: bool = False) -> Iterator[Item]:
    """A document, or what is wrong, for every line that is not blank."""
    longest = options.limits.record_bytes
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
