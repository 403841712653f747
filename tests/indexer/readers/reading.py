"""Helpers that the tests of several formats share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats import format_table
from indexer.readers.formats.format_table import Format, Magic
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document


def read_one(path: Path, options: ReadOptions | None = None) -> Document:
    [document] = open_documents(path, options)
    assert isinstance(document, Document), document
    return document


def read_all(source: Path, options: ReadOptions | None = None) -> tuple[list[Document], list[BadDocument]]:
    items = list(open_documents(source, options))
    documents = [item for item in items if isinstance(item, Document)]
    return documents, [item for item in items if isinstance(item, BadDocument)]


def write_lines(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    return path


def headed(document: Document) -> list[tuple[str, str, str]]:
    """Return location, heading and first line of each section."""
    return [(s.location, s.heading, document.text[s.start : s.end].split("\n")[0]) for s in document.sections]


def add_format(monkeypatch: pytest.MonkeyPatch, folder: Path, row: str, module: str) -> None:
    """Add a row to the table of formats, here and in parser processes.

    `row` is the Python source of a `Format`, `module` that of the module `toy` of the formats.
    """
    folder.mkdir()
    (folder / "toy_format.py").write_text(module)
    (folder / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        "if importlib.util.find_spec('indexer'):\n"
        "    import indexer.readers.formats.format_table as table, toy_format\n"
        "    from indexer.readers.formats.format_table import Format, Magic\n"
        "    sys.modules['indexer.readers.formats.toy'] = toy_format\n"
        f"    table.FORMATS['toy'] = {row}\n"
    )
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setitem(format_table.FORMATS, "toy", eval(row, {"Format": Format, "Magic": Magic}))
