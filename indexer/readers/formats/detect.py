"""Detect the format of a file by its first bytes, its suffix, then its text."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from indexer.readers.formats.compressed import first_bytes
from indexer.readers.formats.format_table import (
    DEFAULT_TEXT,
    DEFAULT_ZIP,
    FORMATS,
    HEAD_BYTES,
    OLD_OFFICE,
    OLE,
    UNSUPPORTED,
    ZIP,
    Format,
    UnsupportedFormat,
    format_for_suffix,
)
from indexer.readers.text.charsets import wide_encoding
from indexer.readers.text.seven_bit import seven_bit_codec
from retrieval.errors import InputError

WHOLE_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\[|\{[ \t]*\r?\n)")
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MAX_MEDIA_TYPE_BYTES = 200  # of the member `mimetype` of a zip archive
OLE_BYTES = 1 << 20  # the first bytes of an OLE file hold the names of its streams
ZIP_ERRORS = (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError)


class SkippedFile(InputError):
    """A file that the readers leave out, because it holds no documents that they know."""

    @classmethod
    def of_kind(cls, kind: str) -> SkippedFile:
        """Return the error for a kind of file that has no reader."""
        return cls(f"{kind}: not a format that is read")


def detect(head: bytes, name: str) -> Format:
    """Return the format that the first bytes and the name of a file tell.

    Formats in zip archives and OLE files share their magic bytes; `refine` tells them apart. Raises SkippedFile for a
    file of an unknown or unsupported format.
    """
    head = head[:HEAD_BYTES]
    if (found := _detect_binary(head)) is not None:
        return found
    if not is_text(head):
        raise SkippedFile("neither text nor a known format")
    return _detect_text(head, name)


def is_text(head: bytes) -> bool:
    """Check whether `head` is text: it has few control characters."""
    return _is_utf16(head) or bool(seven_bit_codec(head)) or len(CONTROLS.findall(head)) <= len(head) // 200


def is_whole_json(head: bytes) -> bool:
    """Check whether `head` begins a list or an indented object, not JSON lines."""
    return bool(WHOLE_JSON.match(head))


def starts_with_magic(head: bytes) -> bool:
    """Check whether `head` begins with the magic bytes of a format."""
    return any(head.startswith(magic.value) for row in FORMATS.values() for magic in row.magic if not magic.offset)


def _kinds() -> Iterator[Format | UnsupportedFormat]:
    yield from FORMATS.values()
    yield from UNSUPPORTED


def _detect_binary(head: bytes) -> Format | None:
    """Return the format of the magic bytes; fixed places win over windows.

    Magic bytes that are letters identify no text: a text may begin with "MZ" or mention "%PDF-1.7".
    """
    may_be_printable = not is_text(head)
    for in_window in (False, True):
        for row in _kinds():
            magics = (magic for magic in row.magic if bool(magic.window) == in_window)
            if any(magic.matches(head) for magic in magics if may_be_printable or not magic.is_printable):
                if isinstance(row, UnsupportedFormat):
                    raise SkippedFile.of_kind(row.kind)
                return row
    return None


def refine(found: Format, stream: BinaryIO, name: str) -> Format:
    """Return the format of a document in a zip archive or an OLE file.

    Leaves `stream` at its beginning. Raises SkippedFile for an unsupported format.
    """
    if ZIP not in found.magic and OLE not in found.magic:
        return found
    head = first_bytes(stream, len(OLE.value))
    if ZIP.matches(head):
        found = _detect_in_zip(stream)
    elif OLE.matches(head):
        found = _detect_in_ole(stream, PurePosixPath(name).suffix.lower())
    stream.seek(0)
    return found


def _detect_in_zip(stream: BinaryIO) -> Format:
    rows = [row for row in FORMATS.values() if ZIP in row.magic]
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
            if "mimetype" in names and archive.getinfo("mimetype").file_size < MAX_MEDIA_TYPE_BYTES:
                media_type = archive.read("mimetype").strip().decode("latin-1")
                if (named := next((row for row in rows if media_type in row.media_types), None)) is not None:
                    return named
    except ZIP_ERRORS:
        return FORMATS[DEFAULT_ZIP]
    for row in rows:
        if row.zip_members and all(_has_member(names, member) for member in row.zip_members):
            return row
    return FORMATS[DEFAULT_ZIP]


def _has_member(names: set[str], member: str) -> bool:
    return any(name.startswith(member) for name in names) if member.endswith("/") else member in names


def _detect_in_ole(stream: BinaryIO, suffix: str) -> Format:
    data = stream.read(OLE_BYTES)
    for unsupported in UNSUPPORTED:
        if unsupported.ole is not None and unsupported.ole.matches(data, suffix):
            raise SkippedFile.of_kind(unsupported.kind)
    for row in FORMATS.values():
        if row.ole is not None and row.ole.matches(data, suffix):
            return row
    raise SkippedFile.of_kind(OLD_OFFICE)


def _is_utf16(head: bytes) -> bool:
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or bool(wide_encoding(head))


def _detect_text(head: bytes, name: str) -> Format:
    text = head.replace(b"\0", b"") if _is_utf16(head) else head
    text = text.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    for row in _kinds():
        if row.text_start is not None and row.text_start.match(text):
            if isinstance(row, UnsupportedFormat):
                raise SkippedFile.of_kind(row.kind)
            return row
    suffix = PurePosixPath(name).suffix
    named = format_for_suffix(suffix)
    if named is not None and named.name != DEFAULT_TEXT and not named.magic:
        return FORMATS[named.array_format] if named.array_format and is_whole_json(text) else named
    for row in FORMATS.values():
        if row.text_pattern is not None and row.text_pattern.matches(text):
            return row
    if named is not None:  # the suffix of a binary format on a text of no known pattern
        return named
    if suffix:
        raise SkippedFile("text of a kind that its name does not tell; name its format with --format to read it")
    return FORMATS[DEFAULT_TEXT]
