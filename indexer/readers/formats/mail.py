"""Mails (EML) and mailboxes (mbox): subject as title, the readable body, attachments as documents of their own."""

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
UNSAFE = re.compile(r"[^\w.@+-]+")
ADDRESSES = 50  # of the recipients that are kept
PARTS = 200
PARTS_DEEP = 20
SAVED_FROM = "snapshot-content-location"


def read_mail(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The mail as one document, and each attachment that can be read as one more."""
    yield from _mail(read_whole(stream, options.limits), origin, options)


def read_mbox(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The mails of a mailbox, named after their numbers within it."""
    for number, data in enumerate(_split(stream, options.limits.record_bytes), start=1):
        mail = origin.member(str(number))
        yield from guarded(_mail(data, mail, options), mail)


def _split(stream: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    """Mails of an mbox file; one beyond the limit is cut there."""
    lines: list[bytes] = []
    size, after_blank = 0, True
    for line in iter(lambda: stream.readline(most_bytes), b""):
        if line.startswith(FROM_LINE) and after_blank:
            if lines:
                yield ESCAPED_FROM.sub(rb"\1", b"".join(lines))
            lines, size = [], 0
        elif size < most_bytes:
            lines.append(line)
            size += len(line)
        after_blank = line in (b"\n", b"\r\n")
    if lines:
        yield ESCAPED_FROM.sub(rb"\1", b"".join(lines))


def _mail(data: bytes, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    message = BytesParser(policy=policy.default.clone(raise_on_defect=False)).parsebytes(data)
    parsed = _parsed(message)
    nothing = not parsed.text.strip() and not parsed.title
    if not nothing:
        yield parsed.document(origin.name, origin.name.rsplit("/", 1)[-1])
    if origin.depth < options.limits.depth:
        for item in _carried(message, origin, options):
            nothing = nothing and not isinstance(item, Document)
            yield item
    if nothing:
        yield BadDocument("the mail has neither subject nor text", path=origin.path)


def _carried(message: EmailMessage, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """What is attached, each under a name of its own."""
    used: set[str] = set()
    for number, part in enumerate(_attachments(message), start=1):
        name = UNSAFE.sub("_", part.get_filename() or f"attachment-{number}")[-100:]
        name = f"{number}-{name}" if name in used else name
        used.add(name)
        if part.get_content_type() == "message/rfc822":
            yield from guarded(_forwarded(part, origin.member(name), options), origin.member(name))
        else:
            yield from read_member(io.BytesIO(_payload(part)), origin.member(name), options)


def _forwarded(part: EmailMessage, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """A mail that another carries as it came."""
    for inner in part.get_payload():
        if isinstance(inner, EmailMessage):
            yield from _mail(inner.as_bytes(), origin, options)


def _parsed(message: EmailMessage) -> ParsedDocument:
    title, place = _header(message, "subject"), _header(message, SAVED_FROM)
    bodies = list(_bodies(message))
    if place and bodies and _is_html(bodies[0]):  # a page that a browser saved as one file
        page = html_to_parsed(_text(bodies[0]))
        about = {"url": place, "date": _date(message), **page.metadata, "format": "html"}
        return replace(page, title=page.title or title, metadata={key: value for key, value in about.items() if value})
    builder = TextBuilder(title)
    for body in bodies:
        text = _text(body)
        if _is_html(body):
            render_html(parse_page(text).body, builder)
        else:
            builder.block(_unflowed(text) if body.get_param("format", "") == "flowed" else text)
    return builder.build(author=_header(message, "from"), to=_recipients(message), date=_date(message))


def _bodies(part: EmailMessage, depth: int = 0) -> Iterator[EmailMessage]:
    """What is read of a mail, in order: of alternatives the first that says something, mostly plain text."""
    inner = part.get_payload()
    children = [each for each in inner if isinstance(each, EmailMessage)] if isinstance(inner, list) else []
    if part.get_content_maintype() != "multipart":
        if part.get_content_type() in ("text/plain", "text/html") and not _is_file(part):
            yield part
    elif depth < PARTS_DEEP:
        found = (list(_bodies(child, depth + 1)) for child in children[:PARTS])
        if part.get_content_subtype() == "alternative":
            yield from next((bodies for bodies in found if any(_text(each).strip() for each in bodies)), [])
        elif part.get_content_subtype() == "related":
            yield from next(found, [])
        else:
            for bodies in found:
                yield from bodies


def _is_html(part: EmailMessage) -> bool:
    return part.get_content_type() == "text/html"


def _is_file(part: EmailMessage) -> bool:
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def _unflowed(text: str) -> str:
    """Lines that end in a space go on in the next (RFC 3676); quotes and the line above a signature do not."""
    lines: list[str] = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        if before.endswith(" ") and line and "-- " not in (before, line) and ">" not in (before[0], line[0]):
            lines[-1] += line
        else:
            lines.append(line)
    return "\n".join(lines)


def _recipients(message: EmailMessage) -> tuple[str, ...]:
    """Addresses with their names, in which commas may stand."""
    pairs = getaddresses([_header(message, name) for name in ("to", "cc")])
    return tuple(f"{name} <{address}>" if name else address for name, address in pairs if name or address)[:ADDRESSES]


def _header(message: EmailMessage, name: str) -> str:
    """A header decoded; "" where it is missing or beyond reading."""
    try:
        return one_line(str(message.get(name, "")))
    except (ValueError, LookupError, IndexError, AttributeError, TypeError):
        return ""


def _date(message: EmailMessage) -> str:
    try:
        return str(message["date"].datetime.isoformat()) if message["date"] else ""
    except (ValueError, LookupError, IndexError, AttributeError, TypeError):
        return ""


def _payload(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: EmailMessage) -> str:
    return decode(_payload(part), part.get_content_charset() or "", declares=part.get_content_type() == "text/html")


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    """Parts that came as files of a kind that may hold text."""
    for part in islice(_parts(message), PARTS):
        if _is_file(part) or part.get_content_type() == "message/rfc822":
            yield part


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """Parts that hold no parts themselves, and mails within, which are not looked into."""
    waiting: list[object] = [message]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, EmailMessage):
            continue
        if part.get_content_maintype() == "multipart" and isinstance(inner := part.get_payload(), list):
            waiting.extend(reversed(inner))
        elif part is not message or part.get_content_type() == "message/rfc822":
            yield part
