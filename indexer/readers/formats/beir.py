"""BEIR folders: `corpus.jsonl`, `queries.jsonl` and `qrels/*.tsv`, each JSONL also gzipped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from indexer.readers.formats.jsonl import read_jsonl
from indexer.readers.options import Item, Origin, ReadOptions


@dataclass(frozen=True, slots=True)
class BeirFolder:
    """A folder in BEIR's layout.  Its documents are indexed whole, as the published figures are made."""

    path: Path
    corpus: Path


def find_beir(source: Path) -> BeirFolder | None:
    """What `source` holds in BEIR's layout; None where there is no corpus, or a folder that cannot be looked into."""
    with contextlib.suppress(OSError):
        for name in ("corpus.jsonl", "corpus.jsonl.gz"):
            if (source / name).is_file():
                return BeirFolder(source, source / name)
    return None


def read_corpus(stream: BinaryIO, origin: Origin, options: ReadOptions) -> Iterator[Item]:
    """The corpus; documents without a character are kept, since published figures count them."""
    return read_jsonl(stream, origin, options, allow_empty=True)
