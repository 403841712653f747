"""The generation that a writer builds.

It has older segments, resumed segments, new segments, and deletions.  Nothing of it is visible to readers.  Finished
segments are durable: `pending.json` names them, so that the next writer can resume after an interruption (see
resume_journal.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from indexer.writing.lexical_build import BackgroundLexicalBuild, write_lexical_index
from indexer.writing.pending_segments import (
    PendingSegment,
    PendingSegments,
    SegmentOrigin,
    open_base_segments,
    open_resumed_segments,
)
from indexer.writing.prepare_commit import GenerationTarget, build_ann_indexes, merge_pending, segment_records
from indexer.writing.resume_journal import ResumeJournal, read_journal, write_journal
from indexer.writing.segment_merge import MergePolicy
from indexer.writing.segment_writer import SegmentBuilder, SegmentEntries
from indexer.writing.sparse_build import write_sparse_index
from indexer.writing.window_build import add_windows
from retrieval.encoder.sparse import SparseEncoder
from retrieval.errors import CorruptCollection
from retrieval.index.collection.document_ids import Digests, id_digests
from retrieval.index.collection.segment import Segment
from retrieval.index.metadata.expiry import has_expiry
from retrieval.index.storage.manifest import SEGMENTS, Manifest, SegmentRecord
from retrieval.index.storage.settings import CollectionSettings
from retrieval.index.vectors.token_codes import TokenCodec
from retrieval.index.vectors.token_store import TokenWriter
from retrieval.protocols import Encoder
from retrieval.types import Document, Passage, Schema
from retrieval.util.files import Files

log = logging.getLogger(__name__)

BACKGROUND_LEXICAL_PASSAGES = 256  # a smaller first block does not repay a thread for its lexical index


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """Sizes at which a segment is finished.

    They bound memory, and the work that an interruption loses.  `merged_passages` bounds the passages of older segments
    that a commit merges.
    """

    passages: int = 1 << 16
    text_bytes: int = 256 << 20
    merged_passages: int = 20_000  # `attendex merge` merges larger segments


@dataclass(slots=True)
class WriterCounts:
    """Numbers of documents that a writer has handled since it was opened."""

    added: int = 0  # documents written
    replaced: int = 0  # documents of the old generation that got a new version
    duplicates: int = 0  # documents, written or not, that a later one of this writer with the same id replaced
    unchanged: int = 0
    updated: int = 0  # got new metadata alone
    resumed: int = 0  # taken from an interrupted build
    deleted: int = 0
    expired: int = 0  # deleted because their time had come


class PendingGeneration:
    """The next generation, built step by step; it keeps `counts` up to date."""

    def __init__(
        self,
        collection: Path,
        base: Manifest | None,
        settings: CollectionSettings,
        limits: SegmentLimits,
        counts: WriterCounts,
        files: Files,
    ) -> None:
        self.base = base
        self.settings = settings
        self.schema: Schema = base.schema if base else settings.schema or {}
        self.segments = PendingSegments(open_base_segments(collection, base.segments if base else ()))
        self.resumed = False  # whether `resume` was called
        self._collection = collection
        self._limits = limits
        self._counts = counts
        self._files = files
        self._next_key = base.next_key if base else 0
        self._builder: SegmentBuilder | None = None
        self._lexical: BackgroundLexicalBuild | None = None

    @property
    def uses_keys(self) -> bool:
        """Whether it has new passages, so that an older journal is used up."""
        return bool(self._counts.added or self._counts.resumed)

    def resume(self) -> None:
        """Open the segments that an interrupted writer finished.

        Call it before the first document is added.  A writer that only deletes does not call it, and leaves the
        segments to another writer.
        """
        if self.resumed:
            return
        self.resumed = True
        journal = read_journal(self._collection)
        if journal is None or not journal.fits(self._next_key, self.settings, self.schema):
            return
        try:
            segments = open_resumed_segments(self._collection, journal.segments)
        except CorruptCollection as error:
            log.warning("cannot resume the interrupted build: %s", error)
            return
        self.segments.segments += segments
        self._next_key = journal.next_key
        self.schema = {**self.schema, **journal.schema}

    def is_being_written(self, id_digest: bytes) -> bool:
        """Check whether the unfinished segment holds a live document with this id digest."""
        return self._builder is not None and self._builder.content_of(id_digest) is not None

    def add(self, entries: SegmentEntries) -> None:
        """Append documents; finish the segment, durably, when it reaches its limits."""
        passages = len(entries.vectors)
        self._index_words(entries.documents, entries.passages, passages)
        builder = self._builder or self._start_segment()
        self._counts.duplicates += builder.add(entries, self._next_key)
        self._counts.added += len(entries.documents)
        self._next_key += passages
        if builder.passages >= self._limits.passages or builder.text_bytes >= self._limits.text_bytes:
            self._finish_segment()
            self._write_journal()

    def _index_words(
        self, documents: Sequence[Document], passages: Sequence[Sequence[Passage]], num_passages: int
    ) -> None:
        """Index the words in a thread if the first block is large enough to repay it."""
        lexical = self.settings.lexical
        if not self._counts.added and num_passages >= BACKGROUND_LEXICAL_PASSAGES and lexical is not None:
            previous = self.base.lexical if self.base else None
            self._lexical = BackgroundLexicalBuild(self._collection, lexical, previous, self._files)
        if self._lexical is not None:
            self._lexical.add(documents, passages, self._next_key)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents by id; return the number of them that existed."""
        return self.delete_digests(id_digests(list(dict.fromkeys(ids))))

    def delete_digests(self, digests: Digests) -> int:
        """Delete documents by distinct digests of ids; return how many existed."""
        existed = self.segments.live(digests)
        self.segments.delete(digests)
        if self._builder is not None:
            existed |= np.array([self._builder.remove(digest.tobytes()) for digest in digests], dtype=np.bool_)
        deleted = int(np.count_nonzero(existed))
        self._counts.deleted += deleted
        return deleted

    def update_metadata(self, documents: Sequence[Document], ids: Digests, contents: Digests) -> None:
        """Give live documents of finished segments new metadata; the ids are distinct."""
        self.segments.update(documents, ids, contents, self.schema)
        self._counts.updated += len(documents)

    def stored(self, ids: Digests) -> list[Document | None]:
        """Return the live document of each id digest, without sections; None if unknown."""
        if any(self.is_being_written(digest.tobytes()) for digest in ids):
            self._finish_segment()
        return self.segments.stored(ids)

    def delete_expired(self) -> int:
        """Delete the documents whose time has come, if any can expire."""
        self._finish_segment()
        if not has_expiry(self.settings.expires, self.schema):
            return 0
        deleted = self.segments.delete_expired(self.settings.expires, datetime.now(UTC))
        self._counts.expired += deleted
        return deleted

    def delete_unseen(self) -> int:
        """Delete base documents that the writer was not given; return their number."""
        self._finish_segment()
        deleted = self.segments.delete_unseen()
        self._counts.deleted += deleted
        return deleted

    def unseen(self) -> Iterator[list[Document]]:
        """Yield the base documents that the writer was not given, in batches."""
        self._finish_segment()
        return self.segments.unseen()

    def prepare(
        self,
        cause: str,
        policy: MergePolicy,
        encoder: Encoder | None = None,
        sparse_encoder: SparseEncoder | None = None,
    ) -> Manifest | None:
        """Write all files; return the manifest, or None if nothing changed.

        Expired documents are deleted.  The encoders are those of the settings; without them, windows and passages to
        encode load them.
        """
        self.delete_expired()
        target = self._target
        add_windows(self.segments, target, self.settings.encoder, encoder, self._write_journal)
        merge_pending(self.segments, target, policy, self._limits.merged_passages)
        build_ann_indexes(self.segments, target, self._write_journal)
        records = segment_records(self.segments, target)
        if self.base and records == self.base.segments and not _has_new_settings(self.base.settings, self.settings):
            return None
        previous = self.base.lexical if self.base else None
        lexical = write_lexical_index(
            self._collection,
            self.segments.segments,
            self.settings.lexical,
            previous,
            self._files,
            background=self._lexical,
        )
        sparse = write_sparse_index(
            self._collection,
            self.segments.segments,
            self.settings.sparse,
            self.base.sparse if self.base else None,
            self._files,
            encoder=sparse_encoder,
        )
        return replace(self._manifest(cause, records), lexical=lexical, sparse=sparse)

    def keep_unfinished(self) -> None:
        """Finish the segment and record it, so that the next writer resumes with it."""
        if self._builder is not None:
            self._finish_segment()
            self._write_journal()

    def close(self) -> None:
        """Stop the lexical thread, and drop the unfinished segment."""
        if self._lexical is not None:
            self._lexical.close()
            self._lexical = None
        if self._builder is not None:
            self._builder.abandon()
            self._builder = None

    @property
    def _target(self) -> GenerationTarget:
        number = self.base.generation + 1 if self.base else 1
        return GenerationTarget(self._collection, number, self.schema, self.settings.vectors, self._files)

    def _start_segment(self) -> SegmentBuilder:
        target, settings = self._target, self.settings
        folder = target.new_folder()
        tokens = None
        if settings.tokens is not None:
            dimension = settings.tokens.encoder.dimension
            tokens = TokenWriter(folder, dimension, TokenCodec(dimension, settings.tokens.bits).width, self._files)
        self._builder = SegmentBuilder(folder, settings.encoder.dimension, target.dtype, self._files, tokens)
        return self._builder

    def _finish_segment(self) -> None:
        if self._builder is None:
            return
        finished = self._builder.finish(self.schema)
        self._builder = None
        self._files.sync_directory(self._collection / SEGMENTS)
        segment = Segment(self._collection, finished.record)
        deleted = self.segments.append(PendingSegment(segment, finished.live, SegmentOrigin.NEW))
        self._counts.replaced += deleted.base
        self._counts.duplicates += deleted.own

    def _write_journal(self) -> None:
        if not self.uses_keys:
            return
        base_key = self.base.next_key if self.base else 0
        own = (segment.segment for segment in self.segments.segments if segment.origin is not SegmentOrigin.BASE)
        # A segment that was merged with older ones starts with an older key: it cannot be resumed.
        records = tuple(segment.record for segment in own if segment.keys[0] >= base_key)
        journal = ResumeJournal(base_key, self.settings, self.schema, records, self._next_key)
        write_journal(self._collection, journal, self._files)

    def _manifest(self, cause: str, records: tuple[SegmentRecord, ...]) -> Manifest:
        """Return the manifest without inverted indexes."""
        return Manifest(
            generation=self._target.generation,
            created=datetime.now(UTC),
            cause=cause,
            settings=self.settings,
            schema=self.schema,
            segments=records,
            lexical=None,
            next_key=self._next_key if self.uses_keys or self.base is None else self.base.next_key,
            unreadable_share=self.segments.unreadable_share(),
            background=self.base.background if self.base else None,
        )


def _has_new_settings(before: CollectionSettings, now: CollectionSettings) -> bool:
    """Check the settings that a build adds without changing a document."""
    return (before.sparse, before.expires) != (now.sparse, now.expires)
