"""Removal of personal data from the texts of the query log.

Patterns find addresses, long numbers and keys.  Names of people have no pattern, and stay.
"""

from __future__ import annotations

import re

MIN_DIGITS = 7  # of a number that may identify a person; years and most product numbers have fewer
MIN_KEY_CHARACTERS = 20  # of letters and digits mixed
CUT = "…"

# Bounded repetitions: the time is in proportion to the length of the text.
PATTERNS = (
    ("[email]", re.compile(r"[^\s@<>\"',;:()]{1,64}@[^\s@<>\"',;()]{1,255}")),
    ("[address]", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")),
    (
        "[address]",  # of eight groups, or with "::" for some of them; a time such as 10:30:15 is none
        re.compile(
            r"(?<![\w:])(?:(?=[0-9a-fA-F:]{0,38}::)(?:[0-9a-fA-F]{0,4}:){2,7}|(?:[0-9a-fA-F]{1,4}:){7})[0-9a-fA-F]{0,4}"
            r"(?![\w:])"
        ),
    ),
    ("[number]", re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b")),
    (
        "[key]",
        re.compile(rf"(?<![\w-])(?=[A-Za-z_-]{{0,64}}\d)(?=[\d_-]{{0,64}}[A-Za-z])[\w-]{{{MIN_KEY_CHARACTERS},}}"),
    ),
    ("[number]", re.compile(rf"[+(]{{0,2}}\d(?:[ ()./-]{{0,2}}\d){{{MIN_DIGITS - 1},}}+")),
)


def redact(text: str) -> str:
    """Return the text with a word in place of each address, long number and key."""
    for name, pattern in PATTERNS:
        text = pattern.sub(name, text)
    return text


def shortened(text: str, characters: int) -> str:
    """Return the text, cut to a number of characters with a sign at the end."""
    return text if len(text) <= characters else text[: characters - 1] + CUT


def is_altered(text: str) -> bool:
    """Check whether a text has a word of `redact`, or the sign of `shortened`."""
    return text.endswith(CUT) or any(name in text for name, _ in PATTERNS)
