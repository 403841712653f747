"""Mails (EML) and mailboxes (mbox), with attachments as further documents."""

from __future__ import annotations

import io
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.utils import getaddresses
from itertools import islice
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.archive import read_member
from indexer.readers.formats.compressed import first_bytes, read_whole
from indexer.readers.formats.dispatch import guarded
from indexer.readers.formats.format_table import HEAD_BYTES, MBOX_LINE
from indexer.readers.formats.html import html_to_parsed
from indexer.readers.formats.mail_body import (
    MAX_PART_DEPTH,
    MAX_PARTS,
    bodies,
    is_file,
    is_html,
    is_too_deep,
    is_unsplit,
    part_bytes,
    part_text,
    render_body,
)
from indexer.readers.formats.mail_bytes import UTF8_MARK, WIDE_MARKS, forwarded_bytes, parse_message
from indexer.readers.text.charsets import decode, wide_encoding
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument
from retrieval.types import Document

FROM_LINE = re.compile(MBOX_LINE + rb"|From (?:-|\S+@\S+)\s*$")
EMLX_LENGTH = re.compile(rb"\s*(\d{1,12})[ \t]*\r?\n")
ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
UNSAFE_CHARACTERS = re.compile(r"[^\w.@+-]+")
MAX_NAME_CHARACTERS = 100
MAX_ADDRESSES = 50  # of the recipients in the metadata
SAVED_FROM = "snapshot-content-location"  # the header of a web page that a browser saved
FORWARDED = frozenset(("message/rfc822", "message/global", "message/news", "message/partial"))
HEADER_ERRORS = (ValueError, LookupError, IndexError, AttributeError, TypeError)  # for damaged headers


def read_mail(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the mail as a document, then the documents of its attachments."""
    yield from _read_message(read_whole(stream, options.limits), origin, options)


def read_emlx(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield a mail of Apple Mail, which stands between its length and properties."""
    data = read_whole(stream, options.limits)
    if (length := EMLX_LENGTH.match(data)) is not None:
        rest = data[length.end() :]
        data = rest[: int(length[1])] or rest
    yield from _read_message(data, origin, options)


def read_mbox(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the mails of a mailbox. The number of a mail is its name."""
    head = first_bytes(stream, HEAD_BYTES)
    if head.startswith((UTF8_MARK, *WIDE_MARKS)) or wide_encoding(head):
        stream = io.BytesIO(decode(read_whole(stream, options.limits)).encode("utf-8", "replace"))
    for number, data in enumerate(_split_mbox(stream, options.limits.record_bytes), start=1):
        mail = origin.member(str(number))
        yield from guarded(_read_message(data, mail, options), mail)


def _split_mbox(stream: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    """Yield the mails of an mbox file. Cuts a mail at the limit."""
    lines: list[bytes] = []
    size, after_blank = 0, True
    for line in iter(lambda: stream.readline(max_bytes), b""):
        if after_blank and FROM_LINE.match(line):
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
    message = parse_message(data)
    parsed, problems = _parse_message(message)
    empty = not parsed.text.strip() and not parsed.title
    if not empty:
        yield parsed.document(origin.name, origin.name.rsplit("/", 1)[-1])
    is_without_text = message.get_content_maintype() == "message"
    if origin.depth < options.limits.depth:
        for item in _read_attachments(message, origin, options):
            empty = empty and not isinstance(item, Document)
            is_without_text = False
            yield item
    elif any(_attachments(message)):
        problems.append(f"its attachments are nested more than {options.limits.depth} deep and left out")
    if empty:
        problems.append("the mail has neither subject nor text")
    elif not parsed.text.strip() and is_without_text:
        problems.append(f"its content is {message.get_content_type()}, which is not read")
    if problems:
        yield BadDocument("; ".join(problems), path=origin.path)


def _read_attachments(message: EmailMessage, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the documents of the attachments. Each attachment has a name of its own."""
    used: set[str] = set()
    for number, part in enumerate(_attachments(message), start=1):
        name = UNSAFE_CHARACTERS.sub("_", _file_name(part, number))[-MAX_NAME_CHARACTERS:]
        name = f"{number}-{name}" if name in used else name
        used.add(name)
        if part.get_content_type() in FORWARDED:
            yield from guarded(_read_forwarded(part, origin.member(name), options), origin.member(name))
        else:
            yield from read_member(io.BytesIO(part_bytes(part)), origin.member(name), options)


def _read_forwarded(part: EmailMessage, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    for inner in part.get_payload():
        if isinstance(inner, EmailMessage):
            yield from _read_message(forwarded_bytes(part, inner), origin, options)


def _file_name(part: EmailMessage, number: int) -> str:
    """Return an attachment's name; its media type gives a missing suffix."""
    if name := part.get_filename():
        return name
    is_mail = part.get_content_type() in FORWARDED
    return f"attachment-{number}" + ("" if is_mail else mimetypes.guess_extension(part.get_content_type()) or "")


def _parse_message(message: EmailMessage) -> tuple[ParsedDocument, list[str]]:
    """Return the document of a mail, and the problems of its form."""
    title, url = _header(message, "subject"), _header(message, SAVED_FROM)
    parts = list(bodies(message))
    problems = [] if message.keys() else ["has no header lines; its raw text is kept"]
    if any(map(is_unsplit, parts)):
        problems.append("its parts cannot be told apart, since no line is their boundary; their raw text is kept")
    if is_too_deep(message):
        problems.append(f"its parts are nested more than {MAX_PART_DEPTH} deep, and the deepest are left out")
    if url and parts and is_html(parts[0]):  # a page that a browser saved as one file
        page = html_to_parsed(part_text(parts[0])[0])
        about = {"url": url, "date": _date(message), **page.metadata, "format": "html"}
        about = {key: value for key, value in about.items() if value}
        return replace(page, title=page.title or title, metadata=about), problems
    builder = TextBuilder(title)
    replaced = [render_body(part, builder) for part in parts]
    if any(replaced):
        problems.append("some of its bytes fit no encoding and were replaced")
    author, recipients = _header(message, "from"), _recipients(message)
    return builder.build(author=author, to=recipients, date=_date(message)), problems


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


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the attached files, unnamed files of programs and the forwarded mails."""
    for part in islice(_parts(message), MAX_PARTS):
        is_data = part.get_content_maintype() == "application" and bool(part_bytes(part))
        if is_file(part) or is_data or part.get_content_type() in FORWARDED:
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
        else:
            yield part
