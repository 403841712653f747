"""The table of formats. One row holds every fact about a format.

A new format is one module in this folder and one row in this table.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import read_whole
from indexer.readers.text.text_builder import ParsedDocument
from retrieval.errors import BadDocument, MissingExtra

HEAD_BYTES = 8192  # detection looks at these first bytes of a file

Parser: TypeAlias = Callable[[bytes, ReadOptions], ParsedDocument]


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes that identify a format, at `offset` or up to `window` bytes later."""

    value: bytes
    offset: int = 0
    window: int = 0

    @property
    def is_printable(self) -> bool:
        """True if a text can begin with these bytes, so that they identify no text."""
        return self.value.isascii() and self.value.decode().isprintable()

    def matches(self, head: bytes) -> bool:
        """Check whether a file that begins with `head` has these bytes."""
        return self.value in head[self.offset : self.offset + self.window + len(self.value)]


@dataclass(frozen=True, slots=True)
class TextPattern:
    """Patterns that identify a text format if the suffix does not.

    `start` matches at the first visible byte. `part` occurs `count` times in the first `window` bytes.
    """

    start: re.Pattern[bytes]
    part: re.Pattern[bytes]
    count: int = 1
    window: int = 2048

    def matches(self, text: bytes) -> bool:
        """Check whether `text` looks like a file of the format."""
        return bool(self.start.match(text)) and len(self.part.findall(text[: self.window])) >= self.count


@dataclass(frozen=True, slots=True)
class OleContent:
    """The stream, or else the suffix, that identifies a format of OLE files."""

    stream: str
    suffix: str = ""

    def matches(self, data: bytes, suffix: str) -> bool:
        """Check whether an OLE file with these first bytes and this suffix has the format."""
        return self.stream.encode("utf-16-le") in data or bool(self.suffix and suffix == self.suffix)


@dataclass(frozen=True, slots=True)
class Format:
    """A format that Attendex reads.

    `parser` and `reader` are "module:function" of this folder. A parser turns the bytes of a whole file into one
    document. A reader yields the documents of a stream. A row has one of them. `counter` is a function that counts
    the documents of a path without reading them.
    """

    name: str
    parser: str = ""
    reader: str = ""
    counter: str = ""
    suffixes: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()  # of web pages, and of the member `mimetype` of zip archives
    magic: tuple[Magic, ...] = ()  # wins over the suffix
    text_start: re.Pattern[bytes] | None = None  # a text that begins like this has the format, for any suffix
    text_pattern: TextPattern | None = None
    zip_members: tuple[str, ...] = ()  # members of a zip archive that has the format; a folder ends in "/"
    ole: OleContent | None = None
    array_format: str = ""  # the format of a file with such a suffix that begins with a bracket
    is_streamed: bool = False  # the reader never seeks, so that no compressed file is decompressed as a whole
    is_line_oriented: bool = False  # the standard library reads it line by line in this process; it is streamed too
    is_source_code: bool = False  # small words tell no language
    has_own_metadata: bool = False  # its documents have metadata and ids of their own, not those of the file
    extra: str = ""  # the optional dependencies that the parser needs

    def read(self, stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
        """Import the module of the format and yield the documents of `stream`.

        Raises MissingExtra if the module cannot import its parser.
        """
        try:
            function = _load(self.parser or self.reader)
        except ImportError as error:
            if not self.extra:
                raise
            raise MissingExtra(self.extra, f"reading {self.name} files") from error
        if self.parser:
            yield from read_parsed(function, stream, origin, options, PurePosixPath(origin.name).stem)
        else:
            yield from function(stream, origin, options)

    def count_documents(self, path: Path) -> int | None:
        """Return the number of documents of a file; None if only reading tells it."""
        return int(_load(self.counter)(path)) if self.counter else None


def _load(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(f"indexer.readers.formats.{module}"), name)
    return loaded


def read_parsed(
    parse: Parser, stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions, title: str
) -> Iterator[ReadItem]:
    """Parse a whole file as one document.

    The name of the file is the id. `title` is the title if the parser finds none.
    """
    inner = replace(
        options,
        file="" if origin.depth else options.file,
        report_unread=lambda part, reason: options.report_unread(origin.member(part.name), reason),
    )
    try:
        parsed = parse(read_whole(stream, options.limits), inner)
    except BadDocument as error:
        yield BadDocument(str(error), path=origin.path)
        return
    if parsed.text.strip():
        yield parsed.document(origin.name, title)
    else:
        yield BadDocument("holds no text", path=origin.path)


TEXT_SUFFIXES = tuple(
    ".txt .text .log .adoc .asciidoc .bib .mediawiki .nfo .org .pod .srt .textile .vtt .wiki".split()  # noqa: SIM905
)
CODE_SUFFIXES = tuple(
    """
    .bash .c .cc .cfg .clj .cpp .cs .css .cxx .dart .ex .exs .go .gradle .groovy .h .hpp .hs .ini .java .jl .js .jsx
    .kt .lua .m .mjs .ml .php .pl .proto .ps1 .py .pyi .r .rb .rs .scala .scss .sh .sql .swift .tcl .tex .tf .toml
    .ts .tsx .vue .xml .yaml .yml .zig
    """.split()  # noqa: SIM905 -- sixty quoted words would be harder to read
)
ZIP = Magic(b"PK\x03\x04")
OLE = Magic(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # Office before 2007, and encrypted Office files since
OFFICE_TYPES = "[Content_Types].xml"
ODF_TYPE = "application/vnd.oasis.opendocument."
HTML_TAG = re.compile(rb"<(?:!doctype\s+html|html|head|body|div|table|p|h1)[\s>]", re.IGNORECASE)
MAIL_HEADER = re.compile(
    rb"^(?:received|return-path|from|to|subject|date|message-id|mime-version|content-type|delivered-to|x-[\w-]+):",
    re.I | re.M,
)
# The line before a mail of a mailbox has a date; "From Rome, in May 1884" is a line of a text.
MBOX_LINE = (
    rb"From [^\n]{0,200}?\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +(?:\d{1,2} +)?"
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b[^\n]{0,40}?\d\d?:\d\d[^\n]*\n"
)
PDF_START = re.compile(rb"\s*%PDF-\d\.\d\s*(?:%[^\r\n]*[\r\n]\s*)*+\d+ \d+ obj\b")  # of a PDF without a binary byte
XML_WORKBOOK = re.compile(rb"\s*<\?xml[^>]{0,200}\?>\s*(?:<\?mso-application[^>]{0,80}Excel|<(?:\w{1,20}:)?Workbook\b)")
TREC_START = re.compile(
    rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<doc(?:\s[^<>]*)?>\s*(?:<!--.*?-->\s*)?<(?:docno|docid|doc-id)\b"
    rb"|<doc\s+id\s*=",
    re.IGNORECASE | re.DOTALL,
)
FORMATS = {
    row.name: row
    for row in (
        Format("beir", reader="json_records:read_beir", is_line_oriented=True, has_own_metadata=True),
        Format(
            "jsonl",
            reader="json_records:read_jsonl",
            suffixes=(".jsonl", ".ndjson"),
            media_types=("application/jsonl", "application/ndjson", "application/x-ndjson"),
            array_format="json",
            is_line_oriented=True,
            has_own_metadata=True,
        ),
        Format("csv", reader="tables:read_table", suffixes=(".csv",), is_line_oriented=True, has_own_metadata=True),
        Format(
            "tsv", reader="tables:read_table", suffixes=(".tsv", ".tab"), is_line_oriented=True, has_own_metadata=True
        ),
        Format("json", reader="json_records:read_json", suffixes=(".json",), has_own_metadata=True),
        Format(
            "parquet",
            reader="parquet:read_parquet",
            counter="parquet:count_rows",
            suffixes=(".parquet",),
            magic=(Magic(b"PAR1"),),
            has_own_metadata=True,
        ),
        Format("text", parser="plain_text:parse_prose", suffixes=TEXT_SUFFIXES, media_types=("text/plain",)),
        Format(
            "markdown",
            parser="markdown:parse_markdown",
            suffixes=(".md", ".markdown", ".mdx"),
            media_types=("text/markdown",),
        ),
        Format("rst", parser="rst:parse_rst", suffixes=(".rst", ".rest")),
        Format("code", reader="plain_text:read_code", suffixes=CODE_SUFFIXES, is_source_code=True),
        Format(
            "notebook",
            parser="notebook:parse_notebook",
            suffixes=(".ipynb",),
            text_pattern=TextPattern(re.compile(rb"\{"), re.compile(rb'"nbformat"\s*:'), window=HEAD_BYTES),
            is_source_code=True,
        ),
        Format(
            "html",
            parser="html:parse_html",
            suffixes=(".html", ".htm", ".xhtml"),
            media_types=("text/html", "application/xhtml+xml"),
            text_pattern=TextPattern(re.compile(rb"<"), HTML_TAG),
        ),
        Format(
            "pdf",
            parser="pdf:parse_pdf",
            suffixes=(".pdf",),
            magic=(Magic(b"%PDF-"), Magic(b"%PDF-", window=1024 - 5)),
            text_start=PDF_START,
            extra="pdf",
        ),
        Format(
            "docx",
            parser="docx:parse_docx",
            suffixes=(".docx", ".docm"),
            magic=(ZIP,),
            zip_members=(OFFICE_TYPES, "word/"),
        ),
        Format(
            "pptx",
            parser="pptx:parse_pptx",
            suffixes=(".pptx", ".pptm"),
            magic=(ZIP,),
            zip_members=(OFFICE_TYPES, "ppt/"),
        ),
        Format(
            "sheet",
            parser="sheet:parse_sheet",
            suffixes=(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
            media_types=(ODF_TYPE + "spreadsheet",),
            magic=(ZIP, OLE),
            zip_members=(OFFICE_TYPES, "xl/"),
            ole=OleContent("Workbook", ".xls"),
            text_start=XML_WORKBOOK,
            extra="office",
        ),
        Format("odt", parser="odf:parse_odf", suffixes=(".odt",), media_types=(ODF_TYPE + "text",), magic=(ZIP,)),
        Format(
            "odp", parser="odf:parse_odf", suffixes=(".odp",), media_types=(ODF_TYPE + "presentation",), magic=(ZIP,)
        ),
        Format(
            "epub",
            parser="epub:parse_epub",
            suffixes=(".epub",),
            media_types=("application/epub+zip",),
            magic=(ZIP,),
            zip_members=("META-INF/container.xml",),
        ),
        Format(
            "mail",
            reader="mail:read_mail",
            suffixes=(".eml", ".mht", ".mhtml"),
            text_pattern=TextPattern(MAIL_HEADER, MAIL_HEADER, count=3),
        ),
        Format(
            "mbox",
            reader="mail:read_mbox",
            suffixes=(".mbox",),
            text_start=re.compile(MBOX_LINE + rb">?[\w-]+:"),
        ),
        Format("emlx", reader="mail:read_emlx", suffixes=(".emlx",)),
        Format(
            "vcard",
            reader="vcard:read_vcards",
            media_types=("text/vcard", "text/x-vcard", "text/directory"),
            text_start=re.compile(rb"BEGIN:VCARD\s*[\r\n]", re.IGNORECASE),  # files of genes are called .vcf, too
        ),
        Format(
            "calendar",
            parser="calendar_file:parse_calendar",
            suffixes=(".ics",),
            media_types=("text/calendar",),
            text_pattern=TextPattern(
                re.compile(rb"BEGIN:VCALENDAR\s*$", re.I | re.M), re.compile(rb"^BEGIN:V", re.I | re.M)
            ),
        ),
        Format(
            "trec",
            reader="trec_documents:read_trec",
            suffixes=(".trec",),
            text_start=TREC_START,
            is_streamed=True,
            has_own_metadata=True,
        ),
        Format(
            "warc",
            reader="warc:read_warc",
            suffixes=(".warc", ".wet"),
            magic=(Magic(b"WARC/1."), Magic(b"WARC/0.")),
            text_start=re.compile(rb"WARC/\d\.\d+\r?\n"),
            is_streamed=True,
            has_own_metadata=True,
            extra="warc",
        ),
        Format("zip", reader="archive:read_zip", suffixes=(".zip",), magic=(ZIP,), has_own_metadata=True),
        Format(
            "tar",
            reader="archive:read_tar",
            suffixes=(".tar",),
            magic=(Magic(b"ustar\x0000", offset=257), Magic(b"ustar  \0", offset=257)),
            is_streamed=True,
            has_own_metadata=True,
        ),
    )
}
DEFAULT_TEXT = "text"  # the format of a text without a suffix
DEFAULT_ZIP = "zip"  # the format of a zip archive that holds no document of another format


@dataclass(frozen=True, slots=True)
class UnsupportedFormat:
    """A format that Attendex recognises and does not read."""

    kind: str
    magic: tuple[Magic, ...] = ()
    text_start: re.Pattern[bytes] | None = None
    ole: OleContent | None = None


UNSUPPORTED = (
    UnsupportedFormat("RTF", text_start=re.compile(rb"\{\\rtf\d?\s*\\")),
    UnsupportedFormat("image", (Magic(b"\x89PNG"), Magic(b"\xff\xd8\xff"), Magic(b"GIF8"))),
    UnsupportedFormat("7z archive", (Magic(b"7z\xbc\xaf\x27\x1c"),)),
    UnsupportedFormat("RAR archive", (Magic(b"Rar!\x1a\x07"),)),
    UnsupportedFormat("SQLite database", (Magic(b"SQLite format 3"),)),
    UnsupportedFormat("program", (Magic(b"\x7fELF"), Magic(b"MZ"))),
    UnsupportedFormat("audio or video", (Magic(b"OggS"), Magic(b"ID3"))),
    UnsupportedFormat("encrypted Office file", ole=OleContent("EncryptedPackage")),
    UnsupportedFormat("Outlook message (save it as .eml)", ole=OleContent("__substg1.0_", ".msg")),
)
OLD_OFFICE = "Office file from before 2007 (save it as .docx or .pptx)"  # an OLE file of no other kind


def format_for_suffix(suffix: str) -> Format | None:
    """Return the format of files with this suffix, in lower or upper case."""
    return next((row for row in FORMATS.values() if suffix.lower() in row.suffixes), None)


def format_for_media_type(media_type: str) -> Format | None:
    """Return the format that this media type names.

    Returns None for a format with magic bytes, because the bytes tell it better than a web server does.
    """
    return next((row for row in FORMATS.values() if media_type in row.media_types and not row.magic), None)
