"""A new encoder without downtime: the same documents and passages with other vectors, built beside the live generation.

Each segment gets a twin: all its files but the vectors are the same files (hard links); the vectors are made again,
some thousand at a time, each lot durable, so that an interrupted run goes on where it was.  No writer waits meanwhile:
segments that are added get their twins before the one commit that makes the twins current.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from indexer.writing.commit import publish
from indexer.writing.garbage import LOCK, REEMBED_LOCK, REEMBED_PREFIX, Retention, collect_garbage, readable_manifest
from indexer.writing.vector_index_build import build_ann_index, plan_ann_index
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import CorruptCollection, InputError
from retrieval.index.collection.document_store import passage_text
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.segment import FACTS, VECTORS, Segment, npy_bytes
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import SEGMENTS, Manifest, SegmentRecord, kept_generations, read_manifest
from retrieval.index.storage.settings import Canaries
from retrieval.index.vectors.store import VectorWriter, open_vectors
from retrieval.search.readability import Readability
from retrieval.types import Rows, Vectors
from retrieval.util.files import Files, locked, write_file

LOT_ROWS = 4096

Accept = Callable[[IndexReader], bool]  # looks at the new generation before it is made current


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """What was done.  Where the new vectors were not accepted they stay for another run, and nothing is switched."""

    switched: bool
    generation: int
    encoded: int


def reembed(
    collection: Path,
    encoder: SentenceEncoder,
    *,
    accept: Accept | None = None,
    wait_s: float = 60.0,
    retention: Retention | None = None,
    files: Files | None = None,
) -> ReembedReport:
    """Make the vectors of a collection again with `encoder`, and the generation that has them current if accepted.

    Raises InputError when that encoder made the collection, CollectionLocked when the same is being done already.
    """
    files = files or Files()
    current = read_manifest(collection)
    if not current.encoder.differences(encoder.fingerprint):
        raise InputError(f"{collection}: is made by this encoder already ({encoder.fingerprint.name!r})")
    with locked(collection / REEMBED_LOCK, wait_s=1.0):  # for who only looks whether it is held
        twins = _Twins(collection, encoder, files)
        twins.mark()
        manifest = twins.manifest(current)
        if accept is not None:
            with IndexReader(collection, manifest) as reader:
                if not accept(reader):
                    return ReembedReport(False, current.generation, twins.encoded)
        generation = twins.switch(wait_s, retention or Retention())
    return ReembedReport(True, generation, twins.encoded)


class _Twins:
    """The segments of a collection with the vectors of another encoder."""

    def __init__(self, collection: Path, encoder: SentenceEncoder, files: Files) -> None:
        self.encoded = 0
        self._collection = collection
        self._encoder = encoder
        self._files = files
        identity = {**asdict(encoder.fingerprint), "name": ""}
        self._mark = REEMBED_PREFIX + hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
        self._records: dict[str, SegmentRecord] = {}
        self._used = _segments_of(collection, encoder)
        texts = read_manifest(collection).canaries.texts
        self._canaries = Canaries(texts, encoder.encode_passages(texts))

    def mark(self) -> None:
        """Ask the garbage collector to keep what is made, and no longer what another encoder made."""
        for path in self._collection.glob(f"{REEMBED_PREFIX}*"):
            if path.name != self._mark:
                self._files.unlink(path)
        if not (self._collection / self._mark).exists():
            write_file(self._files, self._collection / self._mark, b"")
        self._files.sync_directory(self._collection)

    def manifest(self, current: Manifest) -> Manifest:
        """The next generation after `current`, with twins in the place of its segments."""
        for record in current.segments:
            if record.name not in self._records:
                self._records[record.name] = self._make(record, current)
        runtime = self._encoder.runtime
        settings = replace(
            current.settings,
            encoder=self._encoder.fingerprint,
            runtime=runtime.name,
            precision=runtime.precision,
            canaries=self._canaries,
        )
        segments = (replace(self._records[each.name], deletions=each.deletions) for each in current.segments)
        return replace(
            current,
            generation=current.generation + 1,
            created=datetime.now(UTC),
            cause=f"reembed with {self._encoder.fingerprint.name}",
            settings=settings,
            segments=tuple(segments),
            unreadable_share=None,
        )

    def switch(self, wait_s: float, retention: Retention) -> int:
        """Make the twins current, once every segment that is current then has one; the new generation."""
        while True:
            with locked(self._collection / LOCK, wait_s=wait_s):
                current = read_manifest(self._collection)
                if all(each.name in self._records for each in current.segments):
                    manifest = self._with_share(self.manifest(current))
                    publish(self._collection, manifest, self._files)
                    self._files.unlink(self._collection / self._mark)
                    collect_garbage(self._collection, retention, self._files)
                    return manifest.generation
            self.manifest(current)

    def _with_share(self, manifest: Manifest) -> Manifest:
        with IndexReader(self._collection, manifest) as reader:
            shares = [each.facts["unreadable"][each.live_documents] for each in reader.segments]
        known = np.concatenate([np.empty(0, np.float32), *shares])
        return replace(manifest, unreadable_share=float(known.mean(dtype=np.float64)) if len(known) else None)

    def _make(self, record: SegmentRecord, current: Manifest) -> SegmentRecord:
        """The twin of a segment: links, new vectors, new facts, its own structure."""
        name = f"{self._mark}-{record.name}"
        if name in self._used:
            return self._used[name]
        source = Segment(self._collection, record)
        folder = self._collection / SEGMENTS / name
        self._files.make_directory(folder)
        self._make_vectors(source, folder, current.settings.vectors.dtype)
        self._renew(folder / FACTS)
        write_file(self._files, folder / FACTS, npy_bytes(self._facts(source)))
        same = [each for each in record.files if each.name not in (VECTORS, FACTS)]
        for each in same:
            self._renew(folder / each.name)
            self._files.link(source.folder / each.name, folder / each.name)
        self._files.sync_directory(folder)
        new = (record_file(folder, FACTS), record_file(folder, VECTORS))
        twin = replace(record, name=folder.name, files=(*same, *new), structure=None)
        return self._with_structure(twin, current)

    def _with_structure(self, twin: SegmentRecord, current: Manifest) -> SegmentRecord:
        segment = Segment(self._collection, twin)
        plan = plan_ann_index(segment, current.settings.vectors)
        return build_ann_index(segment, plan, current.settings.vectors, self._files) if plan else twin

    def _renew(self, path: Path) -> None:
        """Make room for a file that an interrupted run may have left."""
        if path.exists():
            self._files.unlink(path)

    def _make_vectors(self, source: Segment, folder: Path, dtype: str) -> None:
        """All lots that are not there yet, and then one file of them."""
        if _is_whole(folder / VECTORS, len(source)):
            return
        self._renew(folder / VECTORS)
        lots = [folder / f"lot-{start:012d}.npy" for start in range(0, len(source), LOT_ROWS)]
        for number, lot in enumerate(lots):
            rows = np.arange(number * LOT_ROWS, min((number + 1) * LOT_ROWS, len(source)))
            if not _is_whole(lot, len(rows)):
                self._renew(lot)
                with VectorWriter(lot, self._encoder.dimension, dtype, self._files) as writer:
                    writer.append(self._encode(source, rows))
        with VectorWriter(folder / VECTORS, self._encoder.dimension, dtype, self._files) as writer:
            for lot in lots:
                writer.append(np.asarray(open_vectors(lot), dtype=np.float32))
        for lot in lots:
            self._files.unlink(lot)

    def _encode(self, source: Segment, rows: Rows) -> Vectors:
        """Vectors of these rows, dead ones included: a rollback may bring them back."""
        lot = np.zeros(len(source), dtype=np.bool_)
        lot[rows] = True
        texts = [
            passage_text(title, "", text)
            for some in source.scan(lot)
            for title, text in zip(some.titles, some.texts, strict=True)
        ]
        self.encoded += len(texts)
        return self._encoder.encode_passages(texts)

    def _facts(self, source: Segment) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """What is known of the documents; what the new encoder's tokenizer cannot read is counted anew."""
        facts = source.facts.copy()
        readability = Readability(self._encoder.tokenizer)
        for start in range(0, len(facts), LOT_ROWS):
            rows = np.arange(start, min(start + LOT_ROWS, len(facts)))
            facts["unreadable"][rows] = readability.unreadable_shares(source.documents(rows))
        return facts


def _segments_of(collection: Path, encoder: SentenceEncoder) -> dict[str, SegmentRecord]:
    """Segments of kept generations that this encoder made: before a rollback, say."""
    manifests = (readable_manifest(collection, number) for number in kept_generations(collection))
    same = (each for each in manifests if each and not each.encoder.differences(encoder.fingerprint))
    return {segment.name: segment for manifest in same for segment in manifest.segments}


def _is_whole(path: Path, rows: int) -> bool:
    """Whether an interrupted run left these vectors finished; their header is completed last."""
    try:
        return len(open_vectors(path)) == rows
    except CorruptCollection:
        return False
