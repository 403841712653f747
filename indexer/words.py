"""The lexical index of the pending generation: the words of the passages that are alive, and of no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexer.pending import Part
from retrieval.index.analysis import LexicalSettings
from retrieval.index.directory import Files
from retrieval.index.lexical import LexicalWriter
from retrieval.index.manifest import LexicalRecord


def write_words(
    collection: Path,
    parts: Sequence[Part],
    settings: Mapping[str, Any] | None,
    previous: LexicalRecord | None,
    files: Files,
    *,
    compact: bool = False,
) -> LexicalRecord | None:
    """Add what `previous` lacks and leave out what is dead; with `compact`, dead words leave the disk too.

    None for a collection without words.
    """
    if settings is None:
        return None
    writer = LexicalWriter(collection, LexicalSettings(**settings), previous, files)
    alive = []
    for part in parts:
        rows = part.live[part.segment.document_of]
        alive.append(part.segment.keys[rows])
        wanted = rows.copy()
        wanted[rows] = writer.missing(alive[-1])
        if wanted.any():
            for texts in part.segment.scan(wanted):
                writer.add(texts.keys, texts.titles, texts.texts)
    return writer.commit(np.concatenate([np.empty(0, np.uint64), *alive]), compact=compact)
