"""The place of passages in their documents, and the passages around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retrieval.index.collection.index_reader import IndexReader
from retrieval.types import Passage, Rows


class LocatedPassage(NamedTuple):
    """A passage, and its number among the `total` passages of its document, from 1.

    `start` and `end` are those of the document's text with the passages around.
    """

    passage: Passage
    number: int
    total: int
    start: int
    end: int


def locate_passages(rows: Rows, reader: IndexReader, neighbours: int) -> Iterator[LocatedPassage]:
    """Yield the passages of `rows`, with up to `neighbours` passages on each side."""
    documents = reader.document_of[rows]
    first = reader.document_of.searchsorted(documents)
    last = reader.document_of.searchsorted(documents, side="right") - 1
    passages = reader.passages(rows)
    before = after = passages
    if neighbours:
        around = reader.passages(
            np.concatenate([np.maximum(first, rows - neighbours), np.minimum(last, rows + neighbours)])
        )
        before, after = around[: len(rows)], around[len(rows) :]
    numbers, totals = (rows - first + 1).tolist(), (last - first + 1).tolist()
    for passage, number, total, earlier, later in zip(passages, numbers, totals, before, after, strict=True):
        yield LocatedPassage(passage, number, total, earlier.start, later.end)
