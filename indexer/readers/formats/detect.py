"""What a file is: by its first bytes, then by what its text looks like, then by its suffix."""

from __future__ import annotations

import re
import zipfile
from pathlib import PurePosixPath
from typing import BinaryIO

from indexer.readers.formats.format_table import BY_SUFFIX, CODE_SUFFIXES, TEXT_NAMES
from indexer.readers.text.charsets import wide_encoding

HEAD_BYTES = 8192
MAGIC = (
    (b"PAR1", "parquet"),
    (b"{\\rtf", "unsupported:RTF"),
    (b"\x89PNG", "unsupported:image"),
    (b"\xff\xd8\xff", "unsupported:image"),
    (b"GIF8", "unsupported:image"),
    (b"7z\xbc\xaf\x27\x1c", "unsupported:7z archive"),
    (b"Rar!", "unsupported:RAR archive"),
    (b"\x28\xb5\x2f\xfd", "unsupported:Zstandard data"),
    (b"SQLite format 3", "unsupported:SQLite database"),
    (b"\x7fELF", "unsupported:program"),
    (b"MZ", "unsupported:program"),
    (b"OggS", "unsupported:audio or video"),
    (b"ID3", "unsupported:audio or video"),
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Office before 2007, and encrypted Office files since
ZIP = b"PK\x03\x04"
HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|div|table|p|h1)[\s>]", re.IGNORECASE)
MAIL = re.compile(
    rb"(?:received|return-path|from|to|subject|date|message-id|mime-version|delivered-to|x-[\w-]+):", re.I
)
MBOX = re.compile(rb"From \S+.*\d{4}\s*\n[\w-]+:")
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
ODF = {
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "sheet",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/epub+zip": "epub",
}


def detect(head: bytes, name: str) -> str:
    """Name of the format of a file that begins with `head`, as far as that says it.

    "zip" and "ole" are families, which `refine` tells apart; "unsupported:WHAT" is a kind that is known and has no
    reader, "text:unknown" text of no known kind, "" anything else.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(ZIP):
        return "zip"
    if head.startswith(OLE):
        return "ole"
    if head[257:262] == b"ustar":
        return "tar"
    for magic, known in MAGIC:
        if head.startswith(magic):
            return known
    return _text_format(head[:HEAD_BYTES], name, suffix)


def refine(family: str, stream: BinaryIO, name: str) -> str:
    """The format within a family that `detect` named; `stream` is left at its beginning."""
    if family not in ("zip", "ole"):
        return family
    inner = _inside_zip(stream) if family == "zip" else _inside_ole(stream, PurePosixPath(name).suffix.lower())
    stream.seek(0)
    return inner


def _inside_zip(stream: BinaryIO) -> str:
    """Office files and EPUB are zip archives with a table of contents of their own."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                kind = archive.read("mimetype").strip()
                if kind in ODF:
                    return ODF[kind]
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError):
        return "zip"
    for part, known in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "sheet")):
        if "[Content_Types].xml" in names and any(each.startswith(part) for each in names):
            return known
    return "epub" if "META-INF/container.xml" in names else "zip"


def _inside_ole(stream: BinaryIO, suffix: str) -> str:
    data = stream.read(1 << 20)
    if "EncryptedPackage".encode("utf-16-le") in data:
        return "unsupported:encrypted Office file"
    if suffix == ".msg" or "__substg1.0_".encode("utf-16-le") in data:
        return "unsupported:Outlook message (save it as .eml)"
    if "Workbook".encode("utf-16-le") in data or suffix == ".xls":
        return "sheet"
    return "unsupported:Office file from before 2007 (save it as .docx or .pptx)"


def _text_format(head: bytes, name: str, suffix: str) -> str:
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff")) or wide_encoding(head)
    by_suffix = BY_SUFFIX.get(suffix, "")
    if not wide and len(CONTROLS.findall(head)) > len(head) // 200:
        return ""
    if MBOX.match(head):
        return "mbox"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if suffix in CODE_SUFFIXES:
        return "code"
    if by_suffix and by_suffix != "text":
        return "json" if by_suffix == "jsonl" and start.startswith(b"[") else by_suffix
    plain = start.replace(b"\0", b"") if wide else start
    if start.startswith(b"{") and b'"nbformat"' in head:
        return "notebook"
    if plain.startswith(b"<") and HTML.search(plain[:2048]):
        return "html"
    if MAIL.match(start) and len(MAIL.findall(head[:2048])) >= 3:
        return "mail"
    known_text = by_suffix == "text" or not suffix or PurePosixPath(name).name.lower() in TEXT_NAMES
    return "text" if known_text else "text:unknown"
