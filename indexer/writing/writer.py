"""The one writer of a collection: add, delete, commit, roll back.

A generation is committed in this order: the files of new segments, each fsynced; their folder; deletions; the lexical
index; the generation's manifest; and then, in one atomic step, `manifest.json`.  Only after that is garbage collected.
Killed before the step, the old generation stands, and what lies beside it goes with the next writer; killed after
it, the new one stands.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from indexer.writing.collection_lock import CollectionLock
from indexer.writing.commit import publish
from indexer.writing.document_checks import CheckedDocuments, checked, fits
from indexer.writing.garbage import FOLDERS, Retention, collect_garbage
from indexer.writing.lexical_build import BackgroundLexicalBuild, write_lexical_index
from indexer.writing.pending_generation import PendingSegment, PendingSegments, SegmentOrigin
from indexer.writing.prepare_commit import GenerationTarget, build_structures, merge_pending, segment_records
from indexer.writing.resume_journal import JOURNAL, Journal, read_journal, write_journal
from indexer.writing.segment_merge import MergePolicy
from indexer.writing.segment_writer import SegmentBuilder, SegmentEntries
from retrieval.errors import (
    CollectionError,
    CorruptCollection,
    EncoderMismatch,
    SchemaError,
    StorageError,
)
from retrieval.index.collection.document_ids import Digests, id_digests
from retrieval.index.collection.segment import Segment
from retrieval.index.metadata.schema import extend_schema
from retrieval.index.storage.manifest import (
    SEGMENTS,
    LexicalRecord,
    Manifest,
    SegmentRecord,
    read_manifest,
    was_committed,
)
from retrieval.index.storage.settings import CollectionSettings
from retrieval.types import Bitmap, Document, Passage, Schema, Vectors
from retrieval.util.files import Files

log = logging.getLogger(__name__)

BACKGROUND_LEXICAL_PASSAGES = 256  # passages of a first block from which on a thread for their words is worth it


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When a segment is finished and the next one begun (bounds memory, and what an interruption can cost).

    `merged_passages` bounds what a commit merges of older segments.
    """

    passages: int = 1 << 16
    text_bytes: int = 256 << 20
    merged_passages: int = 20_000  # more than that is merged by `attendex merge`


@dataclass(slots=True)
class WriterCounts:
    """What a writer has done since it was opened."""

    added: int = 0  # documents written
    replaced: int = 0  # documents of the old generation that got a new version
    duplicates: int = 0  # documents, written or not, that a later one with the same id replaced, within this writer
    unchanged: int = 0
    resumed: int = 0  # taken over from an interrupted build
    deleted: int = 0


class Writer:
    """The lock of a collection and one pending generation; nothing of it is visible before `commit`.

    `create` makes the collection where there is none; where there is one, its encoder must be the same.  Leaving the
    context without a commit gives the pending generation up; leaving it on an exception keeps finished segments for
    the next writer to take over (see journal.py).  After `commit` or `rollback` a writer is done.  Raises
    CollectionLocked when another writer does not let go within `wait_s` seconds.
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
        self._create = create
        self._wait_s = wait_s
        self._retention = retention or Retention()
        self._limits = limits or SegmentLimits()
        self._policy = policy or MergePolicy()
        self._files = files or Files()
        self._hold = CollectionLock(self.path, self._files)
        self._builder: SegmentBuilder | None = None
        self._words: BackgroundLexicalBuild | None = None
        self._taken_over = False
        self._ended = False

    def __enter__(self) -> Writer:
        self._hold.take(create=self._create is not None, wait_s=self._wait_s)
        try:
            self._open()
        except BaseException:
            self._hold.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._ended:
                self.rollback()
            elif error is not None and not self._ended:
                self._give_up(error)
        finally:
            self._hold.release()

    def _give_up(self, error: BaseException) -> None:
        """Remove what is not finished; what is stays for the next writer, and `error` gets a note that says so."""
        self._end_words()
        if self._builder is not None:
            self._builder.abandon()
        try:
            collect_garbage(self.path, self._retention, self._files)
        except CollectionError as problem:
            log.warning("something unfinished is left behind: %s", problem)
        journal = read_journal(self.path) if self._taken_over else None
        if journal is not None and journal.segments:
            kept = sum(each.passages for each in journal.segments)
            error.add_note(f"{kept:,} finished passages are kept in {self.path}; the same sources go on from there")

    def _open(self) -> None:
        self._open_base()
        collect_garbage(self.path, self._retention, self._files)
        missing = [folder for folder in (self.path / name for name in FOLDERS) if not folder.exists()]
        for folder in missing:
            self._files.make_directory(folder)
        if missing:
            self._files.sync_directory(self.path)

    def _open_base(self) -> None:
        base = read_manifest(self.path) if was_committed(self.path) else None
        self.settings = _settings(self.path, base, self._create)
        self._base = base
        self.generation = base.generation if base else 0
        self.schema: Schema = base.schema if base else self.settings.schema or {}
        self._next_key = base.next_key if base else 0
        self._awaited: set[bytes] = set()  # id digests of documents that were said to have changed, until they come
        segments = base.segments if base else ()
        self._pending = PendingSegments([_part(self.path, each, SegmentOrigin.BASE) for each in segments])

    def _take_over(self) -> None:
        """Open what an interrupted writer finished; its documents stay dead until they are claimed.

        Only once something is to be written: a writer that merely deletes leaves it to another.
        """
        if self._taken_over:
            return
        self._taken_over = True
        journal = read_journal(self.path)
        if journal is None or not journal.fits(self._next_key, self.settings, self.schema):
            return
        try:
            parts = [_part(self.path, each, SegmentOrigin.RESUMED) for each in journal.segments]
        except CorruptCollection as error:
            log.warning("an interrupted build cannot be taken over: %s", error)
            return
        self._pending.parts += parts
        self._next_key = journal.next_key
        self.schema = {**self.schema, **journal.schema}

    def declare(self, types: Schema) -> None:
        """Types of fields that documents will bring; what is not named is still inferred, as the collection has it.

        Raises SchemaError where the collection has the field with another type, or takes no further fields.
        """
        for name, kind in types.items():
            there = self.schema.get(name, kind if self.settings.schema is None else "none")
            if there != kind:
                raise SchemaError(
                    f"{self.path}: field {name!r} is {there} there, not {kind}; leave the type out, or index into a "
                    "new directory"
                )
        self.schema = {**self.schema, **types}

    def unchanged(self, documents: Sequence[Document]) -> list[bool]:
        """Which documents need not be added: as they are there already, or a later one here has the same id.

        Documents must be asked about in the order in which those that changed will be added.  Raises BadDocument and
        SchemaError for what `add` would refuse, before anything is remembered.
        """
        if not documents:
            return []
        self._take_over()
        admitted = self._admitted(documents)
        last = {digest.tobytes(): place for place, digest in enumerate(admitted.ids)}
        self.counts.duplicates += len(documents) - len(last)
        free = np.array([place for key, place in last.items() if not self._on_its_way(key)], dtype=np.int64)
        needless = np.ones(len(documents), dtype=np.bool_)
        needless[list(last.values())] = False
        needless[free] = self._known(admitted.ids[free], admitted.contents[free])
        self._awaited.update(key for key, place in last.items() if not needless[place])
        return [bool(each) for each in needless]

    def _known(self, ids: Digests, contents: Digests) -> Bitmap:
        """Which documents are there as they are, in the old generation or in what an interrupted build finished."""
        known = self._pending.unchanged(ids, contents)
        self.counts.unchanged += int(np.count_nonzero(known))
        claimed = self._pending.claim(ids[~known], contents[~known])
        self.counts.resumed += int(np.count_nonzero(claimed))
        known[~known] = claimed
        return known

    def _on_its_way(self, key: bytes) -> bool:
        """Whether another document with that id is still to be written: then the order of the two must hold."""
        return key in self._awaited or (self._builder is not None and self._builder.content_of(key) is not None)

    def add(
        self,
        documents: Sequence[Document],
        passages: Sequence[Sequence[Passage]],
        vectors: Vectors,
        unreadable: NDArray[np.float32] | None = None,
    ) -> None:
        """Add documents with the vectors of their passages, in order; a later document replaces one of the same id.

        `unreadable`, (documents,): which share of each text the tokenizer cannot read, where that is known.  Raises
        BadDocument, SchemaError and EncoderMismatch before anything is written.
        """
        if not documents:
            return
        self._take_over()
        entries = self._entries(documents, passages, vectors, unreadable)
        self._add_words(documents, passages, len(vectors))
        builder = self._builder or self._start_segment()
        self.counts.duplicates += builder.add(entries, self._next_key)
        self.counts.added += len(documents)
        self._next_key += len(vectors)
        self._awaited.difference_update(digest.tobytes() for digest in entries.ids)
        if builder.passages >= self._limits.passages or builder.text_bytes >= self._limits.text_bytes:
            self._finish_segment()
            self._write_journal()

    def _add_words(self, documents: Sequence[Document], passages: Sequence[Sequence[Passage]], count: int) -> None:
        """Gather the words meanwhile, if the first block says that there are many."""
        lexical = self.settings.lexical
        if not self.counts.added and count >= BACKGROUND_LEXICAL_PASSAGES and lexical is not None:
            self._words = BackgroundLexicalBuild(
                self.path, lexical, self._base.lexical if self._base else None, self._files
            )
        if self._words is not None:
            self._words.add(documents, passages, self._next_key)

    def _entries(
        self,
        documents: Sequence[Document],
        passages: Sequence[Sequence[Passage]],
        vectors: Vectors,
        unreadable: NDArray[np.float32] | None,
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
        admitted = self._admitted(documents)
        if unreadable is None:
            unreadable = np.full(len(documents), np.nan, dtype=np.float32)
        return SegmentEntries(admitted.documents, passages, vectors, admitted.ids, admitted.contents, unreadable)

    def fitting(self, documents: Sequence[Document]) -> list[bool]:
        """Which documents can be added, where new fields have the types that all of these give them together.

        Raises SchemaError where no types can be found for all of them.
        """
        schema = self._inferred(documents)
        return [fits(each, schema) for each in documents]

    def _admitted(self, documents: Sequence[Document]) -> CheckedDocuments:
        """The documents, all of which can be added; fields seen for the first time join the schema."""
        schema = self._inferred(documents)
        admitted = checked(documents, schema)
        self.schema = schema
        return admitted

    def _inferred(self, documents: Sequence[Document]) -> Schema:
        if self.settings.schema is not None:
            return self.schema
        return extend_schema(self.schema, (each.metadata for each in documents))

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents by id; returns how many were there."""
        digests = id_digests(list(dict.fromkeys(ids)))
        there = self._pending.alive(digests)
        self._pending.kill(digests)
        if self._builder is not None:
            there |= np.array([self._builder.remove(digest.tobytes()) for digest in digests], dtype=np.bool_)
        deleted = int(np.count_nonzero(there))
        self.counts.deleted += deleted
        return deleted

    def delete_unseen(self) -> int:
        """Delete what was there before and was neither added nor asked about with `unchanged`; returns how many."""
        self._finish_segment()
        deleted = self._pending.kill_unseen()
        self.counts.deleted += deleted
        return deleted

    def commit(self) -> int:
        """Make the pending generation the current one; returns its number.  Without a change nothing is written."""
        self._finish_segment()
        making = self._making
        merge_pending(self._pending, making, self._policy, self._limits.merged_passages)
        build_structures(self._pending, making, self._write_journal)
        segments = segment_records(self._pending, making)
        if self._base is None or segments != self._base.segments:
            previous = self._base.lexical if self._base else None
            words = write_lexical_index(
                self.path, self._pending.parts, self.settings.lexical, previous, self._files, ahead=self._words
            )
            publish(self.path, self._manifest(segments, words), self._files)
            self.generation += 1
        self._end()
        return self.generation

    def rollback(self) -> None:
        """Give the pending generation up, finished segments included."""
        if self._builder is not None:
            self._builder.abandon()
        self._end()

    @property
    def _used_keys(self) -> bool:
        """Whether there are passages beside the old generation's: what an interrupted build left is used up then."""
        return bool(self.counts.added or self.counts.resumed)

    @property
    def _making(self) -> GenerationTarget:
        return GenerationTarget(self.path, self.generation + 1, self.schema, self.settings.vectors, self._files)

    def _start_segment(self) -> SegmentBuilder:
        making = self._making
        self._builder = SegmentBuilder(making.new_folder(), self.settings.encoder.dimension, making.dtype, self._files)
        return self._builder

    def _finish_segment(self) -> None:
        if self._builder is None:
            return
        built = self._builder.finish(self.schema)
        self._builder = None
        self._files.sync_directory(self.path / SEGMENTS)
        killed = self._pending.append(PendingSegment(Segment(self.path, built.record), built.live, SegmentOrigin.NEW))
        self.counts.replaced += killed.base
        self.counts.duplicates += killed.own

    def _write_journal(self) -> None:
        if not self._used_keys:
            return
        base_key = self._base.next_key if self._base else 0
        own = (part.segment for part in self._pending.parts if part.origin is not SegmentOrigin.BASE)
        segments = tuple(each.record for each in own if each.keys[0] >= base_key)  # not one merged with older ones
        journal = Journal(base_key, self.settings, self.schema, segments, self._next_key)
        write_journal(self.path, journal, self._files)

    def _manifest(self, segments: tuple[SegmentRecord, ...], words: LexicalRecord | None) -> Manifest:
        return Manifest(
            generation=self.generation + 1,
            created=datetime.now(UTC),
            cause=self.cause,
            settings=self.settings,
            schema=self.schema,
            segments=segments,
            lexical=words,
            next_key=self._next_key if self._used_keys or self._base is None else self._base.next_key,
            unreadable_share=self._pending.unreadable_share(),
        )

    def _end_words(self) -> None:
        if self._words is not None:
            self._words.close()
            self._words = None

    def _end(self) -> None:
        """Remove what is no longer needed; what cannot be removed now is left to the next writer."""
        self._end_words()
        self._builder = None
        self._ended = True
        try:
            if self._used_keys:
                self._files.unlink(self.path / JOURNAL)
            collect_garbage(self.path, self._retention, self._files)
        except StorageError as error:
            log.warning("garbage is left behind: %s", error)


def _part(collection: Path, record: SegmentRecord, origin: SegmentOrigin) -> PendingSegment:
    segment = Segment(collection, record)
    live = segment.live_documents.copy() if origin is SegmentOrigin.BASE else np.zeros(record.documents, dtype=np.bool_)
    return PendingSegment(segment, live, origin)


def _settings(path: Path, base: Manifest | None, create: CollectionSettings | None) -> CollectionSettings:
    """The settings of the collection; what is given must not contradict them."""
    if base is None:
        assert create is not None
        return create
    if create is not None and (differences := base.encoder.differences(create.encoder)):
        raise EncoderMismatch(
            f"{path}: made by the encoder {base.encoder.name!r}, not {create.encoder.name!r} "
            f"({'; '.join(differences)}); use that one, or index into a new directory"
        )
    return base.settings
