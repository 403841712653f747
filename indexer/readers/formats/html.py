"""HTML pages: render the main content, read the metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.front_matter import split_front_matter
from indexer.readers.formats.html_content import main_content
from indexer.readers.formats.html_tree import HEADINGS, HtmlElement, HtmlPage, parse_page
from indexer.readers.formats.records import metadata_from
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line

LONG_CELL = 400  # characters; a table with a longer cell lays out the page
SITE_SUFFIX = re.compile(r"\s+[|·•–—-]\s+[^|·•–—]{2,40}$")
SPACE = re.compile(r"\s+")
EMPTY_LINE = re.compile(r"\n[ \n]*\n")
AUTHORS = ("author", "article:author", "dc.creator", "citation_author", "parsely-author")
DATES = ("article:published_time", "date", "dc.date", "citation_publication_date", "publish-date", "last-modified")


def parse_html(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse the bytes of a page."""
    del options
    return html_to_parsed(decode(data, declares=True))


def html_to_parsed(html: str) -> ParsedDocument:
    """Parse the text of a page."""
    front = split_front_matter(html)
    page = parse_page(front.body)
    content = main_content(page.body)
    fields = metadata_from(front.fields)
    builder = TextBuilder(str(fields.pop("title", "")) or _title(page, content))
    render_html(content, builder)
    return builder.build(**{**_metadata(page), **fields})


def render_html(element: HtmlElement, builder: TextBuilder) -> None:
    """Add the blocks of `element` to `builder`, in order."""
    _HtmlRenderer(builder).element(element)


def _title(page: HtmlPage, content: HtmlElement) -> str:
    """Return the title without the site's name, or the heading that it contains."""
    titles = [one_line(title) for title in (page.title, page.meta.get("og:title", "")) if title.strip()]
    heading = content.find("h1") or page.body.find("h1")
    first_heading = one_line(heading.text()) if heading is not None else ""
    without_site = [SITE_SUFFIX.sub("", title) for title in titles]
    if first_heading and (not titles or any(first_heading.lower() in title.lower() for title in without_site)):
        return first_heading
    return without_site[0] if without_site else ""


def _metadata(page: HtmlPage) -> dict[str, str]:
    found = {
        "author": next((page.meta[name] for name in AUTHORS if page.meta.get(name)), "") or page.linked.author,
        "date": _iso_date(next((page.meta[name] for name in DATES if page.meta.get(name)), ""))
        or _iso_date(page.linked.date),
        "language": page.language.split("-")[0].strip().lower(),
        "url": page.canonical,
    }
    return {key: one_line(value) for key, value in found.items() if value}


def _iso_date(text: str) -> str:
    """Return `text` if it begins with an ISO 8601 date, which filters need."""
    return text.strip() if re.match(r"\d{4}-\d{2}-\d{2}", text.strip()) else ""


class _HtmlRenderer:
    """Collects running text until a block ends."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._running: list[str] = []
        self._in_list = False

    def element(self, element: HtmlElement) -> None:
        """Render a block and all elements below it."""
        self._inline(element)
        self._flush()

    def _child(self, child: HtmlElement) -> None:
        if child.tag in HEADINGS:
            self._flush()
            self._builder.heading(HEADINGS[child.tag], child.text())
        elif child.tag == "pre":
            self._flush()
            self._builder.block(child.text())
        elif child.tag == "table" and _is_data_table(child):
            self._flush()
            self._builder.rows(_table_rows(child))
        elif child.tag == "br":
            self._running.append("\n")
        elif child.tag == "li":
            self._flush()
            self._item(child)
        elif child.is_block:
            self._flush()
            self.element(child)
        elif child.tag == "label":  # of tabs, one beside the other
            self._running.append(" ")
            self._inline(child)
            self._running.append(" ")
        elif child.attributes.get("epub:type") == "noteref" or child.attributes.get("role") == "doc-noteref":
            return  # the number of a note would join the word before it
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


def _is_data_table(table: HtmlElement) -> bool:
    """Check whether a table shows data instead of laying out the page."""
    cells = [cell for row in _own_rows(table) for cell in row.children if isinstance(cell, HtmlElement)]
    if any(len(cell.text()) > LONG_CELL for cell in cells):
        return False
    has_titles = any(cell.tag == "th" for cell in cells)  # a layout table has no titles above its columns
    layout_tags = ("pre", "form") if has_titles else ("pre", "form", "table")
    return not any(
        element.tag in layout_tags or element.tag in HEADINGS for element in table.elements() if element is not table
    )


def _table_rows(table: HtmlElement) -> Iterator[list[str]]:
    for row in _own_rows(table):
        if row.tag == "caption":
            yield [row.text()]
        else:
            yield [cell.text() for cell in row.children if isinstance(cell, HtmlElement)]


def _own_rows(element: HtmlElement) -> Iterator[HtmlElement]:
    """Yield caption and rows of a table, without those of tables in its cells."""
    for child in element.children:
        if isinstance(child, HtmlElement):
            if child.tag in ("tr", "caption"):
                yield child
            elif child.tag != "table":
                yield from _own_rows(child)
