"""Build the text of a document in reading order, with its sections."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from retrieval.types import Document, MetadataValue, Section

MAX_HEADING = 500  # characters of a heading in the path that each of its sections repeats
MAX_LEVEL = 16
PATH_SEPARATOR = " › "
NARROW = re.compile("[\u00a0\u2007\u202f]")  # no-break spaces; a query has ordinary spaces
# Escape sequences of terminals, control characters, non-characters, and marks without width, such as soft hyphens and
# direction marks: a query has none of them. Joiners stay, because they separate words in Persian.
INVISIBLE = re.compile(
    "\x1b\\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufffe\uffff]"
)
LIGATURES = re.compile("[\ufb00-\ufb06]")  # single characters for fi, fl and others


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document without an id."""

    text: str
    title: str = ""
    sections: tuple[Section, ...] = ()
    metadata: dict[str, MetadataValue] = field(default_factory=dict)

    def document(self, document_id: str, title: str) -> Document:
        """Return the document with this id; `title` is its title if the file has none."""
        return Document(document_id, self.text, self.title or one_line(title), self.metadata, self.sections)


@dataclass(slots=True)
class TextBuilder:
    """Builds a document block by block, and records the position of each section.

    An empty line separates blocks; the end of a line separates rows of a table and lines of code. A section begins at
    a page or a heading. Its heading is the path of headings above it, without the title.
    """

    title: str = ""
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _sections: list[tuple[int, str, str]] = field(default_factory=list)  # start, location, heading
    _headings: list[tuple[int, str]] = field(default_factory=list)
    _location: str = ""  # page, slide or sheet
    _section_starts: bool = False  # the next block begins a section

    @property
    def length(self) -> int:
        """Number of characters so far."""
        return self._length

    def heading(self, level: int, text: str) -> None:
        """Add a heading to the text and begin its section. Level 1 is the highest."""
        self.section(level, text)
        self.block(one_line(text))

    def section(self, level: int, heading: str) -> None:
        """Begin a section under `heading` without adding the heading to the text."""
        heading = one_line(heading)[:MAX_HEADING]
        if not heading:
            return
        level = min(level, MAX_LEVEL)
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, heading))
        self._section_starts = True

    def location(self, name: str, *, clear_headings: bool = False) -> None:
        """Begin a page, slide or sheet; `clear_headings` drops earlier headings."""
        if clear_headings:
            self._headings.clear()
        self._location = name
        self._section_starts = True

    def block(self, text: str, *, separator: str = "\n\n") -> None:
        """Add a block and keep its line ends."""
        text = NARROW.sub(" ", clean(text)).strip("\n").rstrip()
        if not text.strip():
            return
        if self._length:
            self._append(separator)
        if self._section_starts:
            self._begin_section()
        self._append(text)

    def paragraph(self, text: str) -> None:
        """Add running text. White space of any kind becomes one space."""
        self.block(one_line(text))

    def rows(self, rows: Iterable[Iterable[str]], *, continued: bool = False) -> None:
        """Add a line for each row, bars between cells; `continued` extends a table."""
        first = not continued
        for cells in rows:
            line = " | ".join(cell for cell in map(one_line, cells))
            if line.strip(" |"):
                self.block(line, separator="\n\n" if first else "\n")
                first = False

    def build(self, **metadata: MetadataValue | None) -> ParsedDocument:
        """Return the document. Leaves out metadata without a value."""
        text = "".join(self._parts)
        edges = pairwise([*self._sections, (len(text), "", "")])
        sections = tuple(Section(start, after[0], location, heading) for (start, location, heading), after in edges)
        filled = {key: value for key, value in metadata.items() if value not in (None, "", ())}
        return ParsedDocument(text, one_line(self.title), sections, filled)

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _begin_section(self) -> None:
        path = [text for _, text in self._headings]
        title = one_line(self.title[: 2 * MAX_HEADING])[:MAX_HEADING]
        heading = PATH_SEPARATOR.join(path[1:] if path and path[0] == title else path)
        location = self._location or PATH_SEPARATOR.join(path)
        if not self._sections and self._length:
            self._sections.append((0, "", ""))
        self._sections.append((self._length, location, heading))
        self._section_starts = False


def one_line(text: str) -> str:
    """Return `text` on one line, with each run of white space as one space."""
    return " ".join(clean(text).split())


def clean(text: str) -> str:
    """Return `text` without invisible characters, and with ligatures as letters."""
    if text.isascii() and text.isprintable():
        return text
    return LIGATURES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), INVISIBLE.sub("", text))
