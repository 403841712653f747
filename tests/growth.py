"""How CPU time grows with the size of an input, and the inputs that it is tried with."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable

MAX_EXPONENT = 1.2
FIRST, LAST, STEP = 512, 1 << 19, 4  # sizes in characters
ENOUGH_S = 0.02  # of CPU time, beyond the noise of a clock
SURE_S = ENOUGH_S / 4  # of one call
REPEATS = 3
CONFIRMATIONS = (STEP, STEP, STEP * STEP)  # how many times the size

# Each text repeats a unit.  The units are near the rules of an analyzer, a grammar or a format.
UNITS = {
    "letters": "a",
    "capitals": "aA",
    "words": "word ",
    "sentences": "It is. ",
    "dotted": "a.",
    "underlines": "a_",
    "digits": "1",
    "exponents": "1e",
    "dates": "9999-12-31",
    "spaces": " ",
    "tabs": "\t",
    "lines": "\n",
    "indented lines": "\n ",
    "pages": "a\f",
    "short lines": "a\n",
    "returns": "\r",
    "line separators": "\u2028",
    "zeros": "\x00",
    "escapes": "\x1b[",
    "marks": "\u0300\u0316",
    "marks of Tibet": "\u0f71\u0f72",
    "marked letters": "a\u0300\u0316",
    "long ligatures": "\ufdfa",
    "jamo": "\u1100\u1161",
    "joined emoji": "👨\u200d👩\u200d👧",
    "invisible": "\u200b",
    "dotted capitals": "\u0130",
    "Chinese": "中",
    "Chinese sentences": "中。",
    "Thai": "ก",
    "Arabic": "ا",
    "quotes": '"',
    "quoted": '"a" ',
    "apostrophes": "a's",
    "backslashes": "\\",
    "excluded": " -a",
    "round brackets": "(",
    "square brackets": "[",
    "links": "[a](",
    "notes": "[^a]: ",
    "images": "![](",
    "braces": "{",
    "angles": "<",
    "elements": "<b>",
    "open attributes": "<a b=",
    "tables": "| a ",
    "table rows": "|a|\n|-|\n",
    "grid": "+-+\n|a|\n",
    "columns": "=== ===\n",
    "emphasis": "*a_",
    "strong": "**a ",
    "code": "`a",
    "fences": "```\n",
    "quotation": "> ",
    "lists": "- ",
    "list lines": "- a\n",
    "headings": "# a\n",
    "underlined": "a\n=\n",
    "literal": "a::\n\n",
    "directives": ".. a:: b\n",
    "roles": ":a:`b",
    "substitutions": "|a ",
    "entities": "&a",
    "comments": "<!--",
    "commas": "a,",
    "semicolons": ";a=b",
    "pairs": "a: b\n",
    "words of code": "public\n",
    "definitions": "def a\n",
    "fields": "To: a@b, ",
    "encoded words": "=?utf-8?q?a?= ",
    "parts": "--a\n",
    "mails": "From a Mon Jan  1 00:00:00 2001\n",
    "flowed": "a \n",
    "shifted": "+AAA-",
    "designations": "\x1b$B!!",
    "events": "BEGIN:VEVENT\n",
    "negations": "NOT ",
    "conditions": "a=1 AND ",
    "stops": ".) ",
    "ellipses": "...",
    "hyphens": "a-\n",
}


def text_of(unit: str, size: int) -> str:
    """Return a text of `size` characters that repeats a unit."""
    return (unit * (size // len(unit) + 1))[:size]


def growth(consume: Callable[[str], object], unit: str) -> float:
    """Return the exponent b with which CPU time grows as size ** b.

    The size grows until the time is beyond noise.  A large exponent is confirmed at the next sizes, so that neither a
    busy machine nor the size of a cache counts.  The last confirmation has 16 times the size instead of 4: where chance
    adds half of the time, it adds .29 to the exponent with 4 times, and .15 with 16 times.
    """
    gc.freeze()  # the objects of the modules: a collection would look through them before each call
    try:
        size, before, after = FIRST, 0.0, 0.0
        while size < LAST and after < ENOUGH_S:
            before, after, size = after, _seconds(consume, text_of(unit, size)), size * STEP
        found = _exponent(before, after)
        for step in CONFIRMATIONS if after < 1.0 else ():
            if found <= MAX_EXPONENT:
                break
            first = size // STEP
            before, after = (_seconds(consume, text_of(unit, each), 10 * ENOUGH_S) for each in (first, first * step))
            found = min(found, _exponent(before, after, step))
        return found
    finally:
        gc.unfreeze()


def _exponent(before: float, after: float, step: int = STEP) -> float:
    return math.log(after / before, step) if before and after >= ENOUGH_S else 0.0


def _seconds(consume: Callable[[str], object], text: str, enough_s: float = SURE_S) -> float:
    """Return the least CPU time of several calls, or of one that takes `enough_s`."""
    found = math.inf
    for _ in range(REPEATS):
        gc.collect()
        gc.disable()
        start = time.process_time()
        consume(text)
        found = min(found, time.process_time() - start)
        gc.enable()
        if found > enough_s:
            break
    return found
