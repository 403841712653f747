"""BEIR corpora."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.jsonl import read_jsonl


def read_corpus(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Read the corpus; keep documents without a character, since published figures count them."""
    return read_jsonl(stream, origin, options, allow_empty=True)
