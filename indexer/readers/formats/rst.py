"""reStructuredText: headings by their underlines, tables as rows, directives by their content, roles by their words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.rst_tables import csv_table, list_table, table_at
from indexer.readers.formats.text import read_as
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder

ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
DIRECTIVE = re.compile(r"^(\s*)\.\. +(?:\|[^|]+\| *)?([\w:+.-]+)::(?:[ \t]+(.*))?$")
SUBSTITUTION = re.compile(r"^ *\.\. +\|([^|\n]+)\| +replace:: *(.*)$", re.MULTILINE)
NOTE = re.compile(r"^(\s*)\.\. +\[([^\]]+)\] +(.*)$")
COMMENT = re.compile(r"^(\s*)\.\.(?: |$)")
OPTION = re.compile(r"^\s+:([\w-]+):[ \t]*(.*)$")
ABOUT = re.compile(r"^:([A-Za-z][\w -]*):[ \t]+(.+)$")
LITERAL_FOLLOWS = re.compile(r"(?:^|\s)::$|(?<=:):$")
ROLE = re.compile(r":[\w:+.-]+:`([^`]*)`")
LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?")
MARKS = re.compile(r"(\*\*|``|\*|`)(?=\S)(.+?)(?<=\S)\1_{0,2}")
CITED = re.compile(r"\[([#*\w.-]+)\]_(?!\w)")
SUBSTITUTED = re.compile(r"\|([^|\s](?:[^|\n]*[^|\s])?)\|_{0,2}")
SILENT = ("image", "toctree", "include", "literalinclude", "raw", "contents", "index", "highlight", "meta", "replace")
CODE = ("code-block", "code", "sourcecode", "math", "parsed-literal", "doctest", "testcode", "prompt", "console")
NO_ARGUMENT = (*CODE[:3], "only", "ifconfig", "container", "class", "rst-class", "figure", "plot", "tocdepth", "prompt")
FIELDS = {"author": "author", "authors": "author", "date": "date", "version": "version", "title": "title"}


def read_rst(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document, titled by its first heading."""
    return read_as(parse_rst, stream, origin, options)


def parse_rst(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a reStructuredText file."""
    del options
    text = decode(data).expandtabs(8)
    return _Reader(text.split("\n"), dict(SUBSTITUTION.findall(text))).parsed()


@dataclass(slots=True)
class _Reader:
    """Goes through the lines once; each `_take…` says whether it took what stands at the position."""

    lines: list[str]
    substitutions: dict[str, str]
    builder: TextBuilder = field(default_factory=TextBuilder)
    position: int = 0
    _levels: list[str] = field(default_factory=list)
    _paragraph: list[str] = field(default_factory=list)
    _about: dict[str, str] = field(default_factory=dict)

    def parsed(self) -> ParsedDocument:
        """The document."""
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
        words = self._inline(heading.text)
        self.builder.title = self.builder.title or words
        self.builder.heading(self._levels.index(heading.style) + 1, words)
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
        """A directive, a footnote or a comment."""
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
            self._block(len(comment.group(1)))
        else:
            return False
        return True

    def _take_field(self) -> bool:
        """A line about the document, below its title."""
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
            self._verbatim(self._block(indent))

    def _directive(self, name: str, argument: str, indent: int) -> None:
        options: dict[str, str] = {}
        while self.position < len(self.lines) and (option := OPTION.match(self.lines[self.position])):
            options[option.group(1)] = option.group(2)
            self.position += 1
        if name in SILENT:
            self._block(indent)
            return
        if argument and name not in NO_ARGUMENT:
            self.builder.block(self._inline(argument))
        if name in CODE:
            self._verbatim(self._block(indent))
        elif name == "list-table":
            self._rows(list_table(self._block(indent)))
        elif name == "csv-table":
            self._rows(csv_table(self._block(indent), options.get("header", "")))

    def _block(self, indent: int) -> list[str]:
        """The lines that are indented more than `indent`, taken."""
        start = self.position
        while self.position < len(self.lines):
            line = self.lines[self.position]
            if line.strip() and _indent(line) <= indent:
                break
            self.position += 1
        return self.lines[start : self.position]

    def _next_line(self) -> str:
        return next((line for line in self.lines[self.position :] if line.strip()), "")

    def _rows(self, rows: list[list[str]]) -> None:
        self._flush()
        self.builder.rows([self._inline(cell) for cell in row] for row in rows)

    def _verbatim(self, lines: list[str]) -> None:
        self.builder.block("\n".join(_outdented(lines)))

    def _flush(self) -> None:
        if self._paragraph:
            text = self._inline("\n".join(_outdented(self._paragraph)))
            self.builder.block(LITERAL_FOLLOWS.sub("", text))
            self._paragraph.clear()

    def _inline(self, text: str) -> str:
        if "|" in text:
            text = SUBSTITUTED.sub(lambda match: self.substitutions.get(match.group(1), match.group()), text)
        return inline(text)


def _outdented(lines: list[str]) -> list[str]:
    """Lines without the indentation that all of them have."""
    indent = min((_indent(line) for line in lines if line.strip()), default=0)
    return [line[indent:].rstrip() for line in lines]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading: its text, its style of adornment and how many lines it takes."""

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


def inline(text: str) -> str:
    """`text` without the marks of roles, links and emphasis."""
    text = ROLE.sub(lambda match: re.sub(r"\s*<[^<>]*>$", "", match.group(1)).lstrip("~!"), text)
    return MARKS.sub(r"\2", LINK.sub(r"\1", CITED.sub(r"[\1]", text)))
