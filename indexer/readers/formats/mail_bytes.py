"""Bytes of a mail → its parsed message: marks, UTF-16, raw headers, odd labels."""

from __future__ import annotations

import quopri
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import EmailPolicy
from typing import Any, cast

from indexer.readers.text.charsets import SAMPLE_BYTES, codec_of, decode, encoding_of, wide_encoding
from indexer.readers.text.seven_bit import ISO_2022, seven_bit_codec
from retrieval.errors import BadDocument

WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"
HEAD_END = re.compile(rb"\r\n\r\n|\n\r?\n|\r\r")
ENCODED_WORD = re.compile(rb"=\?([\w.:-]{2,40})(?:\*[\w-]{1,20})?(?=\?[bBqQ]\?)")
CHARSET = re.compile(rb"""charset\s*=\s*["']?([\w.:-]{2,40})""", re.IGNORECASE)
UNKNOWN_LABEL = "cp1252"  # for a label that no table knows
MAX_HEADER_CHARACTERS = 6_000  # the work of the parser of headers grows with the square of their length
MAX_COMMENTS = 50  # in brackets, of one header; the parser calls itself for each that is inside another
USUAL_FIELD = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|received|return-path|content-[\w-]+|x-[\w-]+):", re.I | re.M
)
OTHER_LINE = re.compile(rb"(?<=\n)(?=.)(?![!-9;-~]+[ \t]*:|\s|>?From )")  # of a head: no header, and no part of one
NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
WITHOUT_COMMENTS = str.maketrans("()", "  ")


class BoundedPolicy(EmailPolicy):
    """The default policy, but long headers and many comments are cut."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        """Return a header's value when it is read."""
        value = value[:MAX_HEADER_CHARACTERS]
        return super().header_fetch_parse(
            name, value.translate(WITHOUT_COMMENTS) if value.count("(") > MAX_COMMENTS else value
        )


POLICY = cast("EmailPolicy[EmailMessage]", BoundedPolicy(raise_on_defect=False))


def parse_message(data: bytes) -> EmailMessage:
    """Parse a mail; bytes before its headers and raw 8-bit headers are mended."""
    if data.startswith(WIDE_MARKS) or wide_encoding(data):
        data = decode(data).encode("utf-8", "replace")
    data = data.removeprefix(UTF8_MARK).lstrip()
    end = HEAD_END.search(data)
    head = data[: end.start()] if end else data
    return BytesParser(policy=POLICY).parsebytes(_readable_head(head, data) + data[len(head) :])


def forwarded_bytes(part: EmailMessage, inner: EmailMessage) -> bytes:
    """Return the bytes of the mail `inner` in `part`, decoded.

    The parser takes an encoded mail for a mail without headers.
    """
    data = inner.as_bytes()
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if encoding == "quoted-printable":
        return quopri.decodestring(data)
    if encoding != "base64" or inner.keys():
        return data
    try:
        return a2b_base64(data)
    except Base64Error:
        return data


def cut_base64(data: bytes) -> bytes:
    """Decode base64 whose last group is cut; the parser would leave all of it encoded."""
    letters = NO_BASE64.sub(b"", data)
    return a2b_base64(letters[: len(letters) // 4 * 4])


def lossy_text(data: bytes, label: str, *, declares: bool = False) -> tuple[str, bool]:
    """Return `data` as text, and whether bytes that fit no encoding were replaced."""
    try:
        return decode(data, label, declares=declares), False
    except BadDocument:
        return data.decode(codec_of(label) or "utf-8", "replace").replace("\r\n", "\n"), True


def _readable_head(head: bytes, data: bytes) -> bytes:
    """Return the header lines in UTF-8, with labels of encodings that Python knows.

    A line that is no header, and has headers after it, continues the one before: the parser would begin the body there.
    """
    if not head.isascii() or seven_bit_codec(head) == ISO_2022:
        declared = CHARSET.search(head)
        label = declared.group(1).decode() if declared else encoding_of(data[:SAMPLE_BYTES])
        head = lossy_text(head, label)[0].encode("utf-8", "replace")
    last = max((found.start() for found in USUAL_FIELD.finditer(head)), default=0)
    return ENCODED_WORD.sub(_known_label, OTHER_LINE.sub(b" ", head[:last]) + head[last:])


def _known_label(match: re.Match[bytes]) -> bytes:
    return b"=?" + (codec_of(match.group(1).decode()) or UNKNOWN_LABEL).encode()
