"""Mails (EML) and mailboxes (mbox), with attachments as further documents."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from itertools import islice
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.archive import read_member
from indexer.readers.formats.compressed import read_whole
from indexer.readers.formats.dispatch import guarded
from indexer.readers.formats.html import html_to_parsed, render_html
from indexer.readers.formats.html_tree import parse_page
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument
from retrieval.types import Document

FROM_LINE = b"From "
ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
UNSAFE_CHARACTERS = re.compile(r"[^\w.@+-]+")
MAX_NAME_CHARACTERS = 100
MAX_ADDRESSES = 50  # of the recipients in the metadata
MAX_PARTS = 200
MAX_PART_DEPTH = 20
SAVED_FROM = "snapshot-content-location"  # the header of a web page that a browser saved
HEADER_ERRORS = (ValueError, LookupError, IndexError, AttributeError, TypeError)  # for damaged headers


def read_mail(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the mail as a document, then the documents of its attachments."""
    yield from _read_message(read_whole(stream, options.limits), origin, options)


def read_mbox(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the mails of a mailbox. The number of a mail is its name."""
    for number, data in enumerate(_split_mbox(stream, options.limits.record_bytes), start=1):
        mail = origin.member(str(number))
        yield from guarded(_read_message(data, mail, options), mail)


def _split_mbox(stream: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """Yield the mails of an mbox file. Cuts a mail at the limit."""
    lines: list[bytes] = []
    size, after_blank = 0, True
    for line in iter(lambda: stream.readline(max_bytes), b""):
        if line.startswith(FROM_LINE) and after_blank:
            if lines:
                yield ESCAPED_FROM.sub(rb"\1", b"".join(lines))
            lines, size = [], 0
        elif size < max_bytes:
            lines.append(line)
            size += len(line)
        after_blank = line in (b"\n", b"\r\n")
    if lines:
        yield ESCAPED_FROM.sub(rb"\1", b"".join(lines))


def _read_message(data: bytes, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    message = BytesParser(policy=policy.default.clone(raise_on_defect=False)).parsebytes(data)
    parsed = _parse_message(message)
    empty = not parsed.text.strip() and not parsed.title
    if not empty:
        yield parsed.document(origin.name, origin.name.rsplit("/", 1)[-1])
    if origin.depth < options.limits.depth:
        for item in _read_attachments(message, origin, options):
            empty = empty and not isinstance(item, Document)
            yield item
    if empty:
        yield BadDocument("the mail has neither subject nor text", path=origin.path)


def _read_attachments(message: EmailMessage, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the documents of the attachments. Each attachment has a name of its own."""
    used: set[str] = set()
    for number, part in enumerate(_attachments(message), start=1):
        name = UNSAFE_CHARACTERS.sub("_", part.get_filename() or f"attachment-{number}")[-MAX_NAME_CHARACTERS:]
        name = f"{number}-{name}" if name in used else name
        used.add(name)
        if part.get_content_type() == "message/rfc822":
            yield from guarded(_read_forwarded(part, origin.member(name), options), origin.member(name))
        else:
            yield from read_member(io.BytesIO(_payload(part)), origin.member(name), options)


def _read_forwarded(part: EmailMessage, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    for inner in part.get_payload():
        if isinstance(inner, EmailMessage):
            yield from _read_message(inner.as_bytes(), origin, options)


def _parse_message(message: EmailMessage) -> ParsedDocument:
    title, url = _header(message, "subject"), _header(message, SAVED_FROM)
    bodies = list(_bodies(message))
    if url and bodies and _is_html(bodies[0]):  # a page that a browser saved as one file
        page = html_to_parsed(_text(bodies[0]))
        about = {"url": url, "date": _date(message), **page.metadata, "format": "html"}
        return replace(page, title=page.title or title, metadata={key: value for key, value in about.items() if value})
    builder = TextBuilder(title)
    for body in bodies:
        text = _text(body)
        if _is_html(body):
            render_html(parse_page(text).body, builder)
        else:
            builder.block(_join_flowed(text) if body.get_param("format", "") == "flowed" else text)
    return builder.build(author=_header(message, "from"), to=_recipients(message), date=_date(message))


def _bodies(part: EmailMessage, depth: int = 0) -> Iterator[EmailMessage]:
    """Yield the parts of the body; of alternatives, the first that has text."""
    payload = part.get_payload()
    children = [child for child in payload if isinstance(child, EmailMessage)] if isinstance(payload, list) else []
    if part.get_content_maintype() != "multipart":
        if part.get_content_type() in ("text/plain", "text/html") and not _is_file(part):
            yield part
    elif depth < MAX_PART_DEPTH:
        found = (list(_bodies(child, depth + 1)) for child in children[:MAX_PARTS])
        if part.get_content_subtype() == "alternative":
            yield from next((bodies for bodies in found if any(_text(body).strip() for body in bodies)), [])
        elif part.get_content_subtype() == "related":
            yield from next(found, [])
        else:
            for bodies in found:
                yield from bodies


def _is_html(part: EmailMessage) -> bool:
    return part.get_content_type() == "text/html"


def _is_file(part: EmailMessage) -> bool:
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _join_flowed(text: str) -> str:
    """Join flowed lines (RFC 3676), except quotes and the signature separator."""
    lines: list[str] = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        if before.endswith(" ") and line and "-- " not in (before, line) and ">" not in (before[0], line[0]):
            lines[-1] += line
        else:
            lines.append(line)
    return "\n".join(lines)


def _recipients(message: EmailMessage) -> tuple[str, ...]:
    """Return the addresses with their names. A name may contain commas."""
    pairs = getaddresses([_header(message, name) for name in ("to", "cc")])
    shown = (f"{name} <{address}>" if name else address for name, address in pairs if name or address)
    return tuple(islice(shown, MAX_ADDRESSES))


def _header(message: EmailMessage, name: str) -> str:
    """Return a decoded header; "" if it is missing or damaged."""
    try:
        return one_line(str(message.get(name, "")))
    except HEADER_ERRORS:
        return ""


def _date(message: EmailMessage) -> str:
    try:
        return str(message["date"].datetime.isoformat()) if message["date"] else ""
    except HEADER_ERRORS:
        return ""


def _payload(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: EmailMessage) -> str:
    return decode(_payload(part), part.get_content_charset() or "", declares=_is_html(part))


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the attached files and the forwarded mails."""
    for part in islice(_parts(message), MAX_PARTS):
        if _is_file(part) or part.get_content_type() == "message/rfc822":
            yield part


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the parts that are not multipart, and forwarded mails without their parts."""
    stack: list[object] = [message]
    while stack:
        part = stack.pop()
        if not isinstance(part, EmailMessage):
            continue
        if part.get_content_maintype() == "multipart" and isinstance(inner := part.get_payload(), list):
            stack.extend(reversed(inner))
        elif part is not message or part.get_content_type() == "message/rfc822":
            yield part
