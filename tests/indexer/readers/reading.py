"""What the tests of single formats share."""

from __future__ import annotations

from pathlib import Path

from indexer.readers import ReadOptions, open_documents
from retrieval.types import Document


def read_one(path: Path, options: ReadOptions | None = None) -> Document:
    [document] = open_documents(path, options)
    assert isinstance(document, Document), document
    return document


def headed(document: Document) -> list[tuple[str, str, str]]:
    """Location, heading and first line of each section."""
    return [(s.location, s.heading, document.text[s.start : s.end].split("\n")[0]) for s in document.sections]
