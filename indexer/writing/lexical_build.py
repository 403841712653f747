"""The lexical index of the pending generation: the words of the passages that are alive, and of no others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.writing.pending_generation import PendingSegment
from retrieval.index.collection.document_store import passage_text
from retrieval.index.lexical.writer import LexicalWriter
from retrieval.index.storage.manifest import LexicalRecord
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Bitmap, Document, Passage
from retrieval.util.files import Files

_WAITING = 2  # blocks whose words are still to be gathered


class BackgroundLexicalBuild:
    """Gathers the words of what a writer is given in a thread of its own, while the next passages are encoded.

    Nothing of it counts unless it is, at commit, exactly what the new generation lacks.
    """

    def __init__(
        self, collection: Path, settings: LexicalSettings, previous: LexicalRecord | None, files: Files
    ) -> None:
        self._writer = LexicalWriter(collection, settings, previous, files)
        self._keys: list[NDArray[np.uint64]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="attendex-words")
        self._running: deque[Future[None]] = deque()

    def add(self, documents: Sequence[Document], passages: Sequence[Sequence[Passage]], first_key: int) -> None:
        """Passages with ascending keys from `first_key` on.  Raises what an earlier call met in its thread."""
        keys = np.arange(first_key, first_key + sum(map(len, passages)), dtype=np.uint64)
        self._keys.append(keys)
        self._running.append(self._pool.submit(self._gather, keys, documents, passages))
        while len(self._running) > _WAITING:
            self._running.popleft().result()

    def _gather(
        self, keys: NDArray[np.uint64], documents: Sequence[Document], passages: Sequence[Sequence[Passage]]
    ) -> None:
        pairs = [(document, each) for document, parts in zip(documents, passages, strict=True) for each in parts]
        texts = [passage_text("", each.heading, document.text[each.start : each.end]) for document, each in pairs]
        self._writer.add(keys, [document.title for document, _ in pairs], texts)

    def finished(self, wanted: NDArray[np.uint64]) -> LexicalWriter | None:
        """The words of the passages with these keys; None where they are not what was added."""
        for each in self._running:
            each.result()
        self.close()
        return self._writer if np.array_equal(np.concatenate(self._keys), wanted) else None

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)


def write_lexical_index(
    collection: Path,
    parts: Sequence[PendingSegment],
    settings: LexicalSettings | None,
    previous: LexicalRecord | None,
    files: Files,
    *,
    ahead: BackgroundLexicalBuild | None = None,
    compact: bool = False,
) -> LexicalRecord | None:
    """Add what `previous` lacks and leave out what is dead; with `compact`, dead words leave the disk too.

    None for a collection without words.
    """
    if settings is None:
        return None
    writer = LexicalWriter(collection, settings, previous, files)
    rows = [part.live[part.segment.document_of] for part in parts]
    alive = _keys(parts, rows)
    wanted = [_missing(part, each, writer) for part, each in zip(parts, rows, strict=True)]
    ready = ahead.finished(_keys(parts, wanted)) if ahead else None
    if ready is None:
        _add(writer, parts, wanted)
    return (ready or writer).commit(alive, compact=compact)


def _keys(parts: Iterable[PendingSegment], rows: Iterable[Bitmap]) -> NDArray[np.uint64]:
    """Of those rows of each part."""
    keys = [part.segment.keys[some] for part, some in zip(parts, rows, strict=True)]
    return np.concatenate([np.empty(0, np.uint64), *keys])


def _missing(part: PendingSegment, alive: Bitmap, writer: LexicalWriter) -> Bitmap:
    """Rows that are alive and not in the index yet."""
    wanted = alive.copy()
    wanted[alive] = writer.missing(part.segment.keys[alive])
    return wanted


def _add(writer: LexicalWriter, parts: Sequence[PendingSegment], wanted: Sequence[Bitmap]) -> None:
    for part, rows in zip(parts, wanted, strict=True):
        if rows.any():
            for texts in part.segment.scan(rows):
                writer.add(texts.keys, texts.titles, texts.texts)
