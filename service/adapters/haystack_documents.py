"""Haystack's documents as records of the service, and back."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from service.adapters.exact_metadata import ADAPTER_FIELD
from service.adapters.records import ReceivedText, received_document, received_hit, sent_record, title_of
from service.client.answers.collections import DocumentAnswer
from service.client.answers.search import HitAnswer

MISSING_CONTENT = "no_content"  # a part: the content is None


def record_of(document: Document) -> dict[str, Any]:
    """Return a document for the service, with all that Haystack knows about it."""
    parts = dict(_parts(document))
    return sent_record(document.id, document.content or "", document.meta, parts)


def document_of(answer: DocumentAnswer) -> Document:
    """Return a document as it was written."""
    return _document(answer.id, received_document(answer))


def document_of_hit(hit: HitAnswer, *, facts: bool) -> Document:
    """Return a hit with its score; see `received_hit`."""
    return replace(_document(hit.id, received_hit(hit, facts=facts)), score=hit.score)


def patches_of(document: Document, meta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the patches that set fields of a stored document; None removes one."""
    kept = {name: value for name, value in {**document.meta, **meta}.items() if value is not None}
    metadata = record_of(replace(document, meta=kept))["metadata"]
    objects = {name: None for name in meta if isinstance(kept.get(name), Mapping)}
    if objects:  # a patch merges objects, and Haystack replaces them
        yield {"id": document.id, "metadata": objects}
    changed = {name: metadata.get(name) for name in (*meta, ADAPTER_FIELD)}
    title = {"title": title_of(kept)} if "title" in meta else {}
    yield {"id": document.id, **title, "metadata": changed}


def distinct(values: Sequence[Any]) -> list[Any]:
    """Return different values, by type too, in the order of their texts."""
    found = {(type(value).__name__, repr(value)): value for value in values}
    return [found[key] for key in sorted(found, key=lambda key: (str(found[key]), key[0]))]


def value_at(meta: Mapping[str, Any], field: str) -> Any:
    """Return the value of a field, which may be one of a nested object; None without."""
    if field in meta:
        return meta[field]
    name, _, rest = field.partition(".")
    inner = meta.get(name)
    return value_at(inner, rest) if rest and isinstance(inner, Mapping) else None


def _parts(document: Document) -> Iterator[tuple[str, Any]]:
    if document.content is None:
        yield MISSING_CONTENT, True
    if document.score is not None:
        yield "score", document.score
    if document.embedding is not None:
        yield "embedding", b64encode(struct.pack(f"<{len(document.embedding)}d", *document.embedding)).decode()
    if document.sparse_embedding is not None:
        yield "sparse_embedding", document.sparse_embedding.to_dict()
    if document.blob is not None:
        yield "blob", {**document.blob.to_dict(), "data": b64encode(document.blob.data).decode()}


def _document(document_id: str, received: ReceivedText) -> Document:
    parts = received.parts
    sparse, blob, embedding = parts.get("sparse_embedding"), parts.get("blob"), parts.get("embedding")
    return Document(
        id=document_id,
        content=None if parts.get(MISSING_CONTENT) else received.text,
        meta=received.metadata,
        score=parts.get("score"),
        embedding=None if embedding is None else _floats(embedding),
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
        blob=None if blob is None else ByteStream(b64decode(blob["data"]), blob["meta"], blob["mime_type"]),
    )


def _floats(text: str) -> list[float]:
    packed = b64decode(text)
    return list(struct.unpack(f"<{len(packed) // 8}d", packed))
