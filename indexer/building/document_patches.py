"""Partial updates: change some fields of stored documents.

A patch is a JSON merge patch (RFC 7396) of the document as the service shows it: a value replaces the stored one, null
removes it, and objects in the metadata are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import document_from
from indexer.writing.document_writer import DocumentWriter
from retrieval.errors import BadDocument, DocumentNotFound, InputError, NotFound
from retrieval.index.collection.searched_fields import searched_texts
from retrieval.index.metadata.given import MAX_DEPTH, shown_metadata
from retrieval.types import Document

_OWN_FIELDS = ("id", "title", "text", "metadata")  # all others are metadata


@dataclass(frozen=True, slots=True)
class DocumentPatch:
    """Changes of a document: `title`, `text`, `metadata`, single metadata fields."""

    id: str
    changes: Mapping[str, Any]  # values of JSON


@dataclass(frozen=True, slots=True)
class PatchFailure:
    """The id of a document that was not changed, and why."""

    id: str
    error: InputError | NotFound


@dataclass(slots=True)
class PatchedDocuments:
    """Documents after their patches, with typed metadata."""

    new_metadata: list[Document] = field(default_factory=list)  # all that the indexes read is the stored one
    new_text: list[Document] = field(default_factory=list)
    unchanged: int = 0
    failures: list[PatchFailure] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.new_metadata) + len(self.new_text)


def patched_documents(writer: DocumentWriter, patches: Sequence[DocumentPatch]) -> PatchedDocuments:
    """Apply patches to the documents that the writer has; write nothing.

    Several patches of a document follow each other.  A document with a patch that cannot be applied stays as it is.
    """
    result = PatchedDocuments()
    stored = writer.stored(list(dict.fromkeys(patch.id for patch in patches)))
    after: dict[str, Document] = {}
    failed: dict[str, InputError | NotFound] = {}
    for patch in patches:
        if patch.id not in stored:
            failed[patch.id] = DocumentNotFound(f"no document {patch.id!r} in {writer.path.name}")
            continue
        try:
            after[patch.id] = patched(after.get(patch.id, stored[patch.id]), patch)
        except InputError as error:
            failed[patch.id] = error
    for document in _typed(writer, (document for id_, document in after.items() if id_ not in failed), failed):
        old = stored[document.id]
        if document == old:
            result.unchanged += 1
        elif _indexed_texts(document, writer) == _indexed_texts(old, writer):
            result.new_metadata.append(document)
        else:
            result.new_text.append(document)
    result.failures = [PatchFailure(id_, error) for id_, error in failed.items()]
    return result


def _indexed_texts(document: Document, writer: DocumentWriter) -> tuple[str, ...]:
    """Return the texts that the indexes read."""
    lexical = writer.settings.lexical
    return document.title, document.text, *searched_texts(document, lexical.searched_fields if lexical else ())


def _typed(
    writer: DocumentWriter, documents: Iterable[Document], failed: dict[str, InputError | NotFound]
) -> list[Document]:
    """Return documents with typed metadata; record those whose metadata fit no field."""
    documents = list(documents)
    try:
        return writer.typed(documents)
    except InputError:
        found = []
        for document in documents:  # the types of earlier documents win
            try:
                found += writer.typed([document])
            except InputError as error:
                failed[document.id] = error
        return found


def patched(document: Document, patch: DocumentPatch) -> Document:
    """Return a document with the changes of a patch.  Raises BadDocument."""
    changes = patch.changes
    if changes.get("id", document.id) != document.id:
        raise BadDocument(f"document {document.id!r}: the id cannot be changed; add the document under its new id")
    if changes.get("text", "") is None:
        raise BadDocument(f"document {document.id!r}: the text cannot be removed; delete the document, or give a text")
    record = {
        "id": document.id,
        "title": changes.get("title", document.title),
        "text": changes.get("text", document.text),
        "metadata": _patched_metadata(document, changes),
    }
    try:
        return document_from(record, ReadOptions(id_field="id"), allow_empty="text" not in changes)
    except BadDocument as error:
        raise BadDocument(f"document {document.id!r}: {error}") from error


def _patched_metadata(document: Document, changes: Mapping[str, Any]) -> dict[str, Any]:
    given = changes.get("metadata", {})
    if given is not None and not isinstance(given, Mapping):
        raise BadDocument(f"document {document.id!r}: metadata is {type(given).__name__}; give an object, or null")
    stored = {} if given is None else shown_metadata(document)
    others = {name: value for name, value in changes.items() if name not in _OWN_FIELDS}
    return merge_patch(stored, {**others, **(given or {})})


def merge_patch(target: Any, patch: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return `target` with a JSON merge patch (RFC 7396).  Raises BadDocument if deep."""
    if depth > MAX_DEPTH:
        raise BadDocument(f"the patch is nested more than {MAX_DEPTH} levels deep; flatten it")
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            merged[name] = merge_patch(merged.get(name), value, depth + 1)
        else:
            merged[name] = value
    return merged
