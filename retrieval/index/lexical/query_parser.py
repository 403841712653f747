"""What a query's text asks of words: plain words, "phrases in quotes" and -excluded ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_OPERATOR = re.compile(r'(?P<minus>(?<!\S)-)?"(?P<quoted>[^"]*)"|(?<!\S)-(?P<word>[^\W\d]\S*)')


@dataclass(frozen=True, slots=True)
class QueryWords:
    """`plain` is the text without operators, phrases included and exclusions not: what is ranked by."""

    plain: str
    phrases: tuple[str, ...]
    excluded: tuple[str, ...]


@lru_cache(maxsize=256)  # a search asks several times
def parse_query(text: str) -> QueryWords:
    """Read the operators out of a query.

    A quote that is never closed, curly quotes and a dash that no letter follows are plain text.
    """
    if '"' not in text and "-" not in text:
        return QueryWords(" ".join(text.split()), (), ())
    phrases: dict[str, None] = {}
    excluded: dict[str, None] = {}

    def read(match: re.Match[str]) -> str:
        wanted = match["quoted"] if match["word"] is None else match["word"]
        if match["word"] is not None or match["minus"]:
            excluded[wanted] = None
            return " "
        phrases[wanted] = None
        return f" {wanted} "

    plain = _OPERATOR.sub(read, text).replace('"', " ")
    return QueryWords(" ".join(plain.split()), tuple(phrases), tuple(excluded))
