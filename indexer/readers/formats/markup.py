"""HTML as a small tree, whatever the page's own parser trouble: what the cleaner and the renderer work on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from indexer.readers.sources.linked import LinkedData, linked_data
from retrieval.errors import BadDocument

DEEPEST = 150  # elements further down are hung up at this depth, which changes no text
MOST_OPEN = 4_000  # a parser's work grows with the square of the nesting
NESTING = re.compile(r"<(/?)(?:div|span|table|section|article|blockquote|ul|ol|font|b|i|em|strong|center|a)\b", re.I)
XHTML = re.compile(r"<\?xml\s|http://www\.w3\.org/1999/xhtml")
XHTML_CHARACTERS = 2_048
# In XHTML any element may be closed at once; HTML takes such a one for open, and all that follows <title/> for a title.
CLOSED_AT_ONCE = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)[\s/])([A-Za-z][\w:-]*+)"
    r"(\s[^<>]*?|)/>"
)
UNSEEN = frozenset(("script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "audio", "video"))
CONTROLS = frozenset(("button", "select", "input", "textarea", "datalist", "dialog", "map", "progress"))


@dataclass(slots=True)
class Element:
    """An element: its children are elements and texts, in order."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def elements(self) -> Iterator[Element]:
        """This element and all below it, parents first."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.elements()

    def text(self) -> str:
        """All text below."""
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def find(self, *tags: str) -> Element | None:
        """The first element with one of these tags."""
        return next((each for each in self.elements() if each.tag in tags), None)


@dataclass(frozen=True, slots=True)
class Page:
    """A parsed page."""

    body: Element
    title: str
    language: str
    meta: dict[str, str]  # of <meta> elements, names in lower case; the first of each name
    canonical: str
    linked: LinkedData


def parse_page(html: str) -> Page:
    """The page; raises BadDocument for one that is nested beyond all sense."""
    from selectolax.lexbor import LexborHTMLParser

    if XHTML.search(html[:XHTML_CHARACTERS]):
        html = CLOSED_AT_ONCE.sub(r"<\1\2></\1>", html)
    _check_nesting(html)
    tree = LexborHTMLParser(html)
    meta: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        name = (node.attributes.get("name") or node.attributes.get("property") or "").lower()
        meta.setdefault(name, node.attributes.get("content") or "")
    title = tree.css_first("title")
    canonical = tree.css_first("link[rel=canonical]")
    root = tree.root
    return Page(
        body=_copied(tree.body) if tree.body is not None else Element("body", {}),
        title=title.text() if title is not None else "",
        language=(root.attributes.get("lang") or root.attributes.get("xml:lang") or "") if root is not None else "",
        meta=meta,
        canonical=(canonical.attributes.get("href") or "") if canonical is not None else "",
        linked=linked_data(node.text() for node in tree.css('script[type="application/ld+json"]')),
    )


def _check_nesting(html: str) -> None:
    depth = 0
    for match in NESTING.finditer(html):
        depth = max(0, depth - 1) if match.group(1) else depth + 1
        if depth > MOST_OPEN:
            raise BadDocument(f"elements are nested more than {MOST_OPEN:,} deep")


def _copied(node: Any) -> Element:
    """The parser's tree as ours, without what is never shown.  No recursion: pages nest as they like."""
    root = Element(node.tag, {})
    waiting = [(node.child, root, 1)]
    while waiting:
        current, parent, depth = waiting.pop()
        while current is not None:
            if current.is_text_node:
                parent.children.append(current.text_content or "")
            elif current.is_element_node and current.tag not in UNSEEN and current.tag not in CONTROLS:
                attributes = {key: value or "" for key, value in current.attributes.items()}
                element = Element(current.tag, attributes)
                parent.children.append(element)
                if current.child is not None:
                    waiting.append((current.next, parent, depth))
                    current, parent, depth = current.child, element if depth < DEEPEST else parent, depth + 1
                    continue
            current = current.next
    return root
