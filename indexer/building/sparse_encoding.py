"""The sparse encoder of a collection, found before a passage is encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from retrieval.encoder.sparse import SparseEncoder, load_sparse_encoder
from retrieval.index.storage.settings import SparseSettings
from retrieval.search.encoder_check import check_fingerprint
from retrieval.types import Document


class CollectionSparseEncoder:
    """The sparse encoder of a collection, loaded on first need.  For one thread."""

    def __init__(self, collection: Path, settings: SparseSettings | None, given: SparseEncoder | None = None) -> None:
        self.encoder = given
        self._collection = collection
        self._required = settings

    def before(self, batches: Iterable[list[Document]]) -> Iterator[list[Document]]:
        """Yield the batches; load the encoder before the first one that has documents."""
        for batch in batches:
            if batch:
                self.require()
            yield batch

    def require(self) -> None:
        """Load the encoder, unless it is loaded or the collection has no sparse index.

        Raises EncoderError if the model is not on this machine, EncoderMismatch for another one.
        """
        if self._required is None:
            return
        self.encoder = self.encoder or load_sparse_encoder(self._required.encoder.name)
        check_fingerprint(self._collection.name, self._required.encoder, self.encoder.fingerprint)
        _ = self.encoder.splade  # an inference-free encoder loads the model of passages on first use
        self._required = None
