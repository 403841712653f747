"""HTML pages: remove boilerplate, render the text, read the metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.front_matter import split_front_matter
from indexer.readers.formats.html_tree import HtmlElement, HtmlPage, parse_page
from indexer.readers.formats.records import metadata_from
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line

BLOCK_TAGS = frozenset(
    """
    address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form
    header hgroup hr html li main nav ol p section summary table tbody td tfoot th thead tr ul caption
    """.split()  # noqa: SIM905 -- forty quoted words would be harder to read
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
LONG_CELL = 400  # characters; a table with a longer cell lays out the page
SITE_SUFFIX = re.compile(r"\s+[|·•–—-]\s+[^|·•–—]{2,40}$")
SPACE = re.compile(r"\s+")
EMPTY_LINE = re.compile(r"\n[ \n]*\n")
AUTHORS = ("author", "article:author", "dc.creator", "citation_author", "parsely-author")
DATES = ("article:published_time", "date", "dc.date", "citation_publication_date", "publish-date", "last-modified")

# Names of classes and ids of boilerplate.
BOILERPLATE_NAMES = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation|box)?|menu\w*|breadcrumbs?|footer|sidebar|side-bar|cookies?\w*|consent|banner|masthead"
    r"|share|sharing|social\w*|related\w*|recommend\w*|advert\w*|ads?|promo\w*|sponsor\w*|newsletter|subscribe|signup"
    r"|comments?|comment-list|disqus\w*|pagination|pager|toc|table-of-contents|skip-?(?:link|nav|to-content)|login|popup"
    r"|modal|widget|toolbar|mw-editsection|mw-jump-link|reference|reflist|noprint|catlinks|printfooter|metadata"
    r"|visually-hidden|sr-only|screen-reader-text)(?:$|[\s_-])",
    re.IGNORECASE,
)
BOILERPLATE_ROLES = frozenset(
    ("navigation", "banner", "contentinfo", "search", "complementary", "dialog", "menu", "menubar", "alert")
)
BOILERPLATE_TAGS = frozenset(("nav", "footer", "aside", "menu"))
CONTENT_TAGS = frozenset(
    ("html", "body", "main", "article", "pre", "code", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong")
)
LIST_TAGS = frozenset(("ul", "ol", "dl", "div", "section", "table", "tr", "td", "p", "center", "span"))
ANCHORS = frozenset(("#", "¶", "§", "🔗", "\uf0c1"))  # texts of links from headings to themselves
HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
LARGE_SHARE = 0.4  # of the page's text; an element with a larger share is content despite its name
MIN_LINKS = 4  # a link list has at least this number of links
LINK_SHARE = 0.7  # of a link list's text that its links hold
MIN_MAIN_SHARE = 0.25  # of the page's text that the main element holds
MIN_KEPT_SHARE = 0.1  # of the page's text that stays after cleaning


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
        elif child.tag in BLOCK_TAGS:
            self._flush()
            self.element(child)
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
            yield [_cell_text(cell) for cell in row.children if isinstance(cell, HtmlElement)]


def _own_rows(element: HtmlElement) -> Iterator[HtmlElement]:
    """Yield caption and rows of a table, without those of tables in its cells."""
    for child in element.children:
        if isinstance(child, HtmlElement):
            if child.tag in ("tr", "caption"):
                yield child
            elif child.tag != "table":
                yield from _own_rows(child)


def _cell_text(cell: HtmlElement) -> str:
    """Return the text of a cell, with spaces between its blocks."""
    return " ".join(child if isinstance(child, str) else _cell_text(child) for child in cell.children)


def main_content(body: HtmlElement) -> HtmlElement:
    """Return the page without boilerplate, or all of it if too little text stays."""
    page_length = _text_length(body)
    cleaned = _remove_boilerplate(body, page_length)
    main = _main_element(cleaned)
    pruned = _prune_link_lists(main).element
    for candidate in (pruned, main, cleaned):
        if _text_length(candidate) >= max(1, MIN_KEPT_SHARE * page_length):
            return candidate
    return body


def _text_length(element: HtmlElement) -> int:
    return len(element.text().strip())


def _remove_boilerplate(element: HtmlElement, page_length: int) -> HtmlElement:
    """Return a copy without the elements whose tag, role or name marks boilerplate."""
    kept: list[HtmlElement | str] = []
    for child in element.children:
        if isinstance(child, str):
            kept.append(child)
        elif not _is_boilerplate(child, element, page_length):
            kept.append(_remove_boilerplate(child, page_length))
    return HtmlElement(element.tag, element.attributes, kept)


def _is_boilerplate(element: HtmlElement, parent: HtmlElement, page_length: int) -> bool:
    attributes = element.attributes
    if element.tag == "a" and element.text().strip() in ANCHORS:
        return True
    if "hidden" in attributes or HIDDEN_STYLE.search(attributes.get("style", "")):
        return True
    if element.tag in BOILERPLATE_TAGS or attributes.get("role", "").lower() in BOILERPLATE_ROLES:
        return _text_length(element) < LARGE_SHARE * page_length
    if element.tag == "header" and parent.tag not in ("article", "section"):
        return element.find("h1") is None
    if element.tag in CONTENT_TAGS:
        return False
    names = f"{attributes.get('class', '')} {attributes.get('id', '')}"
    if names == " " or not BOILERPLATE_NAMES.search(names):
        return False
    return element.find("h1") is None and _text_length(element) < LARGE_SHARE * page_length


def _main_element(body: HtmlElement) -> HtmlElement:
    """Return the main element or only article if it is large, else `body`."""
    page_length = _text_length(body)
    elements = list(body.elements())
    mains = [element for element in elements if element.tag == "main" or element.attributes.get("role") == "main"]
    articles = [element for element in elements if element.tag == "article"]
    for candidates in (mains, articles):
        if len(candidates) == 1 and _text_length(candidates[0]) >= MIN_MAIN_SHARE * page_length:
            return candidates[0]
    return body


@dataclass(slots=True)
class _PrunedElement:
    """A copy of an element without link lists, and its counts."""

    element: HtmlElement
    characters: int = 0
    link_characters: int = 0
    links: int = 0


def _prune_link_lists(element: HtmlElement) -> _PrunedElement:
    pruned = _PrunedElement(HtmlElement(element.tag, element.attributes))
    for child in element.children:
        if isinstance(child, str):
            pruned.characters += len(child.strip())
            pruned.element.children.append(child)
            continue
        inner = _prune_link_lists(child)
        is_link_list = inner.links >= MIN_LINKS and inner.link_characters > LINK_SHARE * inner.characters
        if child.tag in LIST_TAGS and is_link_list:
            continue
        pruned.element.children.append(inner.element)
        pruned.characters += inner.characters
        pruned.link_characters += inner.link_characters
        pruned.links += inner.links
    if element.tag == "a" and "href" in element.attributes:
        pruned.link_characters, pruned.links = pruned.characters, 1
    return pruned
