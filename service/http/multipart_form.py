"""Read a form of files (RFC 7578) as it arrives, in bounded memory.

The parser is python-multipart's, which bounds the size and the number of the headers of a part.  A file goes to the
disk piece by piece, under its position as name: no name of the sender is ever a path.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from retrieval.errors import InputError, TooLarge
from retrieval.util.files import storage_errors
from retrieval.util.visible_text import visible

FILES, OPTIONS = "files", "options"  # the names of the fields
MAX_NAME_CHARACTERS = 500
MAX_HEADER_BYTES = 16_384  # of one header of a part: its name may be long, and is refused by itself then
OPTIONS_BYTES = 1 << 20
_SEPARATORS = re.compile(r"[/\\]")
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(slots=True)
class ReceivedFile:
    """A file of a form, stored under its position among the good ones."""

    name: str
    size_bytes: int = 0
    sha256: str = ""


@dataclass(slots=True)
class ReceivedForm:
    """The content of a form; `refused`: names of files that were not stored, and why."""

    files: list[ReceivedFile] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    options: bytes = b""


class FormReader:
    """Stores the files of a form in `folder`.  One thread at a time calls it."""

    def __init__(self, content_type: str, folder: Path, max_files: int) -> None:
        self.form = ReceivedForm()
        self._folder = folder
        self._max_files = max_files
        self._names: set[str] = set()
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._options: bytearray | None = None  # the field that is being read
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._ended = False
        logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it reports what the answer says
        self._parser = _parser(content_type, self)

    def write(self, data: bytes) -> None:
        """Read the next bytes of the body.  Raises InputError, TooLarge, StorageError."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InputError(f"the form cannot be read: {error}; send multipart/form-data (RFC 7578)") from error

    def finish(self) -> ReceivedForm:
        """Return the form at the end of the body.  Raises InputError if it is incomplete."""
        if not self._ended:
            raise InputError("the form ends before its last boundary; send it whole")
        return self.form

    def close(self) -> None:
        """Close the file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def on_part_begin(self) -> None:
        self._disposition = b""
        self._header.clear()
        self._value.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def on_headers_finished(self) -> None:
        """Choose where the data of the part go."""
        _, values = parse_options_header(self._disposition)
        name = values.get(b"name", b"").decode("utf-8", "replace")
        if name == OPTIONS and b"filename" not in values:
            self._options = bytearray()
        elif name == FILES and b"filename" in values:
            self._begin_file(values[b"filename"].decode("utf-8", "replace"))
        elif name == FILES:
            raise InputError(f"the field {FILES!r} has no filename; send files, such as `curl -F {FILES}=@report.pdf`")
        else:
            shown = visible(name[:100])
            raise InputError(
                f"the form has the field {shown!r}; its fields are {FILES!r} (files) and {OPTIONS!r} (JSON)"
            )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._options is not None:
            self._options += data[start:end]
            if len(self._options) > OPTIONS_BYTES:
                raise TooLarge(f"the field {OPTIONS!r} is larger than {OPTIONS_BYTES:,} bytes; send less")
        elif self._file is not None:
            piece = memoryview(data)[start:end]
            self._digest.update(piece)
            with storage_errors(self._folder):
                self._file.write(piece)
            self.form.files[-1].size_bytes += len(piece)

    def on_part_end(self) -> None:
        if self._options is not None:
            self.form.options, self._options = bytes(self._options), None
        elif self._file is not None:
            self.form.files[-1].sha256 = self._digest.hexdigest()
            with storage_errors(self._folder):
                self._file.flush()
                os.fsync(self._file.fileno())
            self.close()

    def on_end(self) -> None:
        self._ended = True

    def _begin_file(self, given: str) -> None:
        if len(self.form.files) + len(self.form.refused) >= self._max_files:
            raise TooLarge(f"the form has more than {self._max_files:,} files; send them in parts")
        name = file_name(given)
        if reason := self._problem(name):
            self.form.refused.append((name[:MAX_NAME_CHARACTERS], reason))
            return
        self._names.add(name)
        path = self._folder / str(len(self.form.files))
        self._digest = hashlib.sha256()
        with storage_errors(path):
            self._file = path.open("xb")
        self.form.files.append(ReceivedFile(name))

    def _problem(self, name: str) -> str:
        """Return the reason to refuse a file by its name; "" for none."""
        if not name:
            return "has no name"
        if len(name) > MAX_NAME_CHARACTERS:
            return f"its name has {len(name):,} characters; {MAX_NAME_CHARACTERS} is the limit"
        return "another file of this upload has the same name" if name in self._names else ""


def file_name(given: str) -> str:
    """Return the name of an uploaded file as the id of its document has it.

    It is a relative path without `.`, `..` and drives.  Characters that act on a terminal are escaped.
    """
    parts = (part.strip() for part in _SEPARATORS.split(unicodedata.normalize("NFC", given)))
    return visible("/".join(part for part in parts if part not in ("", ".", "..") and not _DRIVE.fullmatch(part)))


def _parser(content_type: str, reader: FormReader) -> MultipartParser:
    kind, values = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not values.get(b"boundary"):
        shown = visible(content_type[:100])
        raise InputError(f"the content type is {shown!r}; it must be multipart/form-data with a boundary")
    names = (
        "part_begin",
        "header_field",
        "header_value",
        "header_end",
        "headers_finished",
        "part_data",
        "part_end",
        "end",
    )
    callbacks: Mapping[str, object] = {f"on_{name}": getattr(reader, f"on_{name}") for name in names}
    try:
        return MultipartParser(values[b"boundary"], callbacks, max_header_size=MAX_HEADER_BYTES)  # type: ignore[arg-type]
    except FormParserError as error:
        raise InputError(f"the form cannot be read: {error}; give a shorter boundary") from error
