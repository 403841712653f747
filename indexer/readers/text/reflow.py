"""Lines of a printed page back to running text: paragraphs, words parted by hyphens, headers and footers gone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

HYPHEN = "\ufffe"  # what pdfium puts where a hyphen at a line's end was
PARTED = re.compile(rf"(?<=\w)(?:{HYPHEN}|[-\u00ad\u2010]\n)(?=(\w+))")
FIRST_HALF = re.compile(r"\w+$")
LONGEST_HALF = 40
WORD = re.compile(r"\w+(?:-\w+)*")
ENDS = re.compile(r"[.!?:;。！？：；؟۔…][\"'”’»)\]]*$")
BULLET = re.compile(r"^(?:[•◦▪‣·–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
PAGE_NUMBER = re.compile(
    r"^(?:page|p\.|seite|第)?\s*[-–—]?\s*(?:\d{1,4}|[ivxlc]{1,6})\s*[-–—]?\s*(?:(?:of|von|/|de)\s*\d+|页)?$", re.I
)
DIGITS = re.compile(r"\d+")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7ff\uff00-\uffef\u3000-\u30ff]")
EDGE_LINES = 2  # at a page's top and bottom, where headers and footers stand
LEAST_PAGES = 3
REPEATED_SHARE = 0.4
FULL_LINE = 0.75  # of a page's usual line: a shorter one ends there on purpose


def without_edges(pages: Sequence[str]) -> list[str]:
    """Pages without page numbers and without the lines that most pages begin or end with."""
    split = [_clean_lines(page) for page in pages]
    counts: Counter[str] = Counter()
    for lines in split:
        counts.update({_pattern(line) for line in lines[:EDGE_LINES] + lines[-EDGE_LINES:]})
    least = max(LEAST_PAGES, REPEATED_SHARE * len(pages) / 2)  # headers of left and right pages differ
    repeated = {pattern for pattern, count in counts.items() if count >= least}
    return ["\n".join(_body(lines, repeated)) for lines in split]


def _clean_lines(page: str) -> list[str]:
    """Lines that hold something; those of unmapped glyphs, which show as control characters, are left out."""
    lines = (line.strip() for line in page.replace("\r", "\n").split("\n"))
    return [line for line in lines if line and len(CONTROL.findall(line)) < 0.2 * len(line)]


def _pattern(line: str) -> str:
    return DIGITS.sub("#", line).casefold()


def _body(lines: list[str], repeated: set[str]) -> list[str]:
    low, high = 0, len(lines)
    while low < min(EDGE_LINES, high) and _is_edge(lines[low], repeated):
        low += 1
    while high > max(low, len(lines) - EDGE_LINES) and _is_edge(lines[high - 1], repeated):
        high -= 1
    return lines[low:high] or lines  # a page of nothing but such lines is a slide, not an edge


def _is_edge(line: str, repeated: set[str]) -> bool:
    return bool(PAGE_NUMBER.match(line)) or _pattern(line) in repeated


def vocabulary(pages: Sequence[str]) -> Counter[str]:
    """How often each word stands whole in the text, in lower case."""
    return Counter(word for page in pages for word in WORD.findall(page.casefold()))


def joined_words(text: str, words: Counter[str]) -> str:
    """`text` with words put together that a line's end has parted; `words` says which the document knows."""

    def joint(match: re.Match[str]) -> str:
        first = FIRST_HALF.search(text, max(0, match.start() - LONGEST_HALF), match.start())
        return "-" if first and _is_compound(first.group(), match.group(1), words) else ""

    return PARTED.sub(joint, text)


def has_parted_words(text: str) -> bool:
    """Whether `joined_words` has anything to do."""
    return PARTED.search(text) is not None


def _is_compound(first: str, second: str, words: Counter[str]) -> bool:
    """Whether the hyphen stays: the text shows the compound elsewhere, or knows both words but not the whole."""
    whole, compound = (first + second).casefold(), f"{first}-{second}".casefold()
    if words[compound] > words[whole]:
        return True
    known_halves = len(first) > 2 and len(second) > 2 and words[first.casefold()] > 1 and words[second.casefold()] > 1
    return not words[whole] and (known_halves or second[0].isupper() or second[0].isdigit())


def paragraphs(text: str) -> str:
    """Lines put together: a full line goes on in the next, a short one that ends a sentence ends its paragraph."""
    lines = text.split("\n")
    usual = sorted(len(line) for line in lines)[int(0.7 * (len(lines) - 1))] if lines else 0
    parts: list[str] = []
    for position, line in enumerate(lines):
        parts.append(line)
        if position + 1 < len(lines):
            parts.append(_joint(line, lines[position + 1], usual))
    return "".join(parts)


def _joint(line: str, following: str, usual: int) -> str:
    full = len(line) >= FULL_LINE * usual
    if BULLET.match(following):
        return "\n"
    if full:
        return "" if WIDE.match(line[-1:]) and WIDE.match(following[:1]) else " "
    return "\n\n" if ENDS.search(line) else "\n"
