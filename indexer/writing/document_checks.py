"""What can be added to a collection: ids and texts that can be kept, and metadata of the types that its fields have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from retrieval.errors import BadDocument, InputError
from retrieval.index.collection.document_ids import Digests, content_digests, id_digests
from retrieval.index.metadata.schema import typed
from retrieval.types import Document, Schema


@dataclass(frozen=True, slots=True)
class CheckedDocuments:
    """Documents that can be added, their metadata typed, and their digests."""

    documents: list[Document]
    ids: Digests
    contents: Digests


def checked(documents: Sequence[Document], schema: Schema) -> CheckedDocuments:
    """Raises BadDocument or SchemaError for the first document that cannot be added."""
    if any(not each.id for each in documents):
        raise BadDocument("a document has an empty id; give every document one")
    ids = id_digests([each.id for each in documents])
    documents = [
        replace(each, metadata=typed(each.metadata, schema, each.id)) if each.metadata else each for each in documents
    ]
    return CheckedDocuments(documents, ids, content_digests(documents))


def fits(document: Document, schema: Schema) -> bool:
    """Whether a document can be added."""
    try:
        checked([document], schema)
    except InputError:
        return False
    return True
