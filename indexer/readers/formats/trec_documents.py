"""Read the documents of TREC collections: `<DOC>` elements with `<DOCNO>`.

The tags are not those of XML: entities are undefined, and each collection has its own fields.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.html import html_to_parsed
from indexer.readers.text.charsets import decode, encoding_of, evidence_in
from indexer.readers.text.text_builder import TextBuilder, one_line
from retrieval.errors import BadDocument
from retrieval.types import Document

BEGIN = re.compile(rb"\s*<doc(?:\s[^<>]*)?>", re.IGNORECASE)
END = re.compile(rb"</doc\s*>", re.IGNORECASE)
AFTER_END = re.compile(rb"(?<=</doc>)", re.IGNORECASE)
ATTRIBUTES = re.compile(r"<doc(\s[^<>]*)>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^"'\s]+))""")
TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)[^<>]*>|<!--.*?(?:-->|\Z)", re.DOTALL)
IDS = ("docno", "docid", "doc-id")
TITLES = ("headline", "head", "title", "hl", "ti")
HTTP_HEADER = "dochdr"  # of a web page: its address, then the header of the answer
UNUSED = frozenset((*IDS, HTTP_HEADER, "docoldno", "fileid", "filename", "dochdrtag"))
TEXTS = frozenset(("", "text", "body", "lp", "leadpara", "abstract", "summary", "content", "correction", "graphic"))
BREAKS = frozenset(("p", "br", "h1", "h2", "h3", "h4", "table", "tr", "li"))
MAX_METADATA_CHARACTERS = 200  # of a field; a longer one is text
ENTITIES = re.compile(r"&(blank|hyph|cir|sect|para|mu|rsquo|lsquo|ldquo|rdquo|mdash|ndash|bull);", re.IGNORECASE)
SIGNS = {"blank": " ", "hyph": "-", "cir": "°"}  # the others are those of HTML


def read_trec(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield a document, or an error with its line, for each `<DOC>`."""
    encoding = encoding_of(evidence_in(stream))
    for line, data in _split(stream, options.limits.record_bytes):
        try:
            if len(data) > options.limits.record_bytes:
                raise BadDocument(f"the document is longer than {options.limits.record_bytes:,} bytes")
            yield _document(decode(data, encoding))
        except BadDocument as error:
            yield BadDocument(str(error), path=origin.path, line=line)


def _split(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield line and bytes of each document; one byte too many if it is too long."""
    lines: list[bytes] = []
    size, first = 0, 0
    for number, line in _lines(stream, max_bytes):
        if begins := BEGIN.match(line):
            if lines:  # the document before has no end
                yield first, b"".join(lines)
            lines, size, first = [], 0, number
        if (begins or lines) and size <= max_bytes:
            lines.append(line[: max_bytes + 1 - size])
            size += len(lines[-1])
        if lines and END.search(line):
            yield first, b"".join(lines)
            lines, size = [], 0
    if lines:
        yield first, b"".join(lines)


def _lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers; the end of a document ends a line."""
    for number, line in enumerate(iter(lambda: stream.readline(max_bytes), b""), start=1):
        for piece in AFTER_END.split(line):
            yield number, piece


def _document(text: str) -> Document:
    fields = [*_attributes(text), *_fields(text)]
    identifier = next((one_line(value) for name, value in fields if name in IDS and value.strip()), "")
    if not identifier:
        raise BadDocument("no id: the document has no <DOCNO>")
    titles = [one_line(value) for name, value in fields if name in TITLES and value.strip()]
    if any(name == HTTP_HEADER for name, _ in fields):
        return _web_page(text, identifier)
    builder = TextBuilder(titles[0] if titles else "")
    metadata: dict[str, str] = {}
    for name, value in fields:
        line = one_line(value)
        if name in TEXTS or (name not in UNUSED and name not in TITLES and len(line) > MAX_METADATA_CHARACTERS):
            for paragraph in re.split(r"\n\s*\n", value):
                builder.block(paragraph.strip())
        elif name not in UNUSED and name not in TITLES and line:
            metadata.setdefault(name, line)
    parsed = builder.build(**metadata)
    if not parsed.text and not parsed.title:
        raise BadDocument(f"document {identifier!r} has no text")
    return parsed.document(identifier, "")


def _web_page(text: str, identifier: str) -> Document:
    header, _, page = re.split(rf"(</{HTTP_HEADER}\s*>)", text, maxsplit=1, flags=re.IGNORECASE)
    address = one_line(
        re.split(rf"<{HTTP_HEADER}\b[^<>]*>", header, maxsplit=1, flags=re.IGNORECASE)[-1].strip().partition("\n")[0]
    )
    parsed = html_to_parsed(re.sub(r"</doc\s*>\s*$", "", page, flags=re.IGNORECASE))
    if address and "url" not in parsed.metadata:
        parsed.metadata["url"] = address.split(" ")[0]
    return parsed.document(identifier, "")


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Yield the attributes of `<doc id="1" title="Weirs">` as fields."""
    if found := ATTRIBUTES.match(text):
        for name, *values in ATTRIBUTE.findall(found.group(1)):
            yield ("docid" if name.lower() == "id" else name.lower()), html.unescape("".join(values))


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each field; "" names the text outside of fields.

    A tag within a field belongs to its text. A field without an end takes the rest.
    """
    name, parts = "", list[str]()
    position = 0
    for tag in TAG.finditer(text):
        parts.append(text[position : tag.start()])
        position = tag.end()
        inner = (tag.group(2) or "").lower()
        is_field = inner and inner != "doc" and inner not in BREAKS
        if inner in BREAKS:
            parts.append("\n\n")
        elif is_field and not tag.group(1) and not name:
            yield "", _unescaped(parts)
            name, parts = inner, []
        elif is_field and tag.group(1) and inner == name:
            yield name, _unescaped(parts)
            name, parts = "", []
    parts.append(text[position:])
    yield name, _unescaped(parts)


def _unescaped(parts: list[str]) -> str:
    text = ENTITIES.sub(lambda match: SIGNS.get(match.group(1).lower(), match.group()), "".join(parts))
    return html.unescape(text)
