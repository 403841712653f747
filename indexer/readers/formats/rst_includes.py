"""Files that reStructuredText includes: as part of the text, or as code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from indexer.readers.formats.includes import MARK, IncludedFile, Includes

INCLUDE = re.compile(r"^(?P<indent>\s*)\.\. +(?:[\w-]+:)?(?P<name>include|literalinclude)::[ \t]+(?P<path>\S.{0,300})$")
OPTION = re.compile(r"^\s+:(?P<name>[\w-]+):[ \t]*(?P<value>.*)$")
RANGE = re.compile(r"(\d{0,6})(-?)(\d{0,6})")


def with_includes(lines: Sequence[str], includes: Includes, folder: Path | None = None) -> list[str]:
    """Return the lines, with those of included files in the place of the directives."""
    out: list[str] = []
    position = 0
    while position < len(lines):
        found = INCLUDE.match(lines[position])
        position += 1
        if found is None:
            out.append(lines[position - 1])
            continue
        options: dict[str, str] = {}
        while position < len(lines) and (option := OPTION.match(lines[position])):
            options[option["name"]] = option["value"].strip()
            position += 1
        out += _included(found, options, includes, folder)
    return out


def _included(found: re.Match[str], options: Mapping[str, str], includes: Includes, folder: Path | None) -> list[str]:
    file = includes.read(found["path"], folder)
    if file is None:
        return []
    indent, lines = found["indent"], [line.expandtabs(8) for line in chosen_lines(file, options)]
    if found["name"] == "literalinclude" or "literal" in options or "code" in options:
        caption = [f"{indent}   :caption: {options['caption']}"] if options.get("caption") else []
        code = [f"{indent}   {line}" if line.strip() else "" for line in lines]
        return ["", f"{indent}.. code-block:: {options.get('language', '')}", *caption, "", *code, ""]
    includes.open.append(file.path)
    inner = with_includes(lines, includes, file.path.parent)
    includes.open.pop()
    return ["", *(indent + line if line.strip() else "" for line in inner), ""]


def chosen_lines(file: IncludedFile, options: Mapping[str, str]) -> list[str]:
    """Return the lines that the options of the directive choose."""
    lines = list(file.lines)
    if "lines" in options:
        lines = [line for part in options["lines"].split(",")[:100] for line in _range(lines, part.strip())]
    if "start-line" in options or "end-line" in options:
        first, last = (_number(options.get(name, "")) for name in ("start-line", "end-line"))
        lines = lines[first:last]
    for name in ("start-after", "start-at"):
        if mark := options.get(name):
            start = next((number for number, line in enumerate(lines) if mark in line), -1)
            lines = lines[start + (name == "start-after") :] if start >= 0 else lines
    for name in ("end-before", "end-at"):
        if mark := options.get(name):
            end = next((number for number, line in enumerate(lines) if mark in line), len(lines))
            lines = lines[: end + (name == "end-at")]
    return [line for line in lines if not MARK.search(line)]


def _range(lines: Sequence[str], part: str) -> Sequence[str]:
    found = RANGE.fullmatch(part)
    if found is None:
        return lines
    first, dash, last = found.groups()
    return lines[max(0, int(first or 1) - 1) : int(last) if last else None if dash else int(first or 1)]


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,6}", text) else None
