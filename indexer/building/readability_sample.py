"""Check whether the encoder can read the first documents of a new collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from retrieval.search.readability import Readability
from retrieval.types import Document

SAMPLED_DOCUMENTS = 256
MOST_UNREADABLE = 0.2  # of the text; above it another encoder is worth its time


def watch_readability(
    batches: Iterable[list[Document]], readability: Readability, notify: Callable[[float], None]
) -> Iterator[list[Document]]:
    """Yield the batches; first call `notify` if the encoder cannot read the first one.

    `notify` gets the share of a sample that the encoder cannot read, if it is above MOST_UNREADABLE.
    """
    is_first = True
    for batch in batches:
        if is_first and batch:
            is_first = False
            sample = batch[:: -(-len(batch) // SAMPLED_DOCUMENTS)]
            share = float(readability.unreadable_shares(sample).mean())
            if share > MOST_UNREADABLE:
                notify(share)
        yield batch
