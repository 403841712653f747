"""Tables of reStructuredText as rows: grids, simple tables, and the directives that hold lists or CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

GRID = re.compile(r"^\s*\+(?:[-=]+\+)+\s*$")
SIMPLE = re.compile(r"^\s*=+(?: +=+)+\s*$")
UNDERLINE = re.compile(r"^\s*-+(?: +-+)*\s*$")
FIRST_CELL = re.compile(r"^(\s*)\* - ?(.*)$")
NEXT_CELL = re.compile(r"^(\s*)- ?(.*)$")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, and how many lines of the file they took."""

    rows: list[list[str]]
    lines: int


def table_at(lines: Sequence[str], position: int) -> Table | None:
    """The table that begins with this line, if one does."""
    if GRID.match(lines[position]):
        return _grid(lines, position)
    if SIMPLE.match(lines[position]):
        return _simple(lines, position)
    return None


def _grid(lines: Sequence[str], position: int) -> Table:
    """Cells between bars; lines of one row are put together."""
    end = position
    while end < len(lines) and lines[end].strip()[:1] in ("+", "|"):
        end += 1
    rows: list[list[str]] = []
    current: list[str] = []
    for line in lines[position:end]:
        if line.strip().startswith("+"):
            rows += [current] if current else []
            current = []
        else:
            current = _joined(current, line.strip().strip("|").split("|"))
    return Table(rows + ([current] if current else []), end - position)


def _simple(lines: Sequence[str], position: int) -> Table | None:
    """Columns under runs of equals signs; a line without a first cell goes on with the row above."""
    borders = [at for at in range(position, len(lines)) if SIMPLE.match(lines[at])]
    ends = [at for at in borders[1:] if at + 1 == len(lines) or not lines[at + 1].strip()]
    if not ends:
        return None
    starts = [match.start() for match in re.finditer("=+", lines[position])]
    edges = [*starts[1:], None]
    rows: list[list[str]] = []
    for line in lines[position : ends[0]]:
        if SIMPLE.match(line) or UNDERLINE.match(line) or not line.strip():
            continue
        cells = [line[start:end].strip() for start, end in zip(starts, edges, strict=True)]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = _joined(rows[-1], cells)
    return Table(rows, ends[0] + 1 - position)


def _joined(first: list[str], second: Sequence[str]) -> list[str]:
    """Two lines of a row as one."""
    if not first:
        return [cell.strip() for cell in second]
    longer = max(len(first), len(second))
    pairs = ((line + [""] * (longer - len(line))) for line in (first, list(second)))
    return [f"{upper} {lower.strip()}".strip() for upper, lower in zip(*pairs, strict=True)]


def list_table(body: Sequence[str]) -> list[list[str]]:
    """Rows of a list of lists: `* - a` begins a row, `- b` goes on with its next cell."""
    rows: list[list[str]] = []
    depth = 0
    for line in body:
        if begun := FIRST_CELL.match(line):
            rows.append([begun.group(2)])
            depth = len(begun.group(1)) + 2
        elif rows and (cell := NEXT_CELL.match(line)) and len(cell.group(1)) == depth:
            rows[-1].append(cell.group(2))
        elif rows and line.strip():
            rows[-1][-1] += f" {line.strip()}"
    return rows


def csv_table(body: Sequence[str], header: str) -> list[list[str]]:
    """Rows of comma-separated cells under `header`, which may be empty."""
    lines = [header] * bool(header) + [line.strip() for line in body if line.strip()]
    try:
        return list(csv.reader(lines, skipinitialspace=True))
    except csv.Error:
        return [[line] for line in lines]
