"""Restore the running text of printed pages from their lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

HYPHEN = "\ufffe"  # pdfium puts this in place of a hyphen at the end of a line
SPLIT_WORD = re.compile(rf"(?<=\w)(?:{HYPHEN}|[-\u00ad\u2010]\n)(?=(\w+))")
FIRST_HALF = re.compile(r"\w+$")
MAX_HALF_CHARACTERS = 40
WORD = re.compile(r"\w+(?:-\w+)*+")
SENTENCE_END = re.compile(r"[.!?:;。！？：；؟۔…][\"'”’»)\]]*$")
BULLET = re.compile(r"^(?:[•◦▪‣·–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
PAGE_NUMBER = re.compile(
    r"^(?:page|p\.|seite|第)?\s*+(?:[-–—]\s*+)?(?:\d{1,4}|[ivxlc]{1,6})\s*+(?:[-–—]\s*+)?(?:(?:of|von|/|de)\s*+\d+|页)?$",
    re.I,
)
DIGITS = re.compile(r"\d+")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7ff\uff00-\uffef\u3000-\u30ff]")
EDGE_LINES = 2  # lines at the top and the bottom of a page that may be headers and footers
MIN_PAGES = 3
REPEATED_SHARE = 0.4
FULL_LINE = 0.75  # of the usual line length; a shorter line ends on purpose


def remove_repeated_edges(pages: Sequence[str]) -> list[str]:
    """Return the pages without page numbers, repeated headers and footers."""
    split = [_clean_lines(page) for page in pages]
    counts: Counter[str] = Counter()
    for lines in split:
        counts.update({_line_pattern(line) for line in lines[:EDGE_LINES] + lines[-EDGE_LINES:]})
    min_count = max(MIN_PAGES, REPEATED_SHARE * len(pages) / 2)  # left and right pages have different headers
    repeated = {pattern for pattern, count in counts.items() if count >= min_count}
    return ["\n".join(_without_edges(lines, repeated)) for lines in split]


def _clean_lines(page: str) -> list[str]:
    """Return lines with text, without unmapped glyphs (control characters)."""
    lines = (line.strip() for line in page.replace("\r", "\n").split("\n"))
    return [line for line in lines if line and len(CONTROL.findall(line)) < 0.2 * len(line)]


def _line_pattern(line: str) -> str:
    return DIGITS.sub("#", line).casefold()


def _without_edges(lines: list[str], repeated: set[str]) -> list[str]:
    start, end = 0, len(lines)
    while start < min(EDGE_LINES, end) and _is_edge(lines[start], repeated):
        start += 1
    while end > max(start, len(lines) - EDGE_LINES) and _is_edge(lines[end - 1], repeated):
        end -= 1
    return lines[start:end] or lines  # a page of such lines alone is a slide


def _is_edge(line: str, repeated: set[str]) -> bool:
    return bool(PAGE_NUMBER.match(line)) or _line_pattern(line) in repeated


def vocabulary(pages: Sequence[str]) -> Counter[str]:
    """Count the unsplit words of the text, in lower case."""
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update(WORD.findall(page.casefold()))
    return counts


def join_words(text: str, words: Counter[str]) -> str:
    """Return `text` with split words joined; `words` is its vocabulary."""

    def joint(match: re.Match[str]) -> str:
        first = FIRST_HALF.search(text, max(0, match.start() - MAX_HALF_CHARACTERS), match.start())
        return "-" if first and _is_compound(first.group(), match.group(1), words) else ""

    return SPLIT_WORD.sub(joint, text)


def has_split_words(text: str) -> bool:
    """Check whether `text` has a word that the end of a line splits."""
    return SPLIT_WORD.search(text) is not None


def _is_compound(first: str, second: str, words: Counter[str]) -> bool:
    """Check whether the text has the compound, or both words but not the whole."""
    whole, compound = (first + second).casefold(), f"{first}-{second}".casefold()
    if words[compound] > words[whole]:
        return True
    known_halves = len(first) > 2 and len(second) > 2 and words[first.casefold()] > 1 and words[second.casefold()] > 1
    return not words[whole] and (known_halves or second[0].isupper() or second[0].isdigit())


def join_paragraphs(text: str) -> str:
    """Join lines to paragraphs. A short line that ends a sentence ends its paragraph."""
    lines = text.split("\n")
    usual_length = sorted(len(line) for line in lines)[int(0.7 * (len(lines) - 1))] if lines else 0
    parts: list[str] = []
    for position, line in enumerate(lines):
        parts.append(line)
        if position + 1 < len(lines):
            parts.append(_joint(line, lines[position + 1], usual_length))
    return "".join(parts)


def _joint(line: str, following: str, usual_length: int) -> str:
    is_full = len(line) >= FULL_LINE * usual_length
    if BULLET.match(following):
        return "\n"
    if is_full:
        return "" if WIDE.match(line[-1:]) and WIDE.match(following[:1]) else " "
    return "\n\n" if SENTENCE_END.search(line) else "\n"
