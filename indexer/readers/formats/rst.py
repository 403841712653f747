"""reStructuredText: headings by underlines, tables, directives, roles."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.includes import Includes
from indexer.readers.formats.rst_includes import with_includes
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder

ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}+\s*$")
DIRECTIVE = re.compile(r"^(\s*)\.\. +(?:\|[^|]+\| *)?([\w:+.-]+)::(?:[ \t]+(.*))?$")
SUBSTITUTION = re.compile(r"^ *\.\. +\|([^|\n]+)\| +replace:: *(.*)$", re.MULTILINE)
NOTE = re.compile(r"^(\s*)\.\. +\[([^\]]+)\] +(.*)$")
COMMENT = re.compile(r"^(\s*)\.\.(?: |$)")
OPTION = re.compile(r"^\s+:([\w-]+):[ \t]*(.*)$")
ABOUT = re.compile(r"^:([A-Za-z][\w -]*):[ \t]+(.+)$")
LITERAL_FOLLOWS = re.compile(r"(?:^|\s)::$|(?<=:):$")
# Inline markup begins and ends beside white space or punctuation; a backslash makes the next character ordinary.
INLINE = re.compile(
    r"""
    \\(?P<escaped>.)
    | (?<!\w)``(?=\S)(?P<literal>.{1,400}?)(?<=\S)``(?!`)
    | (?<!\w)(?P<role>:[\w:+.-]{1,60}:)?_?`(?=\S)(?P<interpreted>(?:\\.|[^`\\]){1,400}+)(?<=\S)`
      (?:__?|:[\w:+.-]{1,60}:)?(?!\w)
    | (?<![\w*])(?P<stars>\*\*?)(?=[^\s*])(?P<emphasis>(?:\\.|[^\\*]|\*(?=\*?\w)){1,400}?)(?<=\S)(?P=stars)(?![\w*])
    | \[(?P<cited>[\#*\w.-]{1,60})\]_(?!\w)
    """,
    re.VERBOSE | re.DOTALL,
)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
TARGET = re.compile(r"\s*(?<!\\)<[^<>]*>$")
SUBSTITUTED = re.compile(r"\|([^|\s](?:[^|\n]*[^|\s])?)\|_{0,2}")
# Directives: without text, with code, and with an argument that is not text.
IGNORED = ("image", "toctree", "include", "literalinclude", "raw", "contents", "index", "highlight", "meta", "replace")
CODE = ("code-block", "code", "sourcecode", "math", "parsed-literal", "doctest", "testcode", "prompt", "console")
NO_ARGUMENT = (*CODE[:3], "only", "ifconfig", "container", "class", "rst-class", "figure", "plot", "tocdepth", "prompt")
FIELDS = {"author": "author", "authors": "author", "date": "date", "version": "version", "title": "title"}
MAX_ROWS = 2_000  # lines of a table whose end is looked for
GRID = re.compile(r"^\s*\+(?:[-=]+\+)++\s*$")
SIMPLE = re.compile(r"^\s*=+(?: +=+)++\s*$")
UNDERLINE = re.compile(r"^\s*-+(?: +-+)*+\s*$")
FIRST_CELL = re.compile(r"^(\s*)\* - ?(.*)$")
NEXT_CELL = re.compile(r"^(\s*)- ?(.*)$")


def parse_rst(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a reStructuredText file. Its first heading is the title."""
    lines = with_includes(decode(data).expandtabs(8).split("\n"), Includes(options))
    return _RstReader(lines, dict(SUBSTITUTION.findall("\n".join(lines)))).parsed()


@dataclass(slots=True)
class _RstReader:
    """Reads the lines once; each `_take_…` returns whether it took lines."""

    lines: list[str]
    substitutions: dict[str, str]
    builder: TextBuilder = field(default_factory=TextBuilder)
    position: int = 0
    _levels: list[str] = field(default_factory=list)
    _paragraph: list[str] = field(default_factory=list)
    _about: dict[str, str] = field(default_factory=dict)

    def parsed(self) -> ParsedDocument:
        """Read all lines and return the document."""
        while self.position < len(self.lines):
            taken = self._take_heading() or self._take_table() or self._take_explicit() or self._take_field()
            if not taken:
                self._take_line()
        self._flush()
        return self.builder.build(**self._about)

    def _take_heading(self) -> bool:
        heading = _heading(self.lines, self.position)
        if heading is None:
            return False
        self._flush()
        if heading.style not in self._levels:
            self._levels.append(heading.style)
        text = self._inline(heading.text)
        self.builder.title = self.builder.title or text
        self.builder.heading(self._levels.index(heading.style) + 1, text)
        self.position += heading.lines
        return True

    def _take_table(self) -> bool:
        found = None if self._paragraph else table_at(self.lines, self.position)
        if found is None:
            return False
        self._rows(found.rows)
        self.position += found.lines
        return True

    def _take_explicit(self) -> bool:
        """Take a directive, a footnote or a comment."""
        line = self.lines[self.position]
        if directive := DIRECTIVE.match(line):
            self._flush()
            self.position += 1
            self._directive(directive.group(2).rsplit(":", 1)[-1], directive.group(3) or "", len(directive.group(1)))
        elif note := NOTE.match(line):
            self._flush()
            self.position += 1
            self._paragraph.append(f"[{note.group(2).lstrip('#')}] {note.group(3)}")
        elif comment := COMMENT.match(line):
            self._flush()
            self.position += 1
            self._take_block(len(comment.group(1)))
        else:
            return False
        return True

    def _take_field(self) -> bool:
        """Take a metadata field below the title."""
        found = ABOUT.match(self.lines[self.position])
        if not found or found.group(1).lower() not in FIELDS or len(self._levels) > 1:
            return False
        self._about.setdefault(FIELDS[found.group(1).lower()], self._inline(found.group(2)))
        if "title" in self._about:
            self.builder.title = self._about.pop("title")
        self.position += 1
        return True

    def _take_line(self) -> None:
        line = self.lines[self.position]
        self.position += 1
        if line.strip():
            self._paragraph.append(line)
            return
        is_literal = bool(self._paragraph) and self._paragraph[-1].rstrip().endswith("::")
        indent = _indent(self._paragraph[-1]) if self._paragraph else 0
        self._flush()
        if is_literal and _indent(self._next_line()) > indent:
            self._verbatim(self._take_block(indent))

    def _directive(self, name: str, argument: str, indent: int) -> None:
        options: dict[str, str] = {}
        while self.position < len(self.lines) and (option := OPTION.match(self.lines[self.position])):
            options[option.group(1)] = option.group(2)
            self.position += 1
        if name in IGNORED:
            self._take_block(indent)
            return
        if options.get("caption") and name in CODE:
            self.builder.block(self._inline(options["caption"]))
        if argument and name not in NO_ARGUMENT:
            self.builder.block(self._inline(argument))
        if name in CODE:
            self._verbatim(self._take_block(indent))
        elif name == "list-table":
            self._rows(list_table(self._take_block(indent)))
        elif name == "csv-table":
            self._rows(csv_table(self._take_block(indent), options.get("header", "")))

    def _take_block(self, indent: int) -> list[str]:
        """Take the lines that are indented more than `indent`, and return them."""
        start = self.position
        while self.position < len(self.lines):
            line = self.lines[self.position]
            if line.strip() and _indent(line) <= indent:
                break
            self.position += 1
        return self.lines[start : self.position]

    def _next_line(self) -> str:
        lines = map(self.lines.__getitem__, range(self.position, len(self.lines)))
        return next((line for line in lines if line.strip()), "")

    def _rows(self, rows: list[list[str]]) -> None:
        self._flush()
        self.builder.rows([self._inline(cell) for cell in row] for row in rows)

    def _verbatim(self, lines: list[str]) -> None:
        self.builder.block("\n".join(_dedent(lines)))

    def _flush(self) -> None:
        if self._paragraph:
            text = self._inline("\n".join(_dedent(self._paragraph)))
            self.builder.block(LITERAL_FOLLOWS.sub("", text))
            self._paragraph.clear()

    def _inline(self, text: str) -> str:
        if "|" in text:
            text = SUBSTITUTED.sub(lambda match: self.substitutions.get(match.group(1), match.group()), text)
        return plain_text(text)


def _dedent(lines: list[str]) -> list[str]:
    """Return the lines without their common indentation."""
    indent = min((_indent(line) for line in lines if line.strip()), default=0)
    return [line[indent:].rstrip() for line in lines]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading: its text, its style of adornment and its number of lines."""

    text: str
    style: str
    lines: int


def _heading(lines: list[str], position: int) -> _Heading | None:
    first, second, third = (*lines[position : position + 3], "", "")[:3]
    if ADORNMENT.match(first) and second.strip() and ADORNMENT.match(third) and first[0] == third[0]:
        return _Heading(second.strip(), "over" + first[0], 3)
    underlined = first.strip() and not first.startswith(" ") and ADORNMENT.match(second)
    if underlined and not ADORNMENT.match(first) and len(second.rstrip()) >= len(first.strip()) - 2:
        return _Heading(first.strip(), second[0], 2)
    return None


def plain_text(text: str) -> str:
    """Return `text` without escapes and marks of roles, links and emphasis."""
    return INLINE.sub(_plain_match, text)


def _plain_match(match: re.Match[str]) -> str:
    found = match.groupdict()
    if found["escaped"]:
        return _unescaped(match.group())
    if found["cited"]:
        return f"[{found['cited']}]"
    if found["literal"]:
        return str(found["literal"])
    if found["emphasis"]:
        return _unescaped(found["emphasis"])
    text = TARGET.sub("", found["interpreted"]) or found["interpreted"].strip("<>")
    return _unescaped(text.lstrip("~!") if found["role"] else text)


def _unescaped(text: str) -> str:
    """Return `text` without backslashes; one before white space removes it too."""
    return ESCAPE.sub(lambda match: match.group(1).strip(), text)


@dataclass(frozen=True, slots=True)
class RstTable:
    """Rows of cells, and the number of lines of the table."""

    rows: list[list[str]]
    lines: int


def table_at(lines: Sequence[str], position: int) -> RstTable | None:
    """Return the table that begins at this line; None if there is none."""
    if GRID.match(lines[position]):
        return _grid(lines, position)
    if SIMPLE.match(lines[position]):
        return _simple(lines, position)
    return None


def _grid(lines: Sequence[str], position: int) -> RstTable:
    """Read a table with cells between bars. A row may have several lines."""
    end = position
    while end < len(lines) and lines[end].strip()[:1] in ("+", "|"):
        end += 1
    rows: list[_Row] = [_Row()]
    for line in lines[position:end]:
        if line.strip().startswith("+"):
            rows.append(_Row())
        else:
            rows[-1].add(line.strip().strip("|").split("|"))
    return RstTable([row.cells() for row in rows if row.columns], end - position)


def _simple(lines: Sequence[str], position: int) -> RstTable | None:
    """Read columns under equals signs; a line without first cell continues a row."""
    borders = (line for line in range(position + 1, min(len(lines), position + MAX_ROWS)) if SIMPLE.match(lines[line]))
    end = next((line for line in borders if line + 1 == len(lines) or not lines[line + 1].strip()), None)
    if end is None:
        return None
    starts = [match.start() for match in re.finditer("=+", lines[position])]
    edges = [*starts[1:], None]
    rows: list[_Row] = []
    for line in lines[position:end]:
        if SIMPLE.match(line) or UNDERLINE.match(line) or not line.strip():
            continue
        cells = [line[start:end].strip() for start, end in zip(starts, edges, strict=True)]
        if cells[0] or not rows:
            rows.append(_Row())
        rows[-1].add(cells)
    return RstTable([row.cells() for row in rows], end + 1 - position)


@dataclass(slots=True)
class _Row:
    """A row of a table that may have several lines."""

    columns: list[list[str]] = field(default_factory=list)  # the lines of each cell

    def add(self, cells: Sequence[str]) -> None:
        """Add a line with a piece of each cell."""
        self.columns += [[] for _ in cells[len(self.columns) :]]
        for column, cell in zip(self.columns, cells, strict=False):
            column.append(cell.strip())

    def cells(self) -> list[str]:
        """Return the cells, each on one line."""
        return [" ".join(filter(None, lines)) for lines in self.columns]


def list_table(body: Sequence[str]) -> list[list[str]]:
    """Return the rows of a nested list: `* - a` begins a row, `- b` is its next cell."""
    rows: list[list[list[str]]] = []  # the lines of each cell
    depth = 0
    for line in body:
        if first := FIRST_CELL.match(line):
            rows.append([[first.group(2)]])
            depth = len(first.group(1)) + 2
        elif rows and (cell := NEXT_CELL.match(line)) and len(cell.group(1)) == depth:
            rows[-1].append([cell.group(2)])
        elif rows and line.strip():
            rows[-1][-1].append(line.strip())
    return [[" ".join(cell) for cell in row] for row in rows]


def csv_table(body: Sequence[str], header: str) -> list[list[str]]:
    """Return the rows of comma-separated cells under `header`, which may be empty."""
    lines = [header] * bool(header) + [line.strip() for line in body if line.strip()]
    try:
        return list(csv.reader(lines, skipinitialspace=True))
    except csv.Error:
        return [[line] for line in lines]
