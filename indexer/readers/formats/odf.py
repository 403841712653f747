"""OpenDocument texts and presentations: headings by outline level, lists, tables as rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.text import read_as
from indexer.readers.formats.zip_package import attribute, local, open_zip, parse_xml, read_part, xml_part
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument

SKIPPED = frozenset(("annotation", "tracked-changes", "table-of-content", "sequence-decls", "forms", "changed-region"))
ABOUT = {
    "title": "title",
    "creator": "author",
    "initial-creator": "author",
    "creation-date": "created",
    "language": "language",
}
DEEPEST = 60
FRACTION = re.compile(r"(?<=:\d\d)\.\d+")  # of a second, to nine figures


def read_odt(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The text as one document."""
    return read_as(parse_odf, stream, origin, options)


def read_odp(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The presentation as one document, a section a slide."""
    return read_as(parse_odf, stream, origin, options)


def parse_odf(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of an OpenDocument file."""
    with open_zip(data, options.limits) as archive:
        if b"encryption-data" in read_part(archive, "META-INF/manifest.xml"):
            raise BadDocument("is protected by a password; save it without one")
        body = parse_xml(read_part(archive, "content.xml")).find("./{*}body")
        about = _about(archive)
    builder = TextBuilder(about.pop("title", "") or _only_heading(body))
    if body is not None:
        _Body(builder).blocks(body, 0)
    return builder.build(**about)


def _about(archive: ZipFile) -> dict[str, str]:
    root = xml_part(archive, "meta.xml")
    found: dict[str, str] = {}
    for each in root.iter() if root is not None else ():
        if (name := ABOUT.get(local(each))) and each.text and each.text.strip():
            text = each.text.strip()
            found[name] = FRACTION.sub("", text) if name == "created" else text
    return found


def _only_heading(body: Element | None) -> str:
    """The heading of the first level, where there is just one."""
    found = [each for each in (body.iter() if body is not None else ()) if local(each) == "h"]
    first = [one_line(_text(each)) for each in found if attribute(each, "outline-level") in ("", "1")]
    return first[0] if len(first) == 1 else ""


class _Body:
    """Renders blocks in order; a page of drawings is a slide."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._slides = 0

    def blocks(self, parent: Element, depth: int) -> None:
        """Everything below `parent`."""
        for child in parent if depth < DEEPEST else ():
            name = local(child)
            if name == "h":
                self._builder.heading(int(attribute(child, "outline-level") or 1), _text(child))
            elif name == "p":
                self._builder.block(_text(child).strip())
            elif name in ("list-item", "list-header"):
                self._item(child, depth)
            elif name == "table":
                self._table(child)
            elif name not in SKIPPED:
                if name == "page":
                    self._slides += 1
                    self._builder.place(f"slide {self._slides}", afresh=True)
                self.blocks(child, depth + 1)

    def _item(self, item: Element, depth: int) -> None:
        own = [each for each in item if local(each) in ("p", "h")]
        if text := one_line(" ".join(map(_text, own))):
            self._builder.block(f"- {text}", separator="\n")
        for child in item if depth < DEEPEST else ():
            if local(child) == "list":
                self.blocks(child, depth + 1)

    def _table(self, table: Element) -> None:
        self._builder.rows(
            [
                " ".join(map(_text, _paragraphs(cell)))
                for cell in row
                if local(cell) in ("table-cell", "covered-table-cell")
            ]
            for row in _table_rows(table)
        )


def _table_rows(table: Element) -> Iterator[Element]:
    """Rows of the table itself, not of those within its cells."""
    for child in table:
        if local(child) == "table-row":
            yield child
        elif local(child) in ("table-rows", "table-header-rows", "table-row-group"):
            yield from _table_rows(child)


def _paragraphs(parent: Element) -> Iterator[Element]:
    return (each for each in parent.iter() if local(each) in ("p", "h"))


def _note_paragraphs(note: Element) -> Iterator[Element]:
    """What the note says, without the figure that it is cited by."""
    body = note.find("./{*}note-body")
    return _paragraphs(body) if body is not None else iter(())


def _text(paragraph: Element) -> str:
    """Text of a paragraph, footnotes in place, comments not."""
    parts = [paragraph.text or ""]
    for child in paragraph:
        name = local(child)
        if name == "s":
            parts.append(" " * min(int(attribute(child, "c") or 1), 80))
        elif name == "tab":
            parts.append(" ")
        elif name == "note":
            parts.append(f" ({one_line(' '.join(map(_text, _note_paragraphs(child))))})")
        elif name == "line-break":
            parts.append("\n")
        elif name not in SKIPPED:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
