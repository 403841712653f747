"""The body of a mail: the parts that hold its text, and the best of alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import InvalidBase64LengthDefect
from email.message import EmailMessage

from indexer.readers.formats.calendar_file import calendar_entries
from indexer.readers.formats.html import render_html
from indexer.readers.formats.html_tree import parse_page
from indexer.readers.formats.mail_bytes import cut_base64, lossy_text
from indexer.readers.text.text_builder import TextBuilder

MAX_PARTS = 200
MAX_PART_DEPTH = 20
WORD = re.compile(r"\w+")
SAMPLE_CHARACTERS = 100_000  # of each alternative that is compared
FEWER_WORDS = 2  # HTML has so many words for one of the plain text, and then it tells more
SHORT_WORDS = 10  # the least number of words that HTML has more
SHARED_WORDS = 0.5  # of the words of the plain text; a notice about HTML mails shares fewer


def bodies(part: EmailMessage, depth: int = 0) -> Iterator[EmailMessage]:
    """Yield the parts of the body; of alternatives, the one that tells the most."""
    payload = part.get_payload()
    children = [child for child in payload if isinstance(child, EmailMessage)] if isinstance(payload, list) else []
    if part.get_content_maintype() == "text" or is_unsplit(part):
        if not is_file(part):
            yield part
    elif part.get_content_maintype() == "multipart" and depth < MAX_PART_DEPTH:
        found = [list(bodies(child, depth + 1)) for child in children[:MAX_PARTS]]
        if part.get_content_subtype() == "alternative":
            yield from _best_alternative(found)
        elif part.get_content_subtype() == "related":
            yield from _root(part, children, found)
        else:
            for each in found:
                yield from each


def is_unsplit(part: EmailMessage) -> bool:
    """Check whether this part should have parts and the parser found none."""
    return part.get_content_maintype() == "multipart" and isinstance(part.get_payload(), str)


def is_too_deep(part: EmailMessage, depth: int = 0) -> bool:
    """Check whether this part has parts that are nested too deep to be read."""
    payload = part.get_payload()
    if not isinstance(payload, list) or part.get_content_maintype() != "multipart":
        return False
    children = [child for child in payload[:MAX_PARTS] if isinstance(child, EmailMessage)]
    return depth >= MAX_PART_DEPTH or any(is_too_deep(child, depth + 1) for child in children)


def is_file(part: EmailMessage) -> bool:
    """Check whether this part is an attached file."""
    return bool(part.get_filename()) or part.get_content_disposition() == "attachment"


def is_html(part: EmailMessage) -> bool:
    """Check whether this part is HTML."""
    return part.get_content_type() == "text/html"


def is_calendar(part: EmailMessage) -> bool:
    """Check whether this part is an invitation."""
    return part.get_content_type() == "text/calendar"


def part_bytes(part: EmailMessage) -> bytes:
    """Return the decoded content of a part."""
    if is_unsplit(part):
        return str(part.get_payload()).encode("utf-8", "surrogateescape")
    payload = part.get_payload(decode=True)
    if any(isinstance(defect, InvalidBase64LengthDefect) for defect in part.defects):
        return cut_base64(str(part.get_payload()).encode("ascii", "ignore"))
    return payload if isinstance(payload, bytes) else b""


def part_text(part: EmailMessage) -> tuple[str, bool]:
    """Return the text of a part, and whether some of its bytes were replaced."""
    return lossy_text(part_bytes(part), part.get_content_charset() or "", declares=is_html(part))


def render_body(part: EmailMessage, builder: TextBuilder) -> bool:
    """Add the text of a part; return whether some of its bytes were replaced."""
    text, is_lossy = part_text(part)
    if is_html(part):
        render_html(parse_page(text).body, builder)
    elif is_calendar(part):
        for entry in calendar_entries(text):
            builder.heading(1, entry.title)
            for line in entry.lines():
                builder.block(line, separator="\n")
    else:
        is_flowed = _parameter(part, "format") == "flowed"
        builder.block(_join_flowed(text, drops_space=_parameter(part, "delsp") == "yes") if is_flowed else text)
    return is_lossy


def _root(part: EmailMessage, children: list[EmailMessage], found: list[list[EmailMessage]]) -> list[EmailMessage]:
    """Return the bodies of the part that `start` names, else of the first."""
    start = str(part.get_param("start", "") or "").strip("<> ")
    for child, each in zip(children, found, strict=False):
        if start and each and str(child.get("content-id", "")).strip("<> ") == start:
            return each
    return next(filter(None, found), [])


def _best_alternative(found: list[list[EmailMessage]]) -> list[EmailMessage]:
    """Return the plain text or the HTML that tells more, then the invitation."""
    texts = [each for each in found if each and not all(map(is_calendar, each))]
    calendars = [part for each in found for part in each if all(map(is_calendar, each))]
    filled = [(each, words) for each in texts if (words := _words(each))]
    if not filled:
        return calendars[:1] or next(iter(texts), [])
    best, best_words = filled[0]
    for each, words in filled[1:]:
        if any(map(is_html, each)) and not any(map(is_html, best)) and _tells_more(words, best_words):
            best, best_words = each, words
    return [*best, *calendars[:1]]


def _tells_more(words: list[str], plain: list[str]) -> bool:
    """Check whether the words of HTML tell more than those of the plain text."""
    if len(words) >= FEWER_WORDS * len(plain) + SHORT_WORDS:
        return True
    shared = len(set(plain) & set(words))
    return shared < SHARED_WORDS * len(set(plain)) and FEWER_WORDS * len(words) >= len(plain)


def _words(parts: list[EmailMessage]) -> list[str]:
    builder = TextBuilder()
    for part in parts:
        render_body(part, builder)
    return WORD.findall(builder.build().text[:SAMPLE_CHARACTERS].casefold())


def _parameter(part: EmailMessage, name: str) -> str:
    """Return a parameter of the content type, in small letters."""
    return str(part.get_param(name, "")).strip().lower()


def _join_flowed(text: str, *, drops_space: bool) -> str:
    """Join flowed lines (RFC 3676), except quotes and the signature separator.

    `drops_space`: the space that marks a flowed line is not a part of the text.
    """
    lines: list[list[str]] = [[""]]  # the pieces of each line
    for line in text.split("\n"):
        before = lines[-1]
        is_flowed = before[-1].endswith(" ") and before != ["-- "]
        if is_flowed and line not in ("", "-- ") and ">" not in (before[0][0], line[0]):
            if drops_space:
                before[-1] = before[-1][:-1]
            before.append(line)
        else:
            lines.append([line])
    return "\n".join(map("".join, lines[1:]))
