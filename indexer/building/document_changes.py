"""Change an existing collection by documents and ids.

Several changes make one generation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from indexer.building.chunking import chunk, passage_texts
from indexer.building.document_patches import DocumentPatch, PatchedDocuments, PatchFailure, patched_documents
from indexer.building.encoder_loading import load_build_encoder
from indexer.building.sparse_encoding import CollectionSparseEncoder
from indexer.building.token_encoding import TokenEncoder, TokenEncoders
from indexer.writing.document_writer import DocumentWriter
from indexer.writing.sharded_writer import open_writer
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.sparse import SparseEncoder
from retrieval.errors import ContentChanged, InputError, SchemaError
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.collection.document_tag import document_tag
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import open_reader
from retrieval.search.encoder_check import check_fingerprint, check_unchanged
from retrieval.search.readability import Readability
from retrieval.types import Document, Passage, Rows, Vectors

T = TypeVar("T")

PATCHES_TOGETHER = 16_384  # whose documents are in memory at a time
MAX_FAILURES = 100  # that a report keeps
ENCODED_TOGETHER = 16  # passages; between two calls, a service answers searches


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """Documents to add or replace, then patches, then ids of documents to delete.

    `filter` deletes the documents that it matches in the generation that is current when the change is applied; `now`
    is what `now` means in it, by default that time.  `tags` has ids of documents to patch or delete, and for each the
    tags (document_tag.py) of which it must have one.
    """

    upserts: tuple[Document, ...] = ()
    deletes: tuple[str, ...] = ()
    filter: str = ""
    now: datetime | None = None
    patches: tuple[DocumentPatch, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """The result of one change; `generation` is the first one that shows it."""

    generation: int = 0
    added: int = 0  # documents written, whether new or replaced
    unchanged: int = 0
    updated: int = 0  # documents that patches changed
    deleted: int = 0
    failed: int = 0
    failures: tuple[PatchFailure, ...] = ()  # the first MAX_FAILURES

    def plus(self, other: ChangeReport) -> ChangeReport:
        """Return the report of both changes, which make one generation."""
        return ChangeReport(
            generation=self.generation,
            added=self.added + other.added,
            unchanged=self.unchanged + other.unchanged,
            updated=self.updated + other.updated,
            deleted=self.deleted + other.deleted,
            failed=self.failed + other.failed,
            failures=(*self.failures, *other.failures)[:MAX_FAILURES],
        )


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """Numbers of deleted documents and of unknown ids, and the current generation."""

    deleted: int
    missing: int
    generation: int


def apply_changes(
    collection: Path,
    encoder: SentenceEncoder,
    changes: Iterable[CollectionChange],
    *,
    sparse_encoder: SparseEncoder | None = None,
    wait_s: float = 30.0,
    token_encoders: TokenEncoders | None = None,
) -> list[ChangeReport | InputError]:
    """Apply the changes in order and commit them as one generation.

    `sparse_encoder` is that of a collection with a sparse index; without it, new passages load it.  `token_encoders`
    keeps late-interaction models for later calls.  A change that cannot be applied gets its InputError and changes
    nothing; the others are applied.  Raises CollectionLocked after `wait_s` seconds, EncoderMismatch, StorageError:
    then nothing has changed.
    """
    reports: list[ChangeReport | InputError] = []
    with open_writer(collection, wait_s=wait_s) as writer:
        check_fingerprint(collection.name, writer.settings.encoder, encoder.fingerprint)
        encoders = _encoders(writer, encoder, sparse_encoder, token_encoders or TokenEncoders())
        for change in changes:
            try:
                reports.append(_apply(writer, encoders, change))
            except InputError as error:
                reports.append(error)
        writer.cause = _cause([report for report in reports if isinstance(report, ChangeReport)])
        if writer.counts.added:
            check_unchanged(collection.name, writer.settings.canaries, encoder)
        generation = writer.commit(encoder, encoders.sparse.encoder)
    return [
        replace(report, generation=generation) if isinstance(report, ChangeReport) else report for report in reports
    ]


def add_in_batches(
    collection: Path,
    encoder: SentenceEncoder,
    batches: Iterable[Sequence[Document]],
    *,
    cause: str,
    watch: Callable[[ChangeReport], None],
    sparse_encoder: SparseEncoder | None = None,
    wait_s: float = 30.0,
    token_encoders: TokenEncoders | None = None,
) -> ChangeReport:
    """Add any number of documents in one generation and in bounded memory.

    A document that cannot be added is reported, and the others are added.  `watch` gets the report so far after each
    batch.  Raises CollectionLocked after `wait_s` seconds, EncoderMismatch, StorageError: then nothing has changed.
    """
    total = ChangeReport()
    with open_writer(collection, cause=cause, wait_s=wait_s) as writer:
        check_fingerprint(collection.name, writer.settings.encoder, encoder.fingerprint)
        encoders = _encoders(writer, encoder, sparse_encoder, token_encoders or TokenEncoders())
        for batch in batches:
            for report in _add_fitting(writer, encoders, batch):
                total = total.plus(report)
            watch(total)
        generation = writer.commit(encoder, encoders.sparse.encoder)
    return replace(total, generation=generation)


def _add_fitting(writer: DocumentWriter, encoders: _Encoders, documents: Sequence[Document]) -> Iterator[ChangeReport]:
    """Add the documents that can be added; the report of each other one has its error."""
    try:
        yield _apply(writer, encoders, CollectionChange(upserts=tuple(documents)))
    except InputError as error:
        if len(documents) == 1:
            yield ChangeReport(failed=1, failures=(PatchFailure(documents[0].id, error),))
            return
        for part in filter(None, split_batch(documents, writer)):
            yield from _add_fitting(writer, encoders, part)


def split_batch(documents: Sequence[Document], writer: DocumentWriter) -> list[list[Document]]:
    """Split a batch that cannot be added.

    The documents that fit together come first, then the others, one by one.  So a bad document changes no field's type.
    """
    try:
        fits = writer.can_add(documents)
    except SchemaError:  # no types suit all of them: the types of earlier documents win
        return [[document] for document in documents]
    if all(fits):  # none of them is bad by itself
        return [[document] for document in documents]
    others = [[document] for document, good in zip(documents, fits, strict=True) if not good]
    return [list(compress(documents, fits)), *others]


def update_documents(collection: Path, patches: Iterable[DocumentPatch], *, wait_s: float = 0.0) -> ChangeReport:
    """Apply any number of patches in one commit, with the collection's encoder.

    Raises CollectionLocked, EncoderError, StorageError: then nothing has changed.
    """
    encoder = load_build_encoder(collection, "", "auto", "auto")
    changes = (CollectionChange(patches=tuple(part)) for part in _parts(patches, PATCHES_TOGETHER))
    total = ChangeReport()
    for report in apply_changes(collection, encoder, changes, wait_s=wait_s):
        if isinstance(report, InputError):
            raise report
        total = replace(total.plus(report), generation=report.generation)
    return total


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part


def delete_documents(
    collection: Path, ids: Sequence[str] = (), *, filter: str = "", expired: bool = False, wait_s: float = 0.0
) -> DeleteReport:
    """Delete documents by id, by filter, and those that have expired, in one commit."""
    wanted = dict.fromkeys(ids)
    with open_writer(collection, wait_s=wait_s) as writer:
        deleted = writer.delete(list(wanted))
        missing = len(wanted) - deleted
        if filter:
            deleted += writer.delete(_matching_ids(collection, filter))
        if expired:
            deleted += writer.delete_expired()
        conditions = ["by id"] * bool(wanted) + [f"where {filter}"] * bool(filter) + ["that expired"] * expired
        writer.cause = f"delete {deleted} documents {' and '.join(conditions)}"
        return DeleteReport(deleted, missing, writer.commit())


def matching_rows(reader: IndexReader, expression: str) -> Rows:
    """Return the rows of the documents that a filter matches, ascending.

    A blank filter matches all.  Raises FilterError.
    """
    return np.flatnonzero(reader.matching_documents(expression) if expression.strip() else reader.found_documents())


def _matching_ids(collection: Path, expression: str, now: datetime | None = None) -> list[str]:
    """Return the ids of matching live documents.  Raises FilterError."""
    with open_reader(collection) as reader:
        return reader.ids(np.flatnonzero(reader.matching_documents(expression, now)))


@dataclass(frozen=True, slots=True)
class _Encoders:
    """The encoders of passages, of their tokens and of their terms, as far as needed."""

    passages: SentenceEncoder
    tokens: TokenEncoder | None
    sparse: CollectionSparseEncoder


def _encoders(
    writer: DocumentWriter, encoder: SentenceEncoder, sparse: SparseEncoder | None, tokens: TokenEncoders
) -> _Encoders:
    settings = writer.settings
    token_encoder = tokens.encoder(writer.path, settings.tokens)
    return _Encoders(encoder, token_encoder, CollectionSparseEncoder(writer.path, settings.sparse, sparse))


def _apply(writer: DocumentWriter, encoders: _Encoders, change: CollectionChange) -> ChangeReport:
    encoder = encoders.passages
    deletes = (*change.deletes, *(_matching_ids(writer.path, change.filter, change.now) if change.filter else ()))
    id_digests(deletes)  # raises for an invalid id before anything is added
    _check_tags(writer, change)
    before = writer.counts.updated
    known = writer.unchanged(change.upserts)
    changed = [document for document, same in zip(change.upserts, known, strict=True) if not same]
    _add(writer, encoders, changed, [chunk(each, encoder.tokenizer, writer.settings.chunking) for each in changed])
    added = len(changed) + writer.counts.updated - before
    patched = _patch(writer, encoders, change.patches)
    deleted = writer.delete(deletes) if deletes else 0
    unchanged = len({document.id for document in change.upserts}) - added + patched.unchanged
    return ChangeReport(
        added=added,
        unchanged=unchanged,
        updated=len(patched),
        deleted=deleted,
        failed=len(patched.failures),
        failures=tuple(patched.failures[:MAX_FAILURES]),
    )


def _check_tags(writer: DocumentWriter, change: CollectionChange) -> None:
    """Raise ContentChanged for a document with another tag.

    A change that was applied before the process ended is applied again: it finds its own result, and passes.
    """
    if not change.tags:
        return
    stored = writer.stored(list(change.tags))
    changed = [id_ for id_, document in stored.items() if document_tag(document) not in change.tags[id_]]
    if not changed:
        return
    patched = patched_documents(writer, change.patches)
    if not change.patches or patched or patched.failures:
        raise ContentChanged(
            f"document {changed[0]!r} has changed since it was read; read it again, and repeat the change with its ETag"
        )


def _patch(writer: DocumentWriter, encoders: _Encoders, patches: Sequence[DocumentPatch]) -> PatchedDocuments:
    """Apply patches; encode the documents with another title or text."""
    if not patches:
        return PatchedDocuments()
    patched = patched_documents(writer, patches)
    writer.update_metadata(patched.new_metadata)
    passages = [_passages(writer, encoders, document) for document in patched.new_text]
    _add(writer, encoders, patched.new_text, passages)
    return patched


def _passages(writer: DocumentWriter, encoders: _Encoders, document: Document) -> list[Passage]:
    """Cut a patched document; under a new title alone, passages of sections stay."""
    stored = writer.stored([document.id])[document.id]
    known = writer.passages(document.id) if stored.text == document.text else []
    if any(passage.location or passage.heading for passage in known):
        return known
    return chunk(document, encoders.passages.tokenizer, writer.settings.chunking)


def _add(
    writer: DocumentWriter, encoders: _Encoders, documents: Sequence[Document], passages: Sequence[Sequence[Passage]]
) -> None:
    """Encode and add documents."""
    if documents:
        encoders.sparse.require()
    unreadable = Readability(encoders.passages.tokenizer).unreadable_shares(documents)
    texts = passage_texts(documents, passages)
    tokens = encoders.tokens.codes(texts, save_cpu=True) if encoders.tokens else None
    writer.add(documents, passages, _encode(encoders.passages, texts), unreadable, tokens)


def _encode(encoder: SentenceEncoder, texts: Sequence[str]) -> Vectors:
    starts = range(0, len(texts), ENCODED_TOGETHER)
    blocks = [encoder.encode_passages(texts[start : start + ENCODED_TOGETHER]) for start in starts]
    return np.concatenate(blocks) if blocks else np.empty((0, encoder.dimension), dtype=np.float32)


def _cause(reports: Sequence[ChangeReport]) -> str:
    added = sum(report.added for report in reports)
    updated = sum(report.updated for report in reports)
    deleted = sum(report.deleted for report in reports)
    counts = {"add": added, "update": updated, "delete": deleted}
    return ", ".join(f"{verb} {count}" for verb, count in counts.items() if count) or "merge"
