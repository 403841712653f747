"""The writer of a build: of one collection, or of the shards of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from indexer.writing.pending_generation import WriterCounts
from retrieval.encoder.sparse import SparseEncoder
from retrieval.index.collection.document_ids import Digests
from retrieval.index.storage.settings import CollectionSettings
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.protocols import Encoder
from retrieval.types import Document, Passage, Schema, Vectors


class DocumentWriter(Protocol):
    """Builds one pending generation; the methods are those of `Writer`."""

    path: Path
    cause: str
    generation: int
    settings: CollectionSettings

    @property
    def counts(self) -> WriterCounts:
        """The documents handled so far."""

    @property
    def schema(self) -> Schema:
        """The fields of the collection and of the documents added so far."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def declare_fields(self, types: Schema) -> None: ...

    def unchanged(self, documents: Sequence[Document]) -> list[bool]: ...

    def can_add(self, documents: Sequence[Document]) -> list[bool]: ...

    def add(
        self,
        documents: Sequence[Document],
        passages: Sequence[Sequence[Passage]],
        vectors: Vectors,
        unreadable: NDArray[np.float32] | None = None,
        tokens: TokenCodes | None = None,
    ) -> None: ...

    def stored(self, ids: Sequence[str]) -> dict[str, Document]: ...

    def passages(self, document_id: str) -> list[Passage]: ...

    def typed(self, documents: Sequence[Document]) -> list[Document]: ...

    def update_metadata(self, documents: Sequence[Document]) -> None: ...

    def delete(self, ids: Sequence[str]) -> int: ...

    def delete_digests(self, ids: Digests) -> int: ...

    def delete_expired(self) -> int: ...

    def delete_unseen(self) -> int: ...

    def unseen(self) -> Iterator[list[Document]]: ...

    def commit(self, encoder: Encoder | None = None, sparse_encoder: SparseEncoder | None = None) -> int: ...
