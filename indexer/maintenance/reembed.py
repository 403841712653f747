"""Re-embed a collection with another encoder, without downtime.

Documents and passages stay; they get new vectors.  Each segment gets a re-embedded copy.  Its files are hard links to
the segment's files, except for the vectors and facts. The vectors are encoded in blocks of some thousand, each durable,
so that an interrupted run can resume.  Writers do not wait meanwhile: segments that they add are re-embedded before the
one commit that makes all copies current.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from indexer.writing.calibration import calibrated
from indexer.writing.commit import CommitOptions, commit_change
from indexer.writing.garbage import REEMBED_LOCK, REEMBED_PREFIX, Retention, readable_manifest
from indexer.writing.prepare_commit import build_ann_index, plan_ann_index
from indexer.writing.window_build import write_windows
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import CorruptCollection, InputError
from retrieval.index.collection.document_store import passage_text
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.segment import FACTS, VECTORS, Segment
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import SEGMENTS, Manifest, SegmentRecord, kept_generations, read_manifest
from retrieval.index.storage.npy import npy_bytes
from retrieval.index.storage.settings import Canaries, CollectionSettings
from retrieval.index.vectors.store import VectorWriter, open_vectors
from retrieval.index.vectors.window_store import WINDOW_FILES
from retrieval.search.encoder_check import check_unchanged
from retrieval.search.readability import Readability
from retrieval.types import EncoderFingerprint, Rows, Vectors
from retrieval.util.files import Files, locked, write_file
from retrieval.util.remote_names import is_remote

BLOCK_ROWS = 4096
REMOTE_BLOCK_ROWS = 512  # their vectors cost money, and an interruption loses those of a block

AcceptGeneration = Callable[[IndexReader], bool]  # decides on the new generation before it becomes current


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """The result of a run; vectors that were not accepted stay for another run."""

    switched: bool
    generation: int
    encoded: int


def reembed(
    collection: Path,
    encoder: SentenceEncoder,
    *,
    accept: AcceptGeneration | None = None,
    wait_s: float = 60.0,
    retention: Retention | None = None,
    files: Files | None = None,
) -> ReembedReport:
    """Encode all passages again with `encoder`, and commit the result.

    `accept` sees the new generation first; nothing is committed if it returns False.  Raises InputError if this encoder
    made the collection, CollectionLocked if another run is at work.
    """
    files = files or Files()
    current = read_manifest(collection)
    check_other_encoder(collection, current.encoder, encoder)
    with locked(collection / REEMBED_LOCK, wait_s=1.0):  # it waits because the collector tries the lock for a moment
        run = Reembedding(collection, encoder, files)
        run.write_marker()
        manifest = run.manifest(current)
        if accept is not None:
            with IndexReader(collection, run.measured(manifest)) as reader:
                if not accept(reader):
                    return ReembedReport(False, current.generation, run.encoded)
        check_unchanged(collection.name, run.canaries, encoder)
        generation = run.commit(CommitOptions(wait_s, retention or Retention(), files))
    return ReembedReport(True, generation, run.encoded)


def check_other_encoder(collection: Path, made_by: EncoderFingerprint, encoder: SentenceEncoder) -> None:
    """Raise InputError if `encoder` made the collection."""
    if not made_by.differences(encoder.fingerprint):
        raise InputError(
            f"{collection}: already has the vectors of this encoder ({encoder.fingerprint.name!r}); name another one"
        )


class Reembedding:
    """The segments of a collection with the vectors of another encoder."""

    def __init__(self, collection: Path, encoder: SentenceEncoder, files: Files) -> None:
        self.encoded = 0
        self._collection = collection
        self._encoder = encoder
        self._files = files
        identity = {**asdict(encoder.fingerprint), "name": ""}
        self._marker = REEMBED_PREFIX + hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
        self._records: dict[str, SegmentRecord] = {}  # by the name of the original segment
        self._reusable = _segments_of(collection, encoder)
        texts = read_manifest(collection).settings.canaries.texts
        self.canaries = Canaries(texts, encoder.encode_passages(texts))

    def write_marker(self) -> None:
        """Protect this encoder's segments, and no others, from the garbage collector."""
        for path in self._collection.glob(f"{REEMBED_PREFIX}*"):
            if path.name != self._marker:
                self._files.unlink(path)
        if not (self._collection / self._marker).exists():
            write_file(self._files, self._collection / self._marker, b"")
        self._files.sync_directory(self._collection)

    def manifest(self, current: Manifest) -> Manifest:
        """Return the generation after `current`; re-embed the segments that it lacks."""
        for record in current.segments:
            if record.name not in self._records:
                self._records[record.name] = self._reembed(record, current)
        segments = (
            replace(self._records[record.name], deletions=record.deletions, updates=record.updates)
            for record in current.segments
        )
        return replace(
            current,
            generation=current.generation + 1,
            settings=self.settings(current.settings),
            segments=tuple(segments),
            unreadable_share=None,
            background=None,
        )

    def settings(self, current: CollectionSettings) -> CollectionSettings:
        """Return the settings of the collection with the encoder of this run."""
        runtime = self._encoder.runtime
        return replace(
            current,
            encoder=self._encoder.fingerprint,
            runtime=runtime.name,
            precision=runtime.precision,
            canaries=self.canaries,
        )

    def has_all(self, current: Manifest) -> bool:
        """Check whether every segment of a generation is re-embedded."""
        return all(record.name in self._records for record in current.segments)

    def remove_marker(self) -> None:
        """End the protection of segments that the current generation now names."""
        self._files.unlink(self._collection / self._marker)

    def commit(self, options: CommitOptions) -> int:
        """Commit once every current segment is re-embedded; return the generation."""

        def change(current: Manifest) -> Manifest | None:
            if not self.has_all(current):
                return None
            return self.measured(self.manifest(current))

        cause = f"reembed with {self._encoder.fingerprint.name}"
        marker = self._collection / self._marker
        while True:
            outcome = commit_change(self._collection, cause, change, options, obsolete=[marker])
            if outcome.committed:
                return outcome.manifest.generation
            self.manifest(outcome.manifest)  # without the lock: encode the segments that a writer added meanwhile

    def measured(self, manifest: Manifest) -> Manifest:
        """Return the manifest with the encoder's share of unreadable text and background."""
        return calibrated(self._collection, self.with_unreadable_share(manifest), self._encoder)

    def with_unreadable_share(self, manifest: Manifest) -> Manifest:
        """Return the manifest with the share of text that the encoder cannot read."""
        with IndexReader(self._collection, manifest) as reader:
            shares = [segment.facts["unreadable"][segment.live_documents] for segment in reader.segments]
        known = np.concatenate([np.empty(0, np.float32), *shares])
        share = float(known.mean(dtype=np.float64)) if len(known) else None
        return replace(manifest, unreadable_share=share)

    def _reembed(self, record: SegmentRecord, current: Manifest) -> SegmentRecord:
        """Copy a segment: links, new vectors, new facts, and an ANN index of its own."""
        name = f"{self._marker}-{record.name}"
        if name in self._reusable:
            return self._reusable[name]
        source = Segment(self._collection, record)
        folder = self._collection / SEGMENTS / name
        self._files.make_directory(folder)
        self._write_vectors(source, folder, current.settings.vectors.dtype)
        self._remove_leftover(folder / FACTS)
        write_file(self._files, folder / FACTS, npy_bytes(self._facts(source)))
        linked = [file for file in record.files if file.name not in (VECTORS, FACTS, *WINDOW_FILES)]
        for file in linked:
            self._remove_leftover(folder / file.name)
            self._files.link(source.folder / file.name, folder / file.name)
        self._files.sync_directory(folder)
        new = (record_file(folder, FACTS), record_file(folder, VECTORS))
        copy = replace(record, name=folder.name, files=(*linked, *new), ann_index=None)
        sentences = current.settings.vectors.window_sentences
        if sentences:
            segment = Segment(self._collection, copy)
            copy = write_windows(segment, self._encoder, sentences, current.settings.vectors.dtype, self._files)
        return self._with_ann_index(copy, current)

    def _with_ann_index(self, record: SegmentRecord, current: Manifest) -> SegmentRecord:
        segment = Segment(self._collection, record)
        plan = plan_ann_index(segment, current.settings.vectors)
        return build_ann_index(segment, plan, current.settings.vectors, self._files) if plan else record

    def _remove_leftover(self, path: Path) -> None:
        """Remove a file that an interrupted run may have left."""
        if path.exists():
            self._files.unlink(path)

    def _write_vectors(self, source: Segment, folder: Path, dtype: str) -> None:
        """Encode the blocks that are missing, and then join all blocks in one file."""
        if _is_complete(folder / VECTORS, len(source)):
            return
        self._remove_leftover(folder / VECTORS)
        size = REMOTE_BLOCK_ROWS if is_remote(self._encoder.fingerprint.name) else BLOCK_ROWS
        blocks = [folder / f"lot-{start:012d}.npy" for start in range(0, len(source), size)]
        for number, block in enumerate(blocks):
            rows = np.arange(number * size, min((number + 1) * size, len(source)))
            if not _is_complete(block, len(rows)):
                self._remove_leftover(block)
                with VectorWriter(block, self._encoder.dimension, dtype, self._files) as writer:
                    writer.append(self._encode(source, rows))
        with VectorWriter(folder / VECTORS, self._encoder.dimension, dtype, self._files) as writer:
            for block in blocks:
                writer.append(np.asarray(open_vectors(block), dtype=np.float32))
        for block in blocks:
            self._files.unlink(block)

    def _encode(self, source: Segment, rows: Rows) -> Vectors:
        """Encode rows, also of deleted documents: a rollback may make them live again."""
        wanted = np.zeros(len(source), dtype=np.bool_)
        wanted[rows] = True
        texts = [
            passage_text(title, "", text)
            for batch in source.scan(wanted)
            for title, text in zip(batch.titles, batch.texts, strict=True)
        ]
        self.encoded += len(texts)
        return self._encoder.encode_passages(texts)

    def _facts(self, source: Segment) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """Copy the facts, with the share of each text that the new tokenizer cannot read."""
        facts = source.facts.copy()
        readability = Readability(self._encoder.tokenizer)
        for start in range(0, len(facts), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(facts)))
            facts["unreadable"][rows] = readability.unreadable_shares(source.documents(rows))
        return facts


def _segments_of(collection: Path, encoder: SentenceEncoder) -> dict[str, SegmentRecord]:
    """Return the segments of kept generations that this encoder made."""
    manifests = (readable_manifest(collection, number) for number in kept_generations(collection))
    same = (manifest for manifest in manifests if manifest and not manifest.encoder.differences(encoder.fingerprint))
    return {segment.name: segment for manifest in same for segment in manifest.segments}


def _is_complete(path: Path, rows: int) -> bool:
    """Check whether a run finished this file of vectors; the header is completed last."""
    try:
        return len(open_vectors(path)) == rows
    except CorruptCollection:
        return False
