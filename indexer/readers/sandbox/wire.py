"""Messages to and from a parser process: JSON with a length prefix, no code."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, replace
from typing import Any, BinaryIO

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin
from retrieval.errors import BadDocument
from retrieval.types import Document, FieldType, Section

OUT_OF_MEMORY = 3  # exit status of a parser process that met its memory limit
LENGTH = struct.Struct(">I")


def write_frame(stream: BinaryIO, message: dict[str, Any]) -> int:
    """Send one message, and return its size in bytes."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()
    return len(body)


def read_frame(stream: BinaryIO, max_bytes: int) -> dict[str, Any] | None:
    """Return the next message, None at the end; raise BadDocument if invalid."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > max_bytes:
        raise BadDocument(f"the parser gave {length:,} bytes at once, more than {max_bytes:,}")
    body = stream.read(length)
    if len(body) < length:
        return None
    message = json.loads(body)
    if not isinstance(message, dict):
        raise BadDocument(f"the parser gave {type(message).__name__} where a JSON object is due")
    return message


def pack_document(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
        "given": document.given,
        "cut": document.cut,
        "sections": [[section.start, section.end, section.location, section.heading] for section in document.sections],
    }


def unpack_document(packed: dict[str, Any]) -> Document:
    metadata = {key: tuple(value) if isinstance(value, list) else value for key, value in packed["metadata"].items()}
    sections = tuple(Section(*section) for section in packed["sections"])
    return Document(packed["id"], packed["text"], packed["title"], metadata, sections, packed["given"], packed["cut"])


def pack_bad(error: BadDocument, origin: DocumentOrigin) -> dict[str, Any]:
    """Return `error` as JSON values, with path and line out of its message."""
    prefix = f"{error.path}:{error.line}: " if error.line else f"{error.path}: "
    inner_path = str(error.path) if error.path and str(error.path) != origin.path else ""
    return {"message": str(error).removeprefix(prefix), "line": error.line, "path": inner_path}


def unpack_bad(packed: dict[str, Any], origin: DocumentOrigin) -> BadDocument:
    return BadDocument(packed["message"], path=packed["path"] or origin.path, line=packed["line"])


def pack_options(options: ReadOptions) -> dict[str, Any]:
    packed = asdict(replace(options, types=dict(options.types), web=None))
    del packed["report_progress"], packed["report_unread"]  # a function has no meaning in another process
    return packed


def unpack_options(packed: dict[str, Any]) -> ReadOptions:
    lists = {key: tuple(value) for key, value in packed.items() if isinstance(value, list)}
    types = {key: FieldType(value) for key, value in packed["types"].items()}
    return ReadOptions(**{**packed, **lists, "types": types, "limits": ReadLimits(**packed["limits"])})
