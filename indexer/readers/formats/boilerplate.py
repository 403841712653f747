"""A page without its menus, footers, banners and link lists."""

from __future__ import annotations

import re
from dataclasses import dataclass

from indexer.readers.formats.html_tree import HtmlElement

NAMES = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation|box)?|menu\w*|breadcrumbs?|footer|sidebar|side-bar|cookies?\w*|consent|banner|masthead"
    r"|share|sharing|social\w*|related\w*|recommend\w*|advert\w*|ads?|promo\w*|sponsor\w*|newsletter|subscribe|signup"
    r"|comments?|comment-list|disqus\w*|pagination|pager|toc|table-of-contents|skip-?(?:link|nav|to-content)|login|popup"
    r"|modal|widget|toolbar|mw-editsection|mw-jump-link|reference|reflist|noprint|catlinks|printfooter|metadata"
    r"|visually-hidden|sr-only|screen-reader-text)(?:$|[\s_-])",
    re.IGNORECASE,
)
ROLES = frozenset(
    ("navigation", "banner", "contentinfo", "search", "complementary", "dialog", "menu", "menubar", "alert")
)
ANCHORS = frozenset(("#", "¶", "§", "🔗", "\uf0c1"))  # links of headings to themselves
TAGS = frozenset(("nav", "footer", "aside", "menu"))
KEPT = frozenset(("html", "body", "main", "article", "pre", "code", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong"))
LISTS = frozenset(("ul", "ol", "dl", "div", "section", "table", "tr", "td", "p", "center", "span"))
LARGE_SHARE = 0.4  # of the page's text: nothing that holds so much is taken for a menu by its name
LINKS = 4  # a link list has at least so many links
LINK_SHARE = 0.7  # and so much of its text in them
LEAST_MAIN_SHARE = 0.25
LEAST_LEFT_SHARE = 0.1
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


@dataclass(slots=True)
class Measure:
    """Characters of an element's text, of that in links, and how many links."""

    text: int = 0
    linked: int = 0
    links: int = 0


def main_content(body: HtmlElement) -> HtmlElement:
    """The part of the page that is its own, without boilerplate; all of it where that would leave next to nothing."""
    everything = _length(body)
    cleaned = _cleaned(body, everything)
    chosen = _main(cleaned)
    pruned = _pruned(chosen)
    for candidate in (pruned, chosen, cleaned):
        if _length(candidate) >= max(1, LEAST_LEFT_SHARE * everything):
            return candidate
    return body


def _length(element: HtmlElement) -> int:
    return len(element.text().strip())


def _cleaned(element: HtmlElement, everything: int) -> HtmlElement:
    """A copy without what its tag, role or name gives away."""
    kept: list[HtmlElement | str] = []
    for child in element.children:
        if isinstance(child, str):
            kept.append(child)
        elif not _is_boilerplate(child, element, everything):
            kept.append(_cleaned(child, everything))
    return HtmlElement(element.tag, element.attributes, kept)


def _is_boilerplate(element: HtmlElement, parent: HtmlElement, everything: int) -> bool:
    attributes = element.attributes
    if element.tag == "a" and element.text().strip() in ANCHORS:
        return True
    if "hidden" in attributes or HIDDEN.search(attributes.get("style", "")):
        return True
    if element.tag in TAGS or attributes.get("role", "").lower() in ROLES:
        return _length(element) < LARGE_SHARE * everything
    if element.tag == "header" and parent.tag not in ("article", "section"):
        return element.find("h1") is None
    if element.tag in KEPT:
        return False
    names = f"{attributes.get('class', '')} {attributes.get('id', '')}"
    if names == " " or not NAMES.search(names):
        return False
    return element.find("h1") is None and _length(element) < LARGE_SHARE * everything


def _main(body: HtmlElement) -> HtmlElement:
    """The element that says it is the main one, or the only article, if it holds a fair part of the text."""
    everything = _length(body)
    marked = [each for each in body.elements() if each.tag == "main" or each.attributes.get("role") == "main"]
    articles = [each for each in body.elements() if each.tag == "article"]
    for candidates in (marked, articles):
        if len(candidates) == 1 and _length(candidates[0]) >= LEAST_MAIN_SHARE * everything:
            return candidates[0]
    return body


def _pruned(element: HtmlElement) -> HtmlElement:
    """A copy without lists that are nearly all links."""
    return _prune(element).element


@dataclass(slots=True)
class Pruned:
    """A pruned copy and its measure."""

    element: HtmlElement
    measure: Measure


def _prune(element: HtmlElement) -> Pruned:
    measure = Measure()
    kept: list[HtmlElement | str] = []
    for child in element.children:
        if isinstance(child, str):
            measure.text += len(child.strip())
            kept.append(child)
            continue
        pruned = _prune(child)
        inner = pruned.measure
        if child.tag in LISTS and inner.links >= LINKS and inner.linked > LINK_SHARE * inner.text:
            continue
        kept.append(pruned.element)
        measure.text += inner.text
        measure.linked += inner.linked
        measure.links += inner.links
    if element.tag == "a" and "href" in element.attributes:
        measure = Measure(measure.text, measure.text, 1)
    return Pruned(HtmlElement(element.tag, element.attributes, kept), measure)
