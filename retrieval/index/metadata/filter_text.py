"""Parts of filter expressions, for programs that write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

NO_DOCUMENT, EVERY_DOCUMENT = "ids()", "NOT ids()"


def quoted(text: str) -> str:
    """Return a name or a text as the filter language quotes it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def ids_filter(ids: Iterable[str]) -> str:
    """Return the filter that documents with one of these ids match."""
    return f"ids({', '.join(map(quoted, ids))})"


def id_parts(ids: Iterable[str], characters: int) -> Iterator[list[str]]:
    """Yield all ids, once each, in parts whose filters have at most `characters`.

    A single id may be longer.
    """
    part: list[str] = []
    size = len(NO_DOCUMENT)
    for each in dict.fromkeys(ids):
        own = len(quoted(each)) + 2
        if part and size + own > characters:
            yield part
            part, size = [], len(NO_DOCUMENT)
        part.append(each)
        size += own
    if part:
        yield part
