"""HTML pages: their own text in blocks, headings as structure, tables as rows, and what the page says about itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.boilerplate import main_content
from indexer.readers.formats.front_matter import split_front_matter
from indexer.readers.formats.html_tree import HtmlElement, HtmlPage, parse_page
from indexer.readers.formats.records import metadata_from
from indexer.readers.formats.text import read_as
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line

BLOCKS = frozenset(
    """
    address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form
    header hgroup hr html li main nav ol p section summary table tbody td tfoot th thead tr ul caption
    """.split()  # noqa: SIM905 -- forty quoted words would be harder to read
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
LONG_CELL = 400  # characters: a table with longer cells lays a page out
SITE_SUFFIX = re.compile(r"\s+[|·•–—-]\s+[^|·•–—]{2,40}$")
SPACE = re.compile(r"\s+")
EMPTY_LINE = re.compile(r"\n[ \n]*\n")
AUTHORS = ("author", "article:author", "dc.creator", "citation_author", "parsely-author")
DATES = ("article:published_time", "date", "dc.date", "citation_publication_date", "publish-date", "last-modified")


def read_html(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The page as one document."""
    return read_as(parse_html, stream, origin, options)


def parse_html(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a page."""
    del options
    return html_to_parsed(decode(data, declares=True))


def html_to_parsed(html: str) -> ParsedDocument:
    """What is read of a page's text."""
    front = split_front_matter(html)
    page = parse_page(front.body)
    content = main_content(page.body)
    about = metadata_from(front.fields)
    builder = TextBuilder(str(about.pop("title", "")) or _title(page, content))
    render_html(content, builder)
    return builder.build(**{**_about(page), **about})


def render_html(element: HtmlElement, builder: TextBuilder) -> None:
    """Blocks of `element`, in order."""
    _Renderer(builder).element(element)


def _title(page: HtmlPage, content: HtmlElement) -> str:
    """The page's title without the site's name; its first heading where that says the same."""
    named = [one_line(title) for title in (page.title, page.meta.get("og:title", "")) if title.strip()]
    heading = content.find("h1") or page.body.find("h1")
    first = one_line(heading.text()) if heading is not None else ""
    fronts = [SITE_SUFFIX.sub("", title) for title in named]
    if first and (not named or any(first.lower() in front.lower() for front in fronts)):
        return first
    return fronts[0] if fronts else ""


def _about(page: HtmlPage) -> dict[str, str]:
    found = {
        "author": next((page.meta[name] for name in AUTHORS if page.meta.get(name)), "") or page.linked.author,
        "date": _iso_date(next((page.meta[name] for name in DATES if page.meta.get(name)), ""))
        or _iso_date(page.linked.date),
        "language": page.language.split("-")[0].strip().lower(),
        "url": page.canonical,
    }
    return {key: one_line(value) for key, value in found.items() if value}


def _iso_date(text: str) -> str:
    """`text` where it begins with an ISO 8601 date; nothing else can be filtered by."""
    return text.strip() if re.match(r"\d{4}-\d{2}-\d{2}", text.strip()) else ""


class _Renderer:
    """Gathers running text until a block ends."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._running: list[str] = []
        self._in_list = False

    def element(self, element: HtmlElement) -> None:
        """Render one block and all below it."""
        for child in element.children:
            if isinstance(child, str):
                self._running.append(SPACE.sub(" ", child))
            else:
                self._child(child)
        self._flush()

    def _child(self, child: HtmlElement) -> None:
        if child.tag in HEADINGS:
            self._flush()
            self._builder.heading(HEADINGS[child.tag], child.text())
        elif child.tag == "pre":
            self._flush()
            self._builder.block(child.text())
        elif child.tag == "table" and _is_data(child):
            self._flush()
            self._builder.rows(_rows(child))
        elif child.tag == "br":
            self._running.append("\n")
        elif child.tag == "li":
            self._flush()
            self._item(child)
        elif child.tag in BLOCKS:
            self._flush()
            self.element(child)
        elif child.attributes.get("epub:type") == "noteref" or child.attributes.get("role") == "doc-noteref":
            return  # a figure that would stick to the word before
        else:
            self._inline(child)

    def _item(self, item: HtmlElement) -> None:
        self._running.append("- ")
        self._in_list = True
        self.element(item)

    def _inline(self, element: HtmlElement) -> None:
        for child in element.children:
            if isinstance(child, str):
                self._running.append(SPACE.sub(" ", child))
            else:
                self._child(child)

    def _flush(self) -> None:
        text = "".join(self._running)
        self._running.clear()
        for paragraph in EMPTY_LINE.split(text):
            lines = "\n".join(filter(None, map(one_line, paragraph.split("\n"))))
            if lines and lines != "-":
                self._builder.block(lines, separator="\n" if self._in_list and lines.startswith("- ") else "\n\n")
        self._in_list = False


def _is_data(table: HtmlElement) -> bool:
    """Whether a table shows data rather than lays out the page."""
    cells = [cell for row in _own_rows(table) for cell in row.children if isinstance(cell, HtmlElement)]
    if any(len(cell.text()) > LONG_CELL for cell in cells):
        return False
    titled = any(cell.tag == "th" for cell in cells)  # a layout has no titles above its columns
    unfit = ("pre", "form") if titled else ("pre", "form", "table")
    return not any(each.tag in unfit or each.tag in HEADINGS for each in table.elements() if each is not table)


def _rows(table: HtmlElement) -> Iterator[list[str]]:
    for row in _own_rows(table):
        if row.tag == "caption":
            yield [row.text()]
        else:
            yield [_cell(each) for each in row.children if isinstance(each, HtmlElement)]


def _own_rows(element: HtmlElement) -> Iterator[HtmlElement]:
    """Caption and rows of a table, without those of tables within its cells."""
    for child in element.children:
        if isinstance(child, HtmlElement):
            if child.tag in ("tr", "caption"):
                yield child
            elif child.tag != "table":
                yield from _own_rows(child)


def _cell(cell: HtmlElement) -> str:
    """Text of a cell; blocks and breaks inside do not glue words together."""
    return " ".join(child if isinstance(child, str) else _cell(child) for child in cell.children)
