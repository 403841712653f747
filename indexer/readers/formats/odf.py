"""OpenDocument texts and presentations: headings, lists, tables as rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.zip_package import attribute, local, open_zip, parse_xml, read_part, xml_part
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument

SKIPPED = frozenset(
    "annotation tracked-changes table-of-content sequence-decls forms changed-region ruby-text".split()  # noqa: SIM905
)
METADATA = {
    "title": "title",
    "creator": "author",
    "initial-creator": "author",
    "creation-date": "created",
    "language": "language",
}
BLANK_LINES = re.compile(r"\n\s*\n")
MAX_DEPTH = 60
MAX_SPACES = 80  # of one element that stands for several spaces
FRACTION = re.compile(r"(?<=:\d\d)\.\d+")  # of a second, with nine digits


def parse_odf(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse an OpenDocument text or presentation. Each slide is a section."""
    with open_zip(data, options.limits) as archive:
        if b"encryption-data" in read_part(archive, "META-INF/manifest.xml"):
            raise BadDocument("is protected by a password; save it without one")
        content = parse_xml(read_part(archive, "content.xml"))
        about = _metadata(archive)
    body = content.find("./{*}body")
    builder = TextBuilder(about.pop("title", "") or _only_heading(body))
    if body is not None:
        _OdfRenderer(builder, _hidden_styles(content)).blocks(body, 0)
    return builder.build(**about)


def _metadata(archive: ZipFile) -> dict[str, str]:
    root = xml_part(archive, "meta.xml")
    found: dict[str, str] = {}
    for element in root.iter() if root is not None else ():
        if (name := METADATA.get(local(element))) and element.text and element.text.strip():
            text = element.text.strip()
            found[name] = FRACTION.sub("", text) if name == "created" else text
    return found


def _hidden_styles(content: Element) -> set[str]:
    """Return the names of the styles of hidden slides; none if all slides are hidden."""
    hidden = {
        attribute(style, "name")
        for style in content.iterfind("./{*}automatic-styles/{*}style")
        if any(attribute(each, "visibility") == "hidden" for each in style.iterfind("./{*}drawing-page-properties"))
    }
    slides = content.iterfind("./{*}body/{*}presentation/{*}page")
    return set() if all(attribute(slide, "style-name") in hidden for slide in slides) else hidden


def _only_heading(body: Element | None) -> str:
    """Return the heading of level 1 if there is only one, else ""."""
    headings = [element for element in (body.iter() if body is not None else ()) if local(element) == "h"]
    first_level = [one_line(_text(heading)) for heading in headings if attribute(heading, "outline-level") in ("", "1")]
    return first_level[0] if len(first_level) == 1 else ""


class _OdfRenderer:
    """Renders blocks in order. A page of drawings is a slide."""

    def __init__(self, builder: TextBuilder, hidden: set[str]) -> None:
        self._builder = builder
        self._hidden = hidden  # styles of slides that are not shown
        self._slides = 0

    def blocks(self, parent: Element, depth: int) -> None:
        """Render all blocks below `parent`, in order."""
        for child in parent if depth < MAX_DEPTH else ():
            name = local(child)
            if name == "h":
                self._builder.heading(int(attribute(child, "outline-level") or 1), _text(child))
            elif name == "p":
                self._builder.block(BLANK_LINES.sub("\n", _text(child).strip()))
            elif name in ("list-item", "list-header"):
                self._render_item(child, depth)
            elif name == "table":
                self._render_table(child)
            elif name not in SKIPPED:
                if name == "page":
                    self._slides += 1
                    if attribute(child, "style-name") in self._hidden:
                        continue
                    self._builder.location(f"slide {self._slides}", clear_headings=True)
                self.blocks(child, depth + 1)

    def _render_item(self, item: Element, depth: int) -> None:
        own = [child for child in item if local(child) in ("p", "h")]
        if text := one_line(" ".join(map(_text, own))):
            self._builder.block(f"- {text}", separator="\n")
        for child in item if depth < MAX_DEPTH else ():
            if local(child) == "list":
                self.blocks(child, depth + 1)

    def _render_table(self, table: Element) -> None:
        self._builder.rows(
            [
                " ".join(map(_text, _paragraphs(cell)))
                for cell in row
                if local(cell) in ("table-cell", "covered-table-cell")
            ]
            for row in _table_rows(table)
        )


def _table_rows(table: Element) -> Iterator[Element]:
    """Yield the rows of the table, without those of tables in its cells."""
    for child in table:
        if local(child) == "table-row":
            yield child
        elif local(child) in ("table-rows", "table-header-rows", "table-row-group"):
            yield from _table_rows(child)


def _paragraphs(parent: Element) -> Iterator[Element]:
    return (element for element in parent.iter() if local(element) in ("p", "h"))


def _note_paragraphs(note: Element) -> Iterator[Element]:
    """Return the paragraphs of a note, without its number."""
    body = note.find("./{*}note-body")
    return _paragraphs(body) if body is not None else iter(())


def _text(paragraph: Element) -> str:
    """Return the text of a paragraph with its footnotes in place and without comments."""
    parts = [paragraph.text or ""]
    for child in paragraph:
        name = local(child)
        if name == "s":
            parts.append(" " * min(int(attribute(child, "c") or 1), MAX_SPACES))
        elif name == "tab":
            parts.append(" ")
        elif name == "note":
            parts.append(f" ({one_line(' '.join(map(_text, _note_paragraphs(child))))})")
        elif name == "line-break":
            parts.append("\n")
        elif name in ("p", "h"):  # of a text box
            parts.append(f"\n{_text(child)}\n")
        elif name not in SKIPPED:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
