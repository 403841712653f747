"""Address books (vCard 2.1, 3 and 4; RFC 6350): a document for each card."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import read_whole
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import TextBuilder, one_line
from retrieval.errors import BadDocument

FOLD = re.compile(r"\n[ \t]")
LINE = re.compile(r"(?:[\w-]+\.)?([A-Za-z-]+)((?:;[^:\n]*)?):(.*)")
QUOTED = re.compile(r"(?<![\w-])QUOTED-PRINTABLE\b", re.IGNORECASE)
CHARSET = re.compile(r"CHARSET=\"?([\w.:-]{2,40})", re.IGNORECASE)
BASE64 = re.compile(r"ENCODING=\"?B(?:ASE64)?\b|;BASE64\b", re.IGNORECASE)  # of a photo, a sound or a key
ESCAPED = re.compile(r"\\(.)")
PART = re.compile(r"(?<!\\);")
# In the order of the text.
TEXTS = ("NICKNAME", "TITLE", "ROLE", "ORG", "EMAIL", "TEL", "ADR", "URL", "BDAY", "CATEGORIES", "NOTE")


def read_vcards(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the cards. The number of a card is its name."""
    for number, card in enumerate(_cards(decode(read_whole(stream, options.limits))), start=1):
        member = origin.member(str(number))
        name = _first(card, "FN") or " ".join(filter(None, (_first(card, part) for part in ("N", "ORG"))))
        builder = TextBuilder(one_line(name))
        for value in (value for each in TEXTS for value in card.get(each, ())):
            builder.block(value, separator="\n")
        parsed = builder.build()
        if parsed.text.strip() or parsed.title:
            yield parsed.document(member.name, parsed.title)
        else:
            yield BadDocument("the card holds no text", path=member.path)


def _first(card: dict[str, list[str]], name: str) -> str:
    return next(iter(card.get(name, ())), "")


def _cards(text: str) -> Iterator[dict[str, list[str]]]:
    """Yield the values of each card by the names of their properties."""
    card: dict[str, list[str]] | None = None
    for line in _lines(text):
        found = LINE.fullmatch(line)
        name, parameters, value = (found[1].upper(), found[2], found[3]) if found else ("", "", "")
        if name == "BEGIN" and value.strip().upper() == "VCARD":
            if card is not None:  # the one before has no end
                yield card
            card = {}
        elif name == "END" and value.strip().upper() == "VCARD" and card is not None:
            yield card
            card = None
        elif name and card is not None and (shown := _value(value, parameters)):
            card.setdefault(name, []).append(shown)
    if card:  # the text was cut
        yield card


def _lines(text: str) -> Iterator[str]:
    """Yield lines; a quoted-printable value goes on after a line that ends with "="."""
    pending: list[str] = []
    for line in FOLD.sub("", text).split("\n"):
        if line.endswith("=") and (pending or QUOTED.search(line.partition(":")[0])):
            pending.append(line[:-1])
            continue
        yield "".join((*pending, line))
        pending = []
    if pending:
        yield "".join(pending)


def _value(value: str, parameters: str) -> str:
    """Return a value as it is read: its parts with commas between, without escapes."""
    if QUOTED.search(parameters):
        charset = CHARSET.search(parameters)
        value = decode(quopri.decodestring(value.encode("utf-8", "replace")), charset[1] if charset else "")
    elif BASE64.search(parameters):
        return ""
    parts = (ESCAPED.sub(_unescaped, part).strip() for part in PART.split(value))
    return ", ".join(filter(None, parts))


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] in "nN" else match[1]
