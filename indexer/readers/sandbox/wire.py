"""What passes between this process and a parser's: length-prefixed JSON, so that neither can run the other's code."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, replace
from typing import Any, BinaryIO

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin
from retrieval.errors import BadDocument
from retrieval.types import Document, FieldType, Section

OUT_OF_MEMORY = 3  # exit status of a parser that met its limit and is no longer to be trusted
LENGTH = struct.Struct(">I")


def write_frame(stream: BinaryIO, message: dict[str, Any]) -> int:
    """Send one message; the number of bytes that it took."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()
    return len(body)


def read_frame(stream: BinaryIO, most_bytes: int) -> dict[str, Any] | None:
    """The next message; None at the end.  Raises BadDocument for one that is too long or no message."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > most_bytes:
        raise BadDocument(f"the parser gave {length:,} bytes at once, more than {most_bytes:,}")
    body = stream.read(length)
    if len(body) < length:
        return None
    message = json.loads(body)
    if not isinstance(message, dict):
        raise BadDocument("the parser gave an answer that is none")
    return message


def pack_document(document: Document) -> dict[str, Any]:
    """`document` as JSON can hold it."""
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
        "sections": [[each.start, each.end, each.location, each.heading] for each in document.sections],
    }


def unpack_document(packed: dict[str, Any]) -> Document:
    """The document of `pack_document`."""
    metadata = {key: tuple(value) if isinstance(value, list) else value for key, value in packed["metadata"].items()}
    sections = tuple(Section(*each) for each in packed["sections"])
    return Document(packed["id"], packed["text"], packed["title"], metadata, sections)


def pack_bad(error: BadDocument, origin: DocumentOrigin) -> dict[str, Any]:
    """What is wrong, without the place that its message begins with."""
    place = f"{error.path}:{error.line}: " if error.line else f"{error.path}: "
    inner = str(error.path) if error.path and str(error.path) != origin.path else ""
    return {"message": str(error).removeprefix(place), "line": error.line, "path": inner}


def unpack_bad(packed: dict[str, Any], origin: DocumentOrigin) -> BadDocument:
    """The error of `pack_bad`."""
    return BadDocument(packed["message"], path=packed["path"] or origin.path, line=packed["line"])


def pack_options(options: ReadOptions) -> dict[str, Any]:
    """`options` as JSON can hold them."""
    packed = asdict(replace(options, types=dict(options.types), web=None))
    del packed["report_progress"]  # which means something within a process only
    return packed


def unpack_options(packed: dict[str, Any]) -> ReadOptions:
    """The options of `pack_options`."""
    lists = {key: tuple(value) for key, value in packed.items() if isinstance(value, list)}
    types = {key: FieldType(value) for key, value in packed["types"].items()}
    return ReadOptions(**{**packed, **lists, "types": types, "limits": ReadLimits(**packed["limits"])})
