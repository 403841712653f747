"""Word documents: headings by outline level, lists, tables, charts; then notes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin
from indexer.readers.formats.archive import read_member
from indexer.readers.formats.drawing import chart_rows, outermost, paragraphs, part_root
from indexer.readers.formats.zip_package import (
    attribute,
    children,
    core_properties,
    local,
    main_part,
    open_zip,
    parse_xml,
    read_part,
    related_part,
    targets,
    xml_part,
)
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.types import Document, MetadataValue

HEADING_NAME = re.compile(r"^(?:heading|überschrift|titre|título|заголовок|标题|見出し)\s*(\d)$", re.IGNORECASE)
CONTENTS_NAME = re.compile(r"^toc (?:\d|heading)$", re.IGNORECASE)
SKIPPED_ELEMENTS = frozenset(("instrText", "delText", "del", "moveFrom", "pPr", "rPr", "tblPr", "sectPr", "rt"))
LONG_CELL = 600  # characters; a table with a longer cell lays out the page
MAX_DEPTH = 60
MAX_TITLE_CANDIDATES = 20  # paragraphs; each may have all others within it
LINE_END = Element("br")


def parse_docx(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a Word document."""
    with open_zip(data, options.limits) as archive:
        main = main_part(archive, "word/document.xml")
        body = parse_xml(read_part(archive, main)).find("./{*}body")
        about: dict[str, MetadataValue] = dict(core_properties(archive))
        styles = _DocxStyles(archive, main)
        builder = TextBuilder(str(about.pop("title", "")))
        if body is not None:
            if not builder.title:
                builder.title = _first_title(body, styles)
            parts = targets(archive, main)
            chunks, drawings = _Chunks(archive, parts, options), _Drawings(archive, parts)
            numbered = not _has_headings(body, styles)
            _DocxRenderer(builder, styles, chunks, drawings, numbered_pages=numbered).blocks(body, 0)
            about |= {"unread_parts": float(chunks.unread)} if chunks.unread else {}
        builder.location("notes", clear_headings=True)
        for notes in ("footnotes", "endnotes"):
            _notes(xml_part(archive, related_part(archive, main, notes, f"word/{notes}.xml")), builder)
        builder.location("comments", clear_headings=True)
        _comments(xml_part(archive, related_part(archive, main, "comments", "word/comments.xml")), builder)
    return builder.build(**about)


class _DocxStyles:
    """The paragraph styles that are headings, by their outline level or their name."""

    def __init__(self, archive: ZipFile, main: str) -> None:
        root = xml_part(archive, related_part(archive, main, "styles", "word/styles.xml"))
        self._levels: dict[str, int] = {}
        self.titles: set[str] = set()
        self.contents: set[str] = set()  # styles of the lines of a table of contents
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
        """Check whether the paragraph or its style makes it an item of a list."""
        own = paragraph.find("./{*}pPr/{*}numPr")
        return own is not None or _value(paragraph, "pPr/{*}pStyle") in self._listed

    def level(self, paragraph: Element) -> int:
        """Return the level of a heading, from 1; 0 for other paragraphs."""
        own = _value(paragraph, "pPr/{*}outlineLvl")
        if own.isdigit():
            return int(own) + 1 if int(own) < 9 else 0
        return self._levels.get(_value(paragraph, "pPr/{*}pStyle"), 0)


def _value(element: Element, path: str) -> str:
    found = element.find("./{*}" + path)
    return attribute(found, "val") if found is not None else ""


def _first_title(body: Element, styles: _DocxStyles) -> str:
    """Return the paragraph of style Title, else the only heading of level 1."""
    headings: list[str] = []
    for paragraph, is_title in islice(_title_candidates(body, styles), MAX_TITLE_CANDIDATES):
        if text := one_line(paragraph_text(paragraph)):
            if is_title:
                return text
            headings.append(text)
    return headings[0] if len(headings) == 1 else ""


def _title_candidates(body: Element, styles: _DocxStyles) -> Iterator[tuple[Element, bool]]:
    """Yield paragraphs of style Title (True) and headings of level 1 (False)."""
    for paragraph in body.iter():
        if local(paragraph) == "p":
            is_title = _value(paragraph, "pPr/{*}pStyle") in styles.titles
            if is_title or styles.level(paragraph) == 1:
                yield paragraph, is_title


def _has_headings(body: Element, styles: _DocxStyles) -> bool:
    return any(local(child) == "p" and styles.level(child) for child in body.iter())


class _Chunks:
    """Embedded files that are parts of the text (`altChunk`): HTML, text or Word."""

    def __init__(self, archive: ZipFile, parts: dict[str, str], options: ReadOptions) -> None:
        self._archive = archive
        self._parts = parts
        limits = options.limits
        self._options = replace(options, format="", limits=replace(limits, depth=limits.depth - 1))
        self.unread = 0

    def text(self, identifier: str) -> str:
        """Return the text of a part; `unread` counts those without any."""
        name = self._parts.get(identifier, "")
        found: list[str] = []
        if name in self._archive.NameToInfo and self._options.limits.depth > 0:
            stream = io.BytesIO(read_part(self._archive, name))
            items = read_member(stream, DocumentOrigin(name, name), self._options)
            found = [item.text for item in items if isinstance(item, Document)]
        self.unread += not found
        return "\n\n".join(found)


class _Drawings:
    """Charts and diagrams, whose text stands in parts of their own."""

    def __init__(self, archive: ZipFile, parts: dict[str, str]) -> None:
        self._archive = archive
        self._parts = parts
        self._rendered: set[str] = set()  # each part once, however often the text refers to it

    def render(self, element: Element, builder: TextBuilder) -> None:
        """Render the charts and diagrams to which an element refers, in order."""
        for found in outermost(element, "chart", "relIds"):
            is_chart = local(found) == "chart"
            part = self._parts.get(attribute(found, "id" if is_chart else "dm"), "")
            if not part or part in self._rendered:
                continue
            self._rendered.add(part)
            root = part_root(self._archive, part)
            if is_chart:
                builder.rows(chart_rows(root))
            else:
                builder.block("\n".join(paragraphs(root)))


class _DocxRenderer:
    """Renders the blocks of a body; without headings, pages become sections."""

    def __init__(
        self,
        builder: TextBuilder,
        styles: _DocxStyles,
        chunks: _Chunks,
        drawings: _Drawings,
        *,
        numbered_pages: bool,
    ) -> None:
        self._builder = builder
        self._chunks = chunks
        self._drawings = drawings
        self._styles = styles
        self._pages = numbered_pages
        self._page = 1

    def blocks(self, parent: Element, depth: int) -> None:
        """Render all blocks below `parent`, in order."""
        for child in children(parent) if depth < MAX_DEPTH else ():
            name = local(child)
            if name == "p":
                self._render_paragraph(child)
            elif name == "altChunk":
                self._builder.block(self._chunks.text(attribute(child, "id")))
            elif name == "tbl":
                self._render_table(child, depth)
            elif name not in SKIPPED_ELEMENTS and not _is_contents(child):
                self.blocks(child, depth + 1)

    def _render_paragraph(self, paragraph: Element) -> None:
        if _value(paragraph, "pPr/{*}pStyle") in self._styles.contents:
            return
        text = paragraph_text(paragraph)
        if level := self._styles.level(paragraph):
            self._builder.heading(level, text)
        elif text.strip() and self._styles.is_listed(paragraph):
            self._builder.block("- " + _clean_lines(text), separator="\n")
        else:
            self._builder.block(_clean_lines(text))
        self._drawings.render(paragraph, self._builder)
        if self._pages and (turned := _page_breaks(paragraph)):
            self._page += turned
            self._builder.location(f"p. {self._page}")

    def _render_table(self, table: Element, depth: int) -> None:
        rows = [
            [one_line(_cell_text(cell)) for cell in row if local(cell) in ("tc", "sdt")] for row in _table_rows(table)
        ]
        if any(len(cell) > LONG_CELL for row in rows for cell in row):
            for row in _table_rows(table):
                for cell in row:
                    self.blocks(cell, depth + 1)
        else:
            self._builder.rows(rows)
            self._drawings.render(table, self._builder)


def _table_rows(table: Element) -> Iterator[Element]:
    for child in table:
        if local(child) == "tr":
            yield child
        elif local(child) in ("sdt", "sdtContent"):
            yield from _table_rows(child)


def _cell_text(cell: Element) -> str:
    """Return the text of the paragraphs in a cell, with their text boxes."""
    parts: list[str] = []
    stack = [cell]
    while stack:
        element = stack.pop()
        if local(element) == "p":
            parts.append(paragraph_text(element))
        elif local(element) not in SKIPPED_ELEMENTS:
            stack.extend(reversed(list(children(element))))
    return "\n".join(parts)


def _clean_lines(text: str) -> str:
    return "\n".join(filter(None, map(one_line, text.split("\n"))))


def paragraph_text(paragraph: Element) -> str:
    """Return the visible text of a paragraph, with formulas and text boxes."""
    parts: list[str] = []
    stack = list(reversed(list(children(paragraph))))
    while stack:
        element = stack.pop()
        name = local(element)
        if name == "t":
            parts.append(element.text or "")
        elif name in ("tab", "ptab"):
            parts.append(" ")
        elif name in ("br", "cr"):
            parts.append("\n")
        elif name == "noBreakHyphen":
            parts.append("-")
        elif name not in SKIPPED_ELEMENTS and not _is_hidden(element):
            if name == "p":  # of a text box
                parts.append("\n")
                stack.append(LINE_END)
            stack.extend(reversed(list(children(element))))
    return "".join(parts)


def _is_hidden(element: Element) -> bool:
    """Check whether Word hides this text."""
    found = element.find("./{*}rPr/{*}vanish")
    return found is not None and attribute(found, "val") not in ("0", "false", "off")


def _is_contents(element: Element) -> bool:
    """Check whether this is a table of contents, which only repeats headings."""
    return "Table of Contents" in _value(element, "sdtPr/{*}docPartObj/{*}docPartGallery")


def _page_breaks(paragraph: Element) -> int:
    return sum(
        local(child) == "lastRenderedPageBreak" or (local(child) == "br" and attribute(child, "type") == "page")
        for child in paragraph.iter()
    )


def _notes(root: Element | None, builder: TextBuilder) -> None:
    for note in root if root is not None else ():
        if attribute(note, "type") in ("", "normal"):
            builder.paragraph(_cell_text(note))


def _comments(root: Element | None, builder: TextBuilder) -> None:
    """Render the comments in the margin, each with its author."""
    for comment in root if root is not None else ():
        if text := _clean_lines(_cell_text(comment)):
            author = one_line(attribute(comment, "author"))
            builder.paragraph(f"{author}: {text}" if author else text)
