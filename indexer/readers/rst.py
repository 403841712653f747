"""reStructuredText: headings by their underlines, directives by their content, roles by their words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from indexer.readers.charsets import decode
from indexer.readers.options import Item, Origin, ReadOptions
from indexer.readers.parsed import Parsed, TextBuilder
from indexer.readers.text import read_as

ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
DIRECTIVE = re.compile(r"^(\s*)\.\. +(?:\|[^|]+\| *)?([\w:+.-]+)::[ \t]*(.*)$")
COMMENT = re.compile(r"^(\s*)\.\.(?: |$)")
OPTION = re.compile(r"^\s+:[\w-]+:")
ROLE = re.compile(r":[\w:+.-]+:`([^`]*)`")
LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?")
MARKS = re.compile(r"(\*\*|``|\*|`)(?=\S)(.+?)(?<=\S)\1_{0,2}")
SILENT = frozenset(("image", "toctree", "include", "raw", "contents", "index", "highlight", "meta", "_static"))
TITLED = frozenset(("function", "class", "method", "attribute", "module", "data", "exception", "option", "describe"))


def read_rst(stream: BinaryIO, origin: Origin, options: ReadOptions) -> Iterator[Item]:
    """The file as one document, titled by its first heading."""
    return read_as(parse_rst, stream, origin, options)


def parse_rst(data: bytes, options: ReadOptions) -> Parsed:
    """What is read of a reStructuredText file."""
    del options
    lines = decode(data).expandtabs(8).split("\n")
    builder = TextBuilder()
    levels: list[str] = []
    paragraph: list[str] = []
    position = 0
    while position < len(lines):
        if heading := _heading(lines, position):
            _flush(paragraph, builder)
            if heading.style not in levels:
                levels.append(heading.style)
            builder.title = builder.title or inline(heading.text)
            builder.heading(levels.index(heading.style) + 1, inline(heading.text))
            position += heading.lines
            continue
        position = _line(lines, position, paragraph, builder)
    _flush(paragraph, builder)
    return builder.build()


def _line(lines: list[str], position: int, paragraph: list[str], builder: TextBuilder) -> int:
    """Take one line, or a directive's head, and return the position after it."""
    line = lines[position]
    if directive := DIRECTIVE.match(line):
        _flush(paragraph, builder)
        name = directive.group(2).rsplit(":", 1)[-1]
        if name in SILENT:
            return _after_block(lines, position + 1, len(directive.group(1)))
        if directive.group(3) and (name in TITLED or name not in ("code-block", "code", "sourcecode", "math")):
            paragraph.append(directive.group(3))
        position += 1
        while position < len(lines) and OPTION.match(lines[position]):
            position += 1
        return position
    if comment := COMMENT.match(line):
        _flush(paragraph, builder)
        return _after_block(lines, position + 1, len(comment.group(1)))
    if line.strip():
        paragraph.append(line)
    else:
        _flush(paragraph, builder)
    return position + 1


def _flush(paragraph: list[str], builder: TextBuilder) -> None:
    if paragraph:
        indent = min(len(line) - len(line.lstrip()) for line in paragraph)
        builder.block(inline("\n".join(line[indent:].rstrip() for line in paragraph)).removesuffix("::"))
        paragraph.clear()


def _after_block(lines: list[str], position: int, indent: int) -> int:
    """The position after everything that is indented more than `indent`."""
    while position < len(lines) and (not lines[position].strip() or _indent(lines[position]) > indent):
        position += 1
    return position


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
    return MARKS.sub(r"\2", LINK.sub(r"\1", text))
