"""Check documents, and find those that the collection holds unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexer.writing.pending_generation import PendingGeneration, WriterCounts
from retrieval.errors import BadDocument, InputError
from retrieval.index.collection.document_ids import Digests, content_digests, id_digests, text_digests
from retrieval.index.metadata.given import given_json
from retrieval.index.metadata.schema import typed_metadata
from retrieval.types import Bitmap, Document, Rows, Schema


@dataclass(frozen=True, slots=True)
class CheckedDocuments:
    """Documents that can be added, with typed metadata and digests."""

    documents: list[Document]
    ids: Digests
    contents: Digests
    texts: Digests  # of all but the metadata

    def take(self, positions: Rows) -> CheckedDocuments:
        """Return some of the documents."""
        documents = [self.documents[position] for position in positions.tolist()]
        return CheckedDocuments(documents, self.ids[positions], self.contents[positions], self.texts[positions])


def check_documents(documents: Sequence[Document], schema: Schema, searched: Sequence[str] = ()) -> CheckedDocuments:
    """Check documents; raise BadDocument or SchemaError for the first bad one.

    searched: the names of the collection's searched fields.
    """
    if any(not document.id for document in documents):
        raise BadDocument("a document has an empty id; give every document one")
    ids = id_digests([document.id for document in documents])
    documents = [_typed(document, schema) if document.metadata else document for document in documents]
    return CheckedDocuments(documents, ids, content_digests(documents), text_digests(documents, searched))


def _typed(document: Document, schema: Schema) -> Document:
    """Return the document with typed metadata, and the given ones if they differ."""
    typed = typed_metadata(document.metadata, schema, document.id)
    return replace(document, metadata=typed, given=document.given or given_json(document.metadata, typed))


def can_be_added(document: Document, schema: Schema) -> bool:
    """Check whether `check_documents` accepts the document."""
    try:
        check_documents([document], schema)
    except InputError:
        return False
    return True


class ChangeDetector:
    """Finds documents that need not be added: the pending generation holds them."""

    def __init__(self, pending: PendingGeneration, counts: WriterCounts) -> None:
        self._pending = pending
        self._counts = counts
        self._awaited: set[bytes] = set()  # id digests of changed documents that are not added yet

    def unchanged(self, checked: CheckedDocuments) -> list[bool]:
        """Return for each document whether it need not be added.

        That holds for an unchanged document; for one whose metadata alone changed, which this updates; and for one that
        a later document of the batch with the same id replaces.  Call it with batches in the order in which the changed
        documents are added.
        """
        count = len(checked.documents)
        last = {digest.tobytes(): position for position, digest in enumerate(checked.ids)}
        self._counts.duplicates += count - len(last)
        # While another version of a document waits to be written, this one must be written after it.
        free = np.array([position for key, position in last.items() if not self._is_waiting(key)], dtype=np.int64)
        needless = np.ones(count, dtype=np.bool_)
        needless[list(last.values())] = False
        needless[free] = self._find(checked.ids[free], checked.contents[free])
        changed = free[~needless[free]]
        needless[changed] = self._update_metadata(checked.take(changed))
        self._awaited.update(key for key, position in last.items() if not needless[position])
        return [bool(flag) for flag in needless]

    def added(self, ids: Digests) -> None:
        """Record that the documents with these id digests were added."""
        self._awaited.difference_update(digest.tobytes() for digest in ids)

    def _find(self, ids: Digests, contents: Digests) -> Bitmap:
        """Return which documents the base or an interrupted build holds unchanged."""
        found = self._pending.segments.unchanged(ids, contents)
        self._counts.unchanged += int(np.count_nonzero(found))
        claimed = self._pending.segments.claim(ids[~found], contents[~found])
        self._counts.resumed += int(np.count_nonzero(claimed))
        found[~found] = claimed
        return found

    def _update_metadata(self, checked: CheckedDocuments) -> Bitmap:
        """Update the documents whose texts are the same; return which."""
        same = self._pending.segments.same_texts(checked.ids, checked.texts)
        found = checked.take(np.flatnonzero(same))
        self._pending.update_metadata(found.documents, found.ids, found.contents)
        return same

    def _is_waiting(self, id_digest: bytes) -> bool:
        return id_digest in self._awaited or self._pending.is_being_written(id_digest)
