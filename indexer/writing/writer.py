"""The one writer of a collection: add, delete, commit, roll back.

A commit makes files durable in this order: the files of new segments, their folder, deletions, the lexical index, the
generation's manifest.  The last step replaces `manifest.json` atomically; garbage is collected after it.  If the writer
is killed before that step, the old generation stays current, and the next writer removes or resumes the rest.  If it is
killed after it, the new generation is current.

Three parts share the work: change_detection.py finds the documents that are unchanged, pending_generation.py builds the
segments, and the writer holds the lock and commits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from indexer.writing.calibration import calibrated
from indexer.writing.change_detection import ChangeDetector, CheckedDocuments, can_be_added, check_documents
from indexer.writing.collection_lock import CollectionLock
from indexer.writing.commit import make_current, publish, publish_kept
from indexer.writing.garbage import FOLDERS, Retention, collect_garbage
from indexer.writing.original_files import collect_originals
from indexer.writing.pending_generation import PendingGeneration, SegmentLimits, WriterCounts
from indexer.writing.resume_journal import JOURNAL, read_journal
from indexer.writing.segment_merge import MergePolicy
from indexer.writing.segment_writer import SegmentEntries
from retrieval.encoder.sparse import SparseEncoder
from retrieval.errors import CollectionError, EncoderMismatch, InputError, SchemaError
from retrieval.index.collection.document_ids import Digests, id_digests
from retrieval.index.metadata.schema import extend_schema
from retrieval.index.storage.manifest import Manifest, read_manifest, was_committed
from retrieval.index.storage.settings import CollectionSettings, SparseSettings
from retrieval.index.vectors.token_codes import TokenCodec, TokenCodes
from retrieval.protocols import Encoder
from retrieval.types import Document, Passage, Schema, Vectors
from retrieval.util.files import Files
from retrieval.util.remote_names import is_remote

log = logging.getLogger(__name__)

REMOTE_LIMITS = SegmentLimits(passages=4_096)  # the vectors cost money, and a kill loses those of a segment


class Writer:
    """A context that holds the lock of a collection and builds one pending generation.

    Readers see nothing of it before `commit`.  `create` makes a missing collection; an existing one must have the same
    encoder.  Leaving the context without a commit drops the pending generation.  Leaving it on an exception keeps
    finished segments, which the next writer resumes (see resume_journal.py).  After `commit` or `rollback` the writer
    cannot be used.  One thread may call `unchanged` and `can_add` while another calls `add`.  Raises CollectionLocked
    if another writer keeps the lock for `wait_s` seconds.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        create: CollectionSettings | None = None,
        cause: str = "change",
        wait_s: float = 0.0,
        retention: Retention | None = None,
        limits: SegmentLimits | None = None,
        policy: MergePolicy | None = None,
        files: Files | None = None,
    ) -> None:
        self.path = Path(path)
        self.cause = cause
        self.counts = WriterCounts()
        self.generation = 0
        self._create = create
        self._wait_s = wait_s
        self._retention = retention or Retention()
        self._limits = limits
        self._policy = policy or MergePolicy()
        self._files = files or Files()
        self._lock = CollectionLock(self.path, self._files)
        self._turn = Lock()  # a build looks for changes in the thread that reads ahead, and adds in another
        self._ended = False

    def __enter__(self) -> Writer:
        self._lock.acquire(create=self._create is not None, wait_s=self._wait_s)
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._ended:
                self.rollback()
            elif error is not None and not self._ended:
                self._abort(error)
        finally:
            self._lock.release()

    def _open(self) -> None:
        base = read_manifest(self.path) if was_committed(self.path) else None
        self.settings = _settings(self.path, base, self._create)
        self.generation = base.generation if base else 0
        limits = self._limits or (REMOTE_LIMITS if is_remote(self.settings.encoder.name) else SegmentLimits())
        self._pending = PendingGeneration(self.path, base, self.settings, limits, self.counts, self._files)
        self._changes = ChangeDetector(self._pending, self.counts)
        collect_garbage(self.path, self._retention, self._files)
        missing = [folder for folder in (self.path / name for name in FOLDERS) if not folder.exists()]
        for folder in missing:
            self._files.make_directory(folder)
        if missing:
            self._files.sync_directory(self.path)

    def _abort(self, error: BaseException) -> None:
        """Remove unfinished files; note in `error` what the next writer can resume."""
        try:
            if is_remote(self.settings.encoder.name) and not isinstance(error, EncoderMismatch):  # they cost money
                self._pending.keep_unfinished()
        except CollectionError as problem:
            log.warning("the passages encoded last cannot be kept: %s", problem)
        self._pending.close()
        try:
            collect_garbage(self.path, self._retention, self._files)
        except CollectionError as problem:
            log.warning("cannot remove unfinished files; the next writer will: %s", problem)
        journal = read_journal(self.path) if self._pending.resumed else None
        if journal is not None and journal.segments:
            kept = sum(segment.passages for segment in journal.segments)
            error.add_note(
                f"{kept:,} finished passages are kept in {self.path}; index the same sources again to resume"
            )

    @property
    def schema(self) -> Schema:
        """The fields of the collection and of the documents added so far."""
        return self._pending.schema

    def declare_fields(self, types: Schema) -> None:
        """Set the types of fields that documents will have; other fields are inferred.

        Raises SchemaError if the collection has a field with another type, or accepts no new fields.
        """
        for name, kind in types.items():
            existing = self.schema.get(name, kind if self.settings.schema is None else "none")
            if existing != kind:
                raise SchemaError(
                    f"{self.path}: field {name!r} is {existing} in the collection, not {kind}; leave the type out, or "
                    "index into a new directory"
                )
        self._pending.schema = {**self.schema, **types}

    def unchanged(self, documents: Sequence[Document]) -> list[bool]:
        """Return for each document whether it need not be added.

        That holds for an unchanged document; for one of the same text with other metadata, which the writer updates;
        and for one that a later document here with the same id replaces.  Call it in the order in which the changed
        documents are added.  Raises BadDocument and SchemaError as `add` does; then it has changed nothing.
        """
        if not documents:
            return []
        with self._turn:
            self._pending.resume()
            return self._changes.unchanged(self._check(documents))

    def can_add(self, documents: Sequence[Document]) -> list[bool]:
        """Return for each document whether it can be added.

        New fields get the types that suit all documents.  Raises SchemaError if no types suit all.
        """
        with self._turn:
            schema = self._infer_schema(documents)
        return [can_be_added(document, schema) for document in documents]

    def add(
        self,
        documents: Sequence[Document],
        passages: Sequence[Sequence[Passage]],
        vectors: Vectors,
        unreadable: NDArray[np.float32] | None = None,
        tokens: TokenCodes | None = None,
    ) -> None:
        """Add documents with their passages and the passages' vectors.

        A later document replaces an earlier one with the same id.  `vectors` is (passages, dimension), document after
        document.  `unreadable`, (documents,), is the share of each text that the tokenizer cannot read, if known.
        `tokens` are the codes of the passages' token vectors, for a collection that stores them.
        Raises BadDocument, SchemaError and EncoderMismatch before anything is written.
        """
        if not documents:
            return
        with self._turn:
            self._pending.resume()
            entries = self._entries(documents, passages, vectors, unreadable, tokens)
            self._pending.add(entries)
            self._changes.added(entries.ids)

    def _entries(
        self,
        documents: Sequence[Document],
        passages: Sequence[Sequence[Passage]],
        vectors: Vectors,
        unreadable: NDArray[np.float32] | None,
        tokens: TokenCodes | None,
    ) -> SegmentEntries:
        count, dimension = sum(map(len, passages)), self.settings.encoder.dimension
        if len(passages) != len(documents) or len(vectors) != count:
            raise ValueError(
                f"{len(documents)} documents, {len(passages)} lists of {count} passages, {len(vectors)} vectors"
            )
        if vectors.ndim != 2 or vectors.shape[1] != dimension:
            raise EncoderMismatch(
                f"{self.path}: vectors of {vectors.shape[-1]} dimensions for a collection of {dimension}; "
                f"use the encoder that made it, {self.settings.encoder.name!r}"
            )
        self._check_tokens(tokens, count)
        checked = self._check(documents)
        if unreadable is None:
            unreadable = np.full(len(documents), np.nan, dtype=np.float32)
        digests = checked.ids, checked.contents, checked.texts
        return SegmentEntries(checked.documents, passages, vectors, *digests, unreadable, tokens)

    def _check_tokens(self, tokens: TokenCodes | None, passages: int) -> None:
        settings = self.settings.tokens
        if settings is None and tokens is None:
            return
        if settings is None or tokens is None:
            stored = f"the token vectors of {settings.encoder.name!r}" if settings else "no token vectors"
            raise EncoderMismatch(f"{self.path}: stores {stored}; give the writer those of each passage, or none")
        width = TokenCodec(settings.encoder.dimension, settings.bits).width
        if len(tokens) != passages or tokens.codes.shape != (int(tokens.counts.sum()), width):
            raise ValueError(f"token codes {tokens.codes.shape} of {len(tokens)} passages; {passages} are added")

    def _check(self, documents: Sequence[Document]) -> CheckedDocuments:
        """Check documents, and add their new fields to the schema."""
        schema = self._infer_schema(documents)
        lexical = self.settings.lexical
        checked = check_documents(documents, schema, lexical.searched_fields if lexical else ())
        self._pending.schema = schema
        return checked

    def _infer_schema(self, documents: Sequence[Document]) -> Schema:
        if self.settings.schema is not None:
            return self.schema
        return extend_schema(self.schema, (document.metadata for document in documents))

    def stored(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that the writer has, without sections, by id."""
        with self._turn:
            found = self._pending.stored(id_digests(ids))
        return {document.id: document for document in found if document is not None}

    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document that `stored` returned."""
        return self._pending.segments.passages(id_digests([document_id]))

    def typed(self, documents: Sequence[Document]) -> list[Document]:
        """Return documents with typed metadata.  Raises BadDocument and SchemaError."""
        with self._turn:
            return self._check(documents).documents

    def update_metadata(self, documents: Sequence[Document]) -> None:
        """Give documents that `stored` returned new metadata; the ids are distinct.

        Text, passages and vectors stay.  Raises BadDocument and SchemaError as `add` does; then nothing has changed.
        """
        with self._turn:
            checked = self._check(documents)
            self._pending.update_metadata(checked.documents, checked.ids, checked.contents)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents by id; return the number of them that existed."""
        return self._pending.delete(ids)

    def delete_digests(self, ids: Digests) -> int:
        """Delete documents by the digests of their ids; return how many existed."""
        return self._pending.delete_digests(ids)

    def delete_expired(self) -> int:
        """Delete the documents whose time has come; return their number.

        Each commit does so, too.  Raises InputError if documents of the collection do not expire.
        """
        if not self.settings.expires:
            raise InputError(
                f"{self.path}: its documents do not expire; name a date field by `attendex index … --expires FIELD`"
            )
        return self._pending.delete_expired()

    def delete_unseen(self) -> int:
        """Delete older documents that the writer was not given; return their number."""
        return self._pending.delete_unseen()

    def unseen(self) -> Iterator[list[Document]]:
        """Yield the older documents that the writer was not given, in batches."""
        return self._pending.unseen()

    def commit(self, encoder: Encoder | None = None, sparse_encoder: SparseEncoder | None = None) -> int:
        """Make the pending generation current, if it has a change; return its number.

        `encoder`, the collection's own, calibrates a collection that needs it, and encodes the windows of new passages;
        `sparse_encoder`, the collection's own, encodes new passages for the sparse index.  Without them, the writer
        loads those that it needs.
        """
        manifest = self._pending.prepare(self.cause, self._policy, encoder, sparse_encoder)
        if manifest is not None:
            if encoder is not None:
                manifest = calibrated(self.path, manifest, encoder)
            publish(self.path, manifest, self._files)
            self.generation = manifest.generation
        self._end()
        return self.generation

    def prepare(self, encoder: Encoder | None, sparse_encoder: SparseEncoder | None) -> Manifest | None:
        """Write the pending generation, complete but not current; None without a change.

        `make_current` makes it current.  Until then the next writer resumes with its segments.
        """
        self._pending.keep_unfinished()
        manifest = self._pending.prepare(self.cause, self._policy, encoder, sparse_encoder)
        if manifest is not None:
            publish_kept(self.path, manifest, self._files)
            self.generation = manifest.generation
        return manifest

    def make_current(self) -> None:
        """Make the prepared generation, if there is one, current."""
        make_current(self.path, self.generation, self._files)
        self._end()

    def resume(self) -> None:
        """Open the segments that an interrupted build finished."""
        with self._turn:
            self._pending.resume()

    def rollback(self) -> None:
        """Drop the pending generation, finished segments included."""
        self._end()

    def _end(self) -> None:
        """Close the generation; leave files that cannot be removed to the next writer."""
        self._pending.close()
        self._ended = True
        try:
            if self._pending.uses_keys:
                self._files.unlink(self.path / JOURNAL)
            collect_garbage(self.path, self._retention, self._files)
            collect_originals(self.path, self._files)
        except CollectionError as error:
            log.warning("cannot remove old files; the next writer will: %s", error)


def _settings(path: Path, base: Manifest | None, create: CollectionSettings | None) -> CollectionSettings:
    """Return the settings; raise EncoderMismatch if `create` contradicts them."""
    if base is None:
        assert create is not None
        return create
    if create is not None and (differences := base.encoder.differences(create.encoder)):
        raise EncoderMismatch(
            f"{path}: made by the encoder {base.encoder.name!r}, not {create.encoder.name!r} "
            f"({'; '.join(differences)}); use that one, or index into a new directory"
        )
    settings = base.settings
    if create is not None and create.sparse:
        settings = _with_sparse_index(path, settings, create.sparse)
    return _with_expiry(path, settings, create.expires) if create is not None and create.expires else settings


def _with_expiry(path: Path, settings: CollectionSettings, field: str) -> CollectionSettings:
    """Let documents expire by a field; InputError if they do by another one."""
    if settings.expires not in ("", field):
        raise InputError(
            f"{path}: documents expire by the field {settings.expires!r}, not {field!r}; leave out --expires, or index "
            "into a new directory"
        )
    return replace(settings, expires=field)


def _with_sparse_index(path: Path, settings: CollectionSettings, sparse: SparseSettings) -> CollectionSettings:
    """Add a sparse index; EncoderMismatch if the collection has another."""
    if settings.sparse is None:
        return replace(settings, sparse=sparse)
    known = settings.sparse.encoder
    if differences := known.differences(sparse.encoder):
        raise EncoderMismatch(
            f"{path}: has a sparse index of the encoder {known.name!r}, not {sparse.encoder.name!r} "
            f"({'; '.join(differences)}); leave out --sparse, or index into a new directory"
        )
    return settings
