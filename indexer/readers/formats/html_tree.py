"""Parse an HTML page into a small tree of elements, with the metadata of its head."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from retrieval.errors import BadDocument

MAX_DEPTH = 150  # deeper elements become children of the element at this depth, which changes no text
MAX_OPEN = 4_000  # the work of an HTML parser grows with the square of the nesting
NESTING = re.compile(r"<(/?)(?:div|span|table|section|article|blockquote|ul|ol|font|b|i|em|strong|center|a)\b", re.I)
XHTML = re.compile(r"<\?xml\s|http://www\.w3\.org/1999/xhtml")
XHTML_CHARACTERS = 2_048
# XHTML may close any element in its start tag. An HTML parser takes such an element for open: after <title/> it takes
# the whole page for the title.
SELF_CLOSED = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)[\s/])([A-Za-z][\w:-]*+)"
    r"(\s[^<>]*?|)/>"
)
BLOCK_TAGS = frozenset(
    """
    address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form
    header hgroup hr html li main nav ol p section summary table tbody td tfoot th thead tr ul caption
    button h1 h2 h3 h4 h5 h6 pre
    """.split()  # noqa: SIM905 -- forty quoted words would be harder to read
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
HIDDEN_TAGS = frozenset(
    "script style noscript template svg iframe object canvas audio video rt rtc rp".split()  # noqa: SIM905
)
CONTROL_TAGS = frozenset(("button", "select", "input", "textarea", "datalist", "dialog", "map", "progress"))
OPENING_ATTRIBUTES = frozenset(("aria-expanded", "aria-controls", "data-toggle", "data-bs-toggle"))
OPENING_CLASS = re.compile(r"accordion|collaps|expand|toggle|faq|question", re.IGNORECASE)
TITLE_TAGS = frozenset((*HEADINGS, "dt", "summary", "legend"))
TITLE_DEPTH = 3  # of a button in a title
QUESTION_MARKS = ("?", "？", "؟")
HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
MAX_NODES = 500  # of linked data
MAX_SCRIPT_CHARACTERS = 1 << 20
LINKED_DATES = ("datePublished", "dateCreated", "dateModified", "uploadDate")
PAGE_TYPES = ("Article", "Posting", "WebPage", "Report", "Book", "Recipe", "HowTo", "CreativeWork", "Dataset", "Object")


@dataclass(slots=True)
class HtmlElement:
    """An element. Its children are elements and texts, in order."""

    tag: str
    attributes: dict[str, str]
    children: list[HtmlElement | str] = field(default_factory=list)

    @property
    def is_block(self) -> bool:
        """True if this element begins a line; a control without text stands within one."""
        return self.tag in BLOCK_TAGS and (bool(self.children) or self.tag not in CONTROL_TAGS)

    def elements(self) -> Iterator[HtmlElement]:
        """Yield this element and all elements below it, parents first."""
        yield self
        for child in self.children:
            if isinstance(child, HtmlElement):
                yield from child.elements()

    def text(self) -> str:
        """Return all text below this element, with line ends around blocks."""
        parts: list[str] = []
        self._collect(parts)
        return "".join(parts)

    def _collect(self, parts: list[str]) -> None:
        for child in self.children:
            if isinstance(child, str):
                parts.append(child)
            elif child.tag == "br":
                parts.append("\n")
            elif child.is_block:
                _end_line(parts)
                child._collect(parts)
                _end_line(parts)
            else:
                child._collect(parts)

    def find(self, *tags: str) -> HtmlElement | None:
        """Return the first element with one of these tags."""
        return next((element for element in self.elements() if element.tag in tags), None)


def _end_line(parts: list[str]) -> None:
    if parts and not parts[-1].endswith("\n"):
        parts.append("\n")


@dataclass(frozen=True, slots=True)
class LinkedData:
    """Author and date in the linked data of a page; "" if missing."""

    author: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A parsed page."""

    body: HtmlElement
    title: str
    language: str
    meta: dict[str, str]  # contents of <meta> elements by name in lower case; the first of each name
    canonical: str
    linked: LinkedData


def parse_page(html: str) -> HtmlPage:
    """Parse a page. Raises BadDocument if its elements are nested too deeply."""
    from selectolax.lexbor import LexborHTMLParser

    if XHTML.search(html[:XHTML_CHARACTERS]):
        html = SELF_CLOSED.sub(r"<\1\2></\1>", html)
    _check_nesting(html)
    tree = LexborHTMLParser(html)
    meta: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        name = (node.attributes.get("name") or node.attributes.get("property") or "").lower()
        meta.setdefault(name, node.attributes.get("content") or "")
    title = tree.css_first("head > title, body > title")  # a picture inside the page has titles too
    canonical = tree.css_first("link[rel=canonical]")
    root = tree.root
    return HtmlPage(
        body=_copy_tree(tree.body) if tree.body is not None else HtmlElement("body", {}),
        title=title.text() if title is not None else "",
        language=(root.attributes.get("lang") or root.attributes.get("xml:lang") or "") if root is not None else "",
        meta=meta,
        canonical=(canonical.attributes.get("href") or "") if canonical is not None else "",
        linked=read_linked_data(node.text() for node in tree.css('script[type="application/ld+json"]')),
    )


def _check_nesting(html: str) -> None:
    depth = 0
    for match in NESTING.finditer(html):
        depth = max(0, depth - 1) if match.group(1) else depth + 1
        if depth > MAX_OPEN:
            raise BadDocument(f"elements are nested more than {MAX_OPEN:,} deep")


def _copy_tree(node: Any) -> HtmlElement:
    """Copy the visible elements in a loop, since nesting has no bound."""
    root = HtmlElement(node.tag, {})
    stack = [(node.child, root, 1)]
    while stack:
        current, parent, depth = stack.pop()
        while current is not None:
            if current.is_text_node:
                parent.children.append(current.text_content or "")
            elif current.is_element_node and current.tag not in HIDDEN_TAGS:
                attributes = {key: value or "" for key, value in current.attributes.items()}
                element = HtmlElement(current.tag, attributes)
                parent.children.append(element)
                if current.child is not None and (current.tag not in CONTROL_TAGS or _opens_text(current)):
                    stack.append((current.next, parent, depth))
                    current, parent, depth = current.child, element if depth < MAX_DEPTH else parent, depth + 1
                    continue
            current = current.next
    return root


def _opens_text(node: Any) -> bool:
    """Check for a button that opens a text, such as the answer to a question."""
    if node.tag != "button":
        return False
    attributes = node.attributes
    if OPENING_ATTRIBUTES & attributes.keys() or OPENING_CLASS.search(attributes.get("class") or ""):
        return True
    if attributes.get("role") == "tab" or (node.text() or "").strip().endswith(QUESTION_MARKS):
        return True
    above = node
    for _ in range(TITLE_DEPTH):
        if above is not None:
            if above.tag in TITLE_TAGS or _is_before_hidden(above):
                return True
            above = above.parent
    return False


def _is_before_hidden(node: Any) -> bool:
    """Check whether the next element is hidden."""
    after = node.next
    while after is not None and not after.is_element_node:
        after = after.next
    return after is not None and is_hidden(after.attributes)


def is_hidden(attributes: Mapping[str, str | None]) -> bool:
    """Check whether a page hides an element with these attributes, also from search."""
    is_closed = "hidden" in attributes and (attributes["hidden"] or "").lower() != "until-found"
    return is_closed or bool(HIDDEN_STYLE.search(attributes.get("style") or ""))


def read_linked_data(scripts: Iterable[str]) -> LinkedData:
    """Return the first author and date in schema.org descriptions (JSON-LD)."""
    author = date = ""
    for script in scripts:
        for node in _json_objects(_load_script(script)):
            if any(str(kind).endswith(PAGE_TYPES) for kind in _as_list(node.get("@type"))):
                author = author or ", ".join(filter(None, map(_author_name, _as_list(node.get("author")))))
                date = date or next((node[name] for name in LINKED_DATES if isinstance(node.get(name), str)), "")
    return LinkedData(author, date)


def _load_script(script: str) -> Any:
    try:
        return json.loads(script) if len(script) < MAX_SCRIPT_CHARACTERS else None
    except (ValueError, RecursionError):
        return None  # linked data of real pages is often broken


def _json_objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects at the top level, in lists and in `@graph`."""
    stack = [value]
    for _ in range(MAX_NODES):
        if not stack:
            return
        current = stack.pop()
        if isinstance(current, list):
            stack.extend(reversed(current[:MAX_NODES]))
        elif isinstance(current, dict):
            yield current
            stack.append(current.get("@graph"))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _author_name(author: Any) -> str:
    found = author.get("name") if isinstance(author, dict) else author
    return found if isinstance(found, str) and not found.startswith("http") else ""
