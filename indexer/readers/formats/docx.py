"""Word documents: paragraphs, headings by outline level, lists, tables as rows, notes at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.text import read_as
from indexer.readers.formats.zip_package import (
    attribute,
    core_properties,
    local,
    open_zip,
    parse_xml,
    read_part,
    targets,
    xml_part,
)
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line

HEADING_NAME = re.compile(r"^(?:heading|überschrift|titre|título|заголовок|标题|見出し)\s*(\d)$", re.IGNORECASE)
CONTENTS_NAME = re.compile(r"^toc (?:\d|heading)$", re.IGNORECASE)
SKIPPED = frozenset(("Fallback", "instrText", "delText", "del", "moveFrom", "pPr", "rPr", "tblPr", "sectPr"))
LONG_CELL = 600  # characters: a table with longer cells lays a page out
DEEPEST = 60


def read_docx(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document."""
    return read_as(parse_docx, stream, origin, options)


def parse_docx(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a Word document."""
    with open_zip(data, options.limits) as archive:
        main = _main_part(archive)
        body = parse_xml(read_part(archive, main)).find("./{*}body")
        about = core_properties(archive)
        styles = _Styles(archive, main)
        builder = TextBuilder(about.pop("title", ""))
        if body is not None:
            if not builder.title:
                builder.title = _first_title(body, styles)
            _Body(builder, styles, numbered_pages=not _has_headings(body, styles)).blocks(body, 0)
        folder = main.rpartition("/")[0]
        builder.place("notes", afresh=True)
        for notes in ("footnotes", "endnotes"):
            _notes(xml_part(archive, f"{folder}/{notes}.xml"), builder)
    return builder.build(**about)


def _main_part(archive: ZipFile) -> str:
    for name in targets(archive, "/x").values():  # the relations of the package itself
        if re.fullmatch(r"word/document\d*\.xml", name):
            return name
    return "word/document.xml"


class _Styles:
    """Which paragraph styles are headings, by their outline level or their name."""

    def __init__(self, archive: ZipFile, main: str) -> None:
        root = xml_part(archive, f"{main.rpartition('/')[0]}/styles.xml")
        self._levels: dict[str, int] = {}
        self.titles: set[str] = set()
        self.contents: set[str] = set()  # lines of the table of contents
        self._listed: set[str] = set()
        parents: dict[str, str] = {}
        for style in root.iterfind("./{*}style") if root is not None else ():
            identifier = attribute(style, "styleId")
            name = _value(style, "name")
            level = _value(style, "pPr/{*}outlineLvl")
            if named := HEADING_NAME.match(name):
                self._levels[identifier] = int(named.group(1))
            elif level.isdigit() and int(level) < 9:
                self._levels[identifier] = int(level) + 1
            if name.lower() == "title":
                self.titles.add(identifier)
            if CONTENTS_NAME.match(name):
                self.contents.add(identifier)
            if style.find("./{*}pPr/{*}numPr") is not None:
                self._listed.add(identifier)
            parents[identifier] = _value(style, "basedOn")
        for identifier in parents:
            self._inherit(identifier, parents)

    def _inherit(self, identifier: str, parents: dict[str, str]) -> None:
        ancestor, seen = identifier, set()
        while ancestor and ancestor not in seen:
            if ancestor in self._levels:
                self._levels[identifier] = self._levels[ancestor]
                return
            seen.add(ancestor)
            ancestor = parents.get(ancestor, "")

    def is_listed(self, paragraph: Element) -> bool:
        """Whether the paragraph is an item of a list, by itself or by its style."""
        own = paragraph.find("./{*}pPr/{*}numPr")
        return own is not None or _value(paragraph, "pPr/{*}pStyle") in self._listed

    def level(self, paragraph: Element) -> int:
        """The heading's level from 1, 0 for what is no heading."""
        own = _value(paragraph, "pPr/{*}outlineLvl")
        if own.isdigit():
            return int(own) + 1 if int(own) < 9 else 0
        return self._levels.get(_value(paragraph, "pPr/{*}pStyle"), 0)


def _value(element: Element, path: str) -> str:
    found = element.find("./{*}" + path)
    return attribute(found, "val") if found is not None else ""


def _first_title(body: Element, styles: _Styles) -> str:
    """The first paragraph of style Title, else the only heading of the first level."""
    headings: list[str] = []
    for paragraph in body.iter():
        if local(paragraph) == "p" and (text := one_line(paragraph_text(paragraph))):
            if _value(paragraph, "pPr/{*}pStyle") in styles.titles:
                return text
            if styles.level(paragraph) == 1:
                headings.append(text)
    return headings[0] if len(headings) == 1 else ""


def _has_headings(body: Element, styles: _Styles) -> bool:
    return any(local(each) == "p" and styles.level(each) for each in body.iter())


class _Body:
    """Renders the blocks of a body; pages as Word last saw them stand in for headings where there are none."""

    def __init__(self, builder: TextBuilder, styles: _Styles, *, numbered_pages: bool) -> None:
        self._builder = builder
        self._styles = styles
        self._pages = numbered_pages
        self._page = 1

    def blocks(self, parent: Element, depth: int) -> None:
        """Everything below `parent`, in order."""
        for child in parent if depth < DEEPEST else ():
            name = local(child)
            if name == "p":
                self._paragraph(child)
            elif name == "tbl":
                self._table(child, depth)
            elif name not in SKIPPED and not _is_contents(child):
                self.blocks(child, depth + 1)

    def _paragraph(self, paragraph: Element) -> None:
        if _value(paragraph, "pPr/{*}pStyle") in self._styles.contents:
            return
        text = paragraph_text(paragraph)
        if level := self._styles.level(paragraph):
            self._builder.heading(level, text)
        elif text.strip() and self._styles.is_listed(paragraph):
            self._builder.block("- " + _lines(text), separator="\n")
        else:
            self._builder.block(_lines(text))
        if self._pages and (turned := _page_breaks(paragraph)):
            self._page += turned
            self._builder.place(f"p. {self._page}")

    def _table(self, table: Element, depth: int) -> None:
        rows = [
            [one_line(_cell_text(cell)) for cell in row if local(cell) in ("tc", "sdt")] for row in _table_rows(table)
        ]
        if any(len(cell) > LONG_CELL for row in rows for cell in row):
            for row in _table_rows(table):
                for cell in row:
                    self.blocks(cell, depth + 1)
        else:
            self._builder.rows(rows)


def _table_rows(table: Element) -> Iterator[Element]:
    for child in table:
        if local(child) == "tr":
            yield child
        elif local(child) in ("sdt", "sdtContent"):
            yield from _table_rows(child)


def _cell_text(cell: Element) -> str:
    return "\n".join(paragraph_text(each) for each in cell.iter() if local(each) == "p")


def _lines(text: str) -> str:
    return "\n".join(filter(None, map(one_line, text.split("\n"))))


def paragraph_text(paragraph: Element) -> str:
    """Text of a paragraph: what is shown, formulas and text boxes included, deleted text and field codes not."""
    parts: list[str] = []
    waiting = list(reversed(paragraph))
    while waiting:
        element = waiting.pop()
        name = local(element)
        if name == "t":
            parts.append(element.text or "")
        elif name in ("tab", "ptab"):
            parts.append(" ")
        elif name in ("br", "cr"):
            parts.append("\n")
        elif name == "noBreakHyphen":
            parts.append("-")
        elif name not in SKIPPED and not _is_hidden(element):
            if name == "p":  # of a text box
                parts.append("\n")
            waiting.extend(reversed(element))
    return "".join(parts)


def _is_hidden(element: Element) -> bool:
    """Whether it is text that Word does not show."""
    found = element.find("./{*}rPr/{*}vanish")
    return found is not None and attribute(found, "val") not in ("0", "false", "off")


def _is_contents(element: Element) -> bool:
    """Whether it is a table of contents, which says nothing that does not stand elsewhere."""
    return "Table of Contents" in _value(element, "sdtPr/{*}docPartObj/{*}docPartGallery")


def _page_breaks(paragraph: Element) -> int:
    return sum(
        local(each) == "lastRenderedPageBreak" or (local(each) == "br" and attribute(each, "type") == "page")
        for each in paragraph.iter()
    )


def _notes(root: Element | None, builder: TextBuilder) -> None:
    for note in root if root is not None else ():
        if attribute(note, "type") in ("", "normal"):
            builder.paragraph(_cell_text(note))
