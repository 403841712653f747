"""Write the lexical index of a generation: analyze texts, and add their postings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.inverter import Inverter
from retrieval.index.lexical.multilingual import make_analyzer
from retrieval.index.lexical.postings import LiveRows
from retrieval.index.lexical.postings_writer import PostingsWriter, open_segments
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.storage.manifest import PostingsRecord
from retrieval.index.storage.settings import LexicalSettings
from retrieval.index.storage.synonyms import SynonymRule
from retrieval.types import Bitmap
from retrieval.util.files import Files

_SEGMENT_OCCURRENCES = 1 << 22  # collected in memory before a segment is written; about 40 bytes each
_BATCH_PASSAGES = 1 << 10
_BATCH_CHARACTERS = 1 << 20  # analyzed at once


@dataclass(frozen=True, slots=True)
class _Batch:
    """Passages that wait for their analysis."""

    keys: NDArray[np.uint64]
    titles: Sequence[str]
    texts: Sequence[str]
    searched: Sequence[Sequence[str]]  # of each searched field

    @property
    def characters(self) -> int:
        return len(self.keys) + sum(sum(map(len, column)) for column in (self.titles, self.texts, *self.searched))


class LexicalWriter:
    """Writes the lexical index of a generation, valid after the manifest names it."""

    def __init__(
        self, collection: Path, settings: LexicalSettings, previous: PostingsRecord | None, files: Files
    ) -> None:
        self._postings = PostingsWriter(collection, previous, files)
        weights = [weight for _, weight in settings.searched]
        self._inverter = Inverter(make_analyzer(settings), settings.title_weight, weights)
        self._pending: list[_Batch] = []
        self._pending_characters = 0

    def missing(self, keys: NDArray[np.uint64]) -> Bitmap:
        """Check for each key whether its passage is missing from the index."""
        return self._postings.missing(keys)

    def add(
        self,
        keys: Sequence[int] | NDArray[np.uint64],
        titles: Sequence[str],
        texts: Sequence[str],
        searched: Sequence[Sequence[str]] = (),
    ) -> None:
        """Add passages.  Their keys ascend, from call to call and above all previous.

        searched: the texts of each searched field, one for each passage.
        """
        for start in range(0, len(keys), _BATCH_PASSAGES):
            batch = slice(start, start + _BATCH_PASSAGES)
            columns = titles[batch], texts[batch], [column[batch] for column in searched]
            self._pending.append(_Batch(np.asarray(keys[batch], np.uint64), *columns))
            self._pending_characters += self._pending[-1].characters
            if self._pending_characters >= _BATCH_CHARACTERS:
                self._invert()

    def commit(self, live_keys: NDArray[np.uint64], *, compact: bool = False) -> PostingsRecord:
        """Write the added passages; merge segments as `PostingsWriter.commit` does."""
        self._invert()
        self._write_segment()
        return self._postings.commit(live_keys, compact=compact)

    def _invert(self) -> None:
        """Analyze the pending passages."""
        if not self._pending:
            return
        batches, self._pending, self._pending_characters = self._pending, [], 0
        self._inverter.add(
            np.concatenate([batch.keys for batch in batches]),
            [title for batch in batches for title in batch.titles],
            [text for batch in batches for text in batch.texts],
            [list(chain.from_iterable(parts)) for parts in zip(*(batch.searched for batch in batches), strict=True)],
        )
        if self._inverter.occurrences >= _SEGMENT_OCCURRENCES:
            self._write_segment()

    def _write_segment(self) -> None:
        if self._inverter.passages:
            self._postings.add_segment(self._inverter.write)


def open_lexical(
    collection: Path,
    record: PostingsRecord,
    settings: LexicalSettings,
    keys: NDArray[np.uint64],
    live: Bitmap,
    synonyms: Sequence[SynonymRule] = (),
) -> LexicalReader:
    """Open the lexical index of a generation.  Raises CorruptCollection.

    keys: (rows,), the key of each row, ascending.  live: (rows,).
    """
    return LexicalReader(LiveRows.located(open_segments(collection, record), keys, live), settings, synonyms)
