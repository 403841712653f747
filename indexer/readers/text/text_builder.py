"""What a parser makes of one file: text in reading order, and the structure that passages are labelled with."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from retrieval.types import Document, MetadataValue, Section

PATH_MARK = " › "
NARROW = re.compile("[\u00a0\u2007\u202f]")  # spaces that do not break, which nobody types into a search
# Colours of terminals, controls and non-characters that some files are full of, and Unicode's own marks of no width:
# soft hyphens, direction marks and the like, which nobody types.  Joiners stay: they part words in Persian.
JUNK = re.compile(
    "\x1b\\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufffe\uffff]"
)
LIGATURES = re.compile("[\ufb00-\ufb06]")  # fi, fl and their like as one character


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """One document, before it has an id."""

    text: str
    title: str = ""
    sections: tuple[Section, ...] = ()
    metadata: dict[str, MetadataValue] = field(default_factory=dict)

    def document(self, document_id: str, title: str) -> Document:
        """The document; `title` where the file names none."""
        return Document(document_id, self.text, self.title or one_line(title), self.metadata, self.sections)


@dataclass(slots=True)
class TextBuilder:
    """Puts a document together block by block, and keeps where each block stands.

    Blocks are parted by an empty line, rows of a table and lines of code by a line's end.  A section begins where a
    page or a heading does; its heading is the path of headings above it, without the title.
    """

    title: str = ""
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _sections: list[tuple[int, str, str]] = field(default_factory=list)  # start, location, heading
    _headings: list[tuple[int, str]] = field(default_factory=list)
    _place: str = ""  # page, slide or sheet
    _moved: bool = False  # a section begins with the next block

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    def heading(self, level: int, text: str) -> None:
        """A heading of `level` (1 is the highest), which stands in the text as well."""
        self.mark(level, text)
        self.block(one_line(text))

    def mark(self, level: int, text: str) -> None:
        """A heading that what follows stands under, without a line of its own in the text."""
        text = one_line(text)
        if not text:
            return
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, text))
        self._moved = True

    def place(self, name: str, *, afresh: bool = False) -> None:
        """What follows stands on this page, slide or sheet; `afresh` under no heading of what was before."""
        if afresh:
            self._headings.clear()
        self._place = name
        self._moved = True

    def block(self, text: str, *, separator: str = "\n\n") -> None:
        """A paragraph, or anything else whose inner line ends are meant."""
        text = NARROW.sub(" ", clean(text)).strip("\n").rstrip()
        if not text.strip():
            return
        if self._length:
            self._append(separator)
        if self._moved:
            self._open_section()
        self._append(text)

    def paragraph(self, text: str) -> None:
        """Running text; white space of any kind is one space."""
        self.block(one_line(text))

    def rows(self, rows: Iterable[Iterable[str]], *, goes_on: bool = False) -> None:
        """A table, a line a row, cells parted by bars; `goes_on` where it follows on rows before."""
        first = not goes_on
        for cells in rows:
            line = " | ".join(cell for cell in map(one_line, cells))
            if line.strip(" |"):
                self.block(line, separator="\n\n" if first else "\n")
                first = False

    def build(self, **metadata: MetadataValue | None) -> ParsedDocument:
        """The document; metadata without a value are left out."""
        text = "".join(self._parts)
        edges = pairwise([*self._sections, (len(text), "", "")])
        sections = tuple(Section(start, after[0], location, heading) for (start, location, heading), after in edges)
        return ParsedDocument(
            text, one_line(self.title), sections, {k: v for k, v in metadata.items() if v not in (None, "", ())}
        )

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _open_section(self) -> None:
        path = [text for _, text in self._headings]
        heading = PATH_MARK.join(path[1:] if path and path[0] == one_line(self.title) else path)
        location = self._place or PATH_MARK.join(path)
        if not self._sections and self._length:
            self._sections.append((0, "", ""))
        self._sections.append((self._length, location, heading))
        self._moved = False


def one_line(text: str) -> str:
    """`text` with every run of white space made one space, and none around it."""
    return " ".join(clean(text).split())


def clean(text: str) -> str:
    """`text` without what is not shown, and with ligatures as the letters that they stand for."""
    if text.isascii() and text.isprintable():
        return text
    return LIGATURES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), JUNK.sub("", text))
