"""Build the lexical index of a pending generation.

It holds the words of live passages only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.writing.needed_passages import NeededPassages
from indexer.writing.pending_segments import PendingSegment
from retrieval.index.collection.document_store import MAX_TITLE, passage_text
from retrieval.index.collection.searched_fields import searched_texts
from retrieval.index.lexical.writer import LexicalWriter
from retrieval.index.storage.manifest import PostingsRecord
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Document, Passage
from retrieval.util.files import Files

_MAX_WAITING_BLOCKS = 2


class BackgroundLexicalBuild:
    """Indexes the words of added documents in a thread.

    The encoder works on the next passages meanwhile.  A commit uses the result only if it holds exactly the passages
    that the lexical index of the new generation lacks.
    """

    def __init__(
        self, collection: Path, settings: LexicalSettings, previous: PostingsRecord | None, files: Files
    ) -> None:
        self._writer = LexicalWriter(collection, settings, previous, files)
        self._searched = settings.searched_fields
        self._keys: list[NDArray[np.uint64]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="attendex-words")
        self._running: deque[Future[None]] = deque()

    def add(self, documents: Sequence[Document], passages: Sequence[Sequence[Passage]], first_key: int) -> None:
        """Index passages with keys from `first_key` up; raise an earlier error."""
        keys = np.arange(first_key, first_key + sum(map(len, passages)), dtype=np.uint64)
        self._keys.append(keys)
        self._running.append(self._pool.submit(self._index, keys, documents, passages))
        while len(self._running) > _MAX_WAITING_BLOCKS:
            self._running.popleft().result()

    def _index(
        self, keys: NDArray[np.uint64], documents: Sequence[Document], passages: Sequence[Sequence[Passage]]
    ) -> None:
        pairs = [(document, passage) for document, group in zip(documents, passages, strict=True) for passage in group]
        texts = [
            passage_text("", passage.heading, document.text[passage.start : passage.end]) for document, passage in pairs
        ]
        searched = [searched_texts(document, self._searched) for document, _ in pairs] if self._searched else ()
        self._writer.add(
            keys, [document.title[:MAX_TITLE] for document, _ in pairs], texts, list(zip(*searched, strict=True))
        )

    def finish(self, missing_keys: NDArray[np.uint64]) -> LexicalWriter | None:
        """Return the writer with exactly these passages; None if others were added."""
        for block in self._running:
            block.result()
        self.close()
        return self._writer if np.array_equal(np.concatenate(self._keys), missing_keys) else None

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(cancel_futures=True)


def write_lexical_index(
    collection: Path,
    segments: Sequence[PendingSegment],
    settings: LexicalSettings | None,
    previous: PostingsRecord | None,
    files: Files,
    *,
    background: BackgroundLexicalBuild | None = None,
    compact: bool = False,
) -> PostingsRecord | None:
    """Add the live passages that `previous` lacks, and leave out deleted ones.

    `compact` also removes the words of deleted passages from the disk.  Return None for a collection without a lexical
    index.
    """
    if settings is None:
        return None
    writer = LexicalWriter(collection, settings, previous, files)
    needed = NeededPassages.of(segments, writer.missing)
    ready = background.finish(needed.missing_keys) if background else None
    if ready is None:
        for texts in needed.scan_missing(settings.searched_fields):
            writer.add(texts.keys, texts.titles, texts.texts, texts.searched)
    return (ready or writer).commit(needed.live_keys, compact=compact)
