"""Remove menus, banners, prompts and lists of links from an HTML page.

No element is removed for its name alone, since programs make names from headings: a chapter "Comments" may have the id
`comments`. A name counts only beside other evidence: the element consists of links, asks for input, or is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from indexer.readers.formats.html_tree import (
    CONTROL_TAGS,
    HEADINGS,
    OPENING_ATTRIBUTES,
    QUESTION_MARKS,
    HtmlElement,
    is_hidden,
)

LIST_NAMES = frozenset(
    """
    nav navbar navigation navbox menu menus breadcrumb breadcrumbs footer sidebar banner masthead share sharing social
    related recommended recommendations advert advertisement advertising ad ads promo sponsor sponsored toc
    contents pagination pager skip toolbar widget catlinks printfooter tags
    """.split()  # noqa: SIM905 -- thirty quoted words would be harder to read
)
PROMPT_NAMES = frozenset(
    "cookie cookies consent gdpr newsletter subscribe subscription signup login popup modal search respond".split()  # noqa: SIM905
)
NOTICE_NAMES = frozenset("alert error message loading noscript nojs toast overlay tooltip template dialog".split())  # noqa: SIM905
ANSWER_NAMES = frozenset("answer faq accordion panel collapse collapsed collapsible spoiler tab".split())  # noqa: SIM905
READER_CLASSES = frozenset(("visually-hidden", "visuallyhidden", "sr-only", "screen-reader-text"))
TOOL_CLASSES = frozenset(  # of parts beside the text, as MediaWiki, Docusaurus, MkDocs and Sphinx name them
    """
    mw-editsection mw-jump-link theme-edit-this-page theme-last-updated theme-doc-toc-desktop theme-doc-toc-mobile
    md-content__button md-source-file md-skip headerlink hash-link edit-this-page prev-next-area
    """.split()  # noqa: SIM905 -- a dozen quoted words would be harder to read
)
BOILERPLATE_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "dialog", "menu", "menubar"))
BOILERPLATE_TAGS = frozenset(("nav", "menu"))
CONTENT_TAGS = frozenset(("article", "pre", "code", *HEADINGS, "em", "strong", "span", "p", "a", "sup"))
TEXT_PARENTS = frozenset(("main", "article", "blockquote"))
LIST_TAGS = frozenset(("ul", "ol", "dl", "div", "section", "table", "tr", "td", "p", "center", "span"))
EDGE_TAGS = frozenset(("header", "footer", "aside"))
QUESTION_TAGS = frozenset((*HEADINGS, "dt", "summary", "button", "label", "legend"))
ANCHORS = frozenset(("#", "¶", "§", "🔗", "\uf0c1"))  # texts of links from headings to themselves
NOTE_NUMBER = re.compile(r"\[?\s*(?:\d{1,3}|[a-z]|[*†‡])\s*\]?$")
NAME_WORD = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+")
WORD = re.compile(r"\w+")
WIDE_LETTER = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")  # of scripts without spaces
LARGE_SHARE = 0.4  # of the page's text; an element with a larger share is content despite its evidence
MIN_LINKS = 4  # a link list has at least this number of links
LINK_SHARE = 0.7  # of a link list's text that its links hold
NAMED_LINKS = 2  # of a link list whose name says so
NAMED_LINK_SHARE = 0.5
MAX_LIST_TEXT = 60  # characters between two links of a named list
MAX_PROMPT_CHARACTERS = 600
MAX_TITLED_PROMPT_CHARACTERS = 150  # under a heading that has the same name, as a chapter has
MAX_READER_WORDS = 6  # of a hint for screen readers
MIN_HIDDEN_WORDS = 8  # of hidden text without a question before it
MAX_QUESTION_CHARACTERS = 300
MIN_LEAD_CHARACTERS = 120  # of a paragraph in the header of a page
MIN_MAIN_SHARE = 0.25  # of the page's text that the main element holds
MIN_BESIDE_SHARE = 0.1  # of the page's text that an element beside the main one holds, to be kept with it
MIN_KEPT_SHARE = 0.1  # of the page's text that stays after cleaning


def main_content(body: HtmlElement) -> HtmlElement:
    """Return the page without boilerplate, or all of it if too little text stays."""
    evidence = _Evidence.of(body)
    has_main = any(map(_is_text_parent, body.elements()))
    cleaned = _Cleaner(evidence[id(body)].characters, evidence, has_main).clean(body, in_text=False)
    main = _main_element(cleaned)
    pruned = _prune_link_lists(main).element
    for candidate in (pruned, main, cleaned):
        if _text_length(candidate) >= max(1, MIN_KEPT_SHARE * evidence[id(body)].characters):
            return candidate
    return body


def _text_length(element: HtmlElement) -> int:
    return len(element.text().strip())


@dataclass(slots=True)
class _Evidence:
    """Counts of an element and all elements below it."""

    characters: int = 0
    link_characters: int = 0  # of links and buttons
    links: int = 0
    longest: int = 0  # characters of the longest text outside links
    controls: int = 0
    inputs: int = 0  # fields to type into
    has_title: bool = False
    has_code: bool = False
    heading: str = ""  # the first one

    @classmethod
    def of(cls, root: HtmlElement) -> dict[int, _Evidence]:
        """Return the evidence of every element by its identity."""
        found: dict[int, _Evidence] = {}
        cls._collect(root, found)
        return found

    @classmethod
    def _collect(cls, element: HtmlElement, found: dict[int, _Evidence]) -> _Evidence:
        own = found[id(element)] = cls(
            controls=element.tag in CONTROL_TAGS,
            inputs=element.tag == "textarea" or (element.tag == "input" and _is_typed(element)),
            has_title=element.tag == "h1",
            has_code=element.tag in ("pre", "table"),
            heading=element.text() if element.tag in HEADINGS else "",
        )
        for child in element.children:
            if isinstance(child, str):
                length = len(" ".join(child.split()))
                own.characters += length
                own.longest = max(own.longest, length)
            else:
                own._add(cls._collect(child, found))
        if is_link(element) or element.tag == "button":
            own.link_characters, own.links, own.longest = own.characters, 1, 0
        return own

    def _add(self, inner: _Evidence) -> None:
        self.characters += inner.characters
        self.link_characters += inner.link_characters
        self.links += inner.links
        self.longest = max(self.longest, inner.longest)
        self.controls += inner.controls
        self.inputs += inner.inputs
        self.has_title = self.has_title or inner.has_title
        self.has_code = self.has_code or inner.has_code
        self.heading = self.heading or inner.heading

    def is_list(self, min_links: int, share: float) -> bool:
        """Check whether the text consists of links."""
        return self.links >= min_links and self.link_characters > share * self.characters


def _is_typed(element: HtmlElement) -> bool:
    kind = element.attributes.get("type", "").lower()
    return kind not in ("hidden", "checkbox", "radio", "button", "submit", "image", "reset", "range", "color")


def is_link(element: HtmlElement) -> bool:
    """Check for a link to another place. A link that opens an answer is a question."""
    attributes = element.attributes
    opens = attributes.get("href", "").startswith("#") and OPENING_ATTRIBUTES & attributes.keys()
    return element.tag == "a" and "href" in attributes and not opens


@dataclass(frozen=True, slots=True)
class _Cleaner:
    """Copies a page without its boilerplate."""

    page_length: int
    evidence: dict[int, _Evidence]
    has_main: bool  # or an article

    def clean(self, element: HtmlElement, *, in_text: bool) -> HtmlElement:
        """Return a copy; `in_text`: inside the main element, an article or a quotation."""
        in_text = in_text or _is_text_parent(element)
        kept: list[HtmlElement | str] = []
        before: HtmlElement | None = None
        for child in element.children:
            if isinstance(child, str):
                kept.append(child)
                continue
            if not self._is_boilerplate(child, element, before, in_text=in_text):
                kept.append(self.clean(child, in_text=in_text))
            before = child
        return HtmlElement(element.tag, element.attributes, kept)

    def _is_boilerplate(
        self, element: HtmlElement, parent: HtmlElement, before: HtmlElement | None, *, in_text: bool
    ) -> bool:
        if _is_mark(element):
            return True
        found = self.evidence[id(element)]
        if is_hidden(element.attributes):
            return not self._is_answer(element, before)
        if found.has_title or element.tag == "main" or found.characters >= LARGE_SHARE * self.page_length:
            return False
        if element.tag in BOILERPLATE_TAGS or element.attributes.get("role", "").lower() in BOILERPLATE_ROLES:
            return True
        is_list = found.is_list(NAMED_LINKS, NAMED_LINK_SHARE)
        if element.tag in EDGE_TAGS or element.attributes.get("role") == "complementary":
            if in_text or (parent.tag == "section" and element.tag != "footer"):
                return is_list
            if element.tag == "header":
                return found.longest < MIN_LEAD_CHARACTERS
            return is_list or self.has_main or element.tag == "footer"
        return self._is_named_boilerplate(element, found, in_text=in_text)

    def _is_named_boilerplate(self, element: HtmlElement, found: _Evidence, *, in_text: bool) -> bool:
        """Check for a name of boilerplate, and for links or fields that confirm it."""
        classes = set(element.attributes.get("class", "").split())
        if classes & TOOL_CLASSES:
            return True
        if classes & READER_CLASSES:
            return len(WORD.findall(element.text())) <= MAX_READER_WORDS
        if element.tag in CONTENT_TAGS:
            return False
        names = set(_name_words(element)) & (LIST_NAMES | PROMPT_NAMES)
        is_from_heading = names <= set(map(str.lower, WORD.findall(found.heading)))
        if names & PROMPT_NAMES and not found.has_code and found.characters <= MAX_PROMPT_CHARACTERS:
            if is_from_heading:
                return found.inputs > 0 and found.characters <= MAX_TITLED_PROMPT_CHARACTERS
            return found.inputs > 0 or (found.controls > 0 and not in_text)
        if is_from_heading:  # so is an element without such a name
            return False
        return found.is_list(NAMED_LINKS, NAMED_LINK_SHARE) and found.longest < MAX_LIST_TEXT

    def _is_answer(self, element: HtmlElement, before: HtmlElement | None) -> bool:
        """Check whether a hidden element is text that the reader can open."""
        found = self.evidence[id(element)]
        if found.has_title and found.characters >= LARGE_SHARE * self.page_length:
            return True  # a script shows the page when it is complete
        if found.is_list(NAMED_LINKS, NAMED_LINK_SHARE) or found.inputs:
            return False
        if element.attributes.get("role") == "tabpanel" or (before is not None and self._is_question(before)):
            return True
        names = set(_name_words(element))
        if names & (LIST_NAMES | PROMPT_NAMES | NOTICE_NAMES) or element.attributes.get("role"):
            return False
        if names & ANSWER_NAMES or "itemprop" in element.attributes:
            return True
        text = element.text()
        return len(WORD.findall(text)) + len(WIDE_LETTER.findall(text)) >= MIN_HIDDEN_WORDS

    def _is_question(self, element: HtmlElement) -> bool:
        """Check whether an element may open the hidden one after it."""
        if self.evidence[id(element)].characters > MAX_QUESTION_CHARACTERS:
            return False
        return element.text().strip().endswith(QUESTION_MARKS) or any(
            each.tag in QUESTION_TAGS or "aria-expanded" in each.attributes or "onclick" in each.attributes
            for each in element.elements()
        )


def _is_text_parent(element: HtmlElement) -> bool:
    return element.tag in TEXT_PARENTS or element.attributes.get("role") == "main"


def _name_words(element: HtmlElement) -> Iterator[str]:
    for name in ("class", "id"):
        yield from map(str.lower, NAME_WORD.findall(element.attributes.get(name, "")))


def _is_mark(element: HtmlElement) -> bool:
    """Check for the number of a note, the anchor of a heading, or a link past a menu."""
    if element.tag not in ("a", "sup"):
        return False
    text = element.text().strip()
    link, raised = element.find("a"), element.find("sup")
    target = link.attributes.get("href", "") if link is not None else ""
    if raised is not None:
        return "#" in target and bool(NOTE_NUMBER.match(text))
    return text in ANCHORS or (target.startswith("#") and "skip" in _name_words(element))


def _main_element(body: HtmlElement) -> HtmlElement:
    """Return the main element if it is large, and large texts beside it; else `body`."""
    page_length = _text_length(body)
    mains = [
        element for element in body.elements() if element.tag == "main" or element.attributes.get("role") == "main"
    ]
    if len(mains) == 1 and _text_length(mains[0]) >= MIN_MAIN_SHARE * page_length:
        least = max(MIN_LEAD_CHARACTERS, round(MIN_BESIDE_SHARE * page_length))
        return _with_texts_beside(body, mains[0], _Evidence.of(body), least) or body
    return body


def _with_texts_beside(
    element: HtmlElement, main: HtmlElement, evidence: dict[int, _Evidence], least: int
) -> HtmlElement | None:
    """Return `main` with large texts beside it in `element`; None if it is elsewhere.

    A large text has a paragraph, and at least so many characters outside links.
    """
    if element is main:
        return main
    holder, kept = None, list[HtmlElement | str]()
    for child in element.children:
        if isinstance(child, str):
            continue
        found = _with_texts_beside(child, main, evidence, least)
        own = evidence[id(child)]
        if found is not None:
            holder = found
            kept.append(found)
        elif own.characters - own.link_characters >= least and own.longest >= MIN_LEAD_CHARACTERS:
            kept.append(child)
    if holder is None or len(kept) == 1:
        return holder
    return HtmlElement(element.tag, element.attributes, kept)


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
    if is_link(element):
        pruned.link_characters, pruned.links = pruned.characters, 1
    return pruned
