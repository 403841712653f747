"""Verify every byte, count and vector of a collection.

Lucene's CheckIndex is the model.  Nothing is repaired.  A check that cannot run because an earlier one failed says so.
Writers may change the collection meanwhile: a fault of a file or a manifest counts only if the file is still kept after
the fault was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from indexer.writing.garbage import orphaned_paths
from indexer.writing.record_files import RECORD_FILES, decode_record_files
from indexer.writing.resume_journal import JOURNAL, read_journal
from indexer.writing.sync_state import SyncState
from retrieval.errors import AttendexError, CollectionError, CorruptCollection
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.collection.document_store import SegmentTable
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.judgments import JUDGMENTS, decode_judgments
from retrieval.index.collection.originals import ORIGINALS_TABLE, check_originals, decode_originals
from retrieval.index.collection.standing_queries import STANDING, decode_standing
from retrieval.index.lexical.postings_writer import open_segments
from retrieval.index.storage.checksums import CheckedFile, FileRecord
from retrieval.index.storage.manifest import (
    SEGMENTS,
    Manifest,
    PostingsRecord,
    generation_path,
    kept_generations,
    read_manifest,
    was_committed,
)
from retrieval.protocols import Encoder
from retrieval.search.encoder_check import check_canaries
from retrieval.types import Vectors

UNIT_TOLERANCE = 0.01  # float16 rounds a component by 0.05 %
SELF_TOLERANCE = 1e-3  # another passage may score as high as the passage itself, but not higher
_BLOCK_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its result; `examined` counts the objects that it read."""

    name: str
    examined: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`.

    `orphans` are files that belong to no generation.  They do no harm, and the next writer removes them.
    """

    collection: str
    generation: int
    checks: tuple[Check, ...]
    orphans: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not any(check.problems for check in self.checks)


@dataclass(frozen=True, slots=True)
class _GenerationCheck:
    """A check: `find` yields faults, `count` is the number of objects that it reads."""

    name: str
    find: Callable[[IndexReader], Iterator[str]]
    count: Callable[[IndexReader], int]


def verify(collection: Path, *, encoder: Encoder | None = None, sample: int = 200, seed: int = 0) -> Verification:
    """Check the files of all kept generations, and the content of the current one.

    `sample` passages are searched by their own vectors.  With an `encoder` the canaries are encoded again.  Raises
    NotACollection if there is no collection.
    """
    if not was_committed(collection):
        read_manifest(collection)  # raises the error that names the fault
    generation_checks = _generation_checks(encoder, sample, seed)
    while True:
        manifest_check = _check_manifests(collection)
        kept, manifests = manifest_check.readable, manifest_check.check
        files = _check_files(collection, kept)
        if manifests.problems or files.problems:
            content = _skipped(generation_checks, "not reached: the files are damaged")
            break
        content = _run_checks(collection, kept[0], generation_checks)
        if kept[0].generation in kept_generations(collection) or not any(check.problems for check in content):
            break  # else a writer removed its files: check the generation that is current now
    orphans = [] if manifests.problems else orphaned_paths(collection, _check_manifests(collection).readable)
    checks = (manifests, files, *content)
    return Verification(str(collection), kept[0].generation if kept else 0, checks, tuple(map(str, orphans)))


def _run_checks(collection: Path, manifest: Manifest, checks: Sequence[_GenerationCheck]) -> list[Check]:
    try:
        reader = IndexReader(collection, manifest)
    except CollectionError as error:
        return _skipped(checks, f"not reached: {error}")
    with reader:
        return [Check(check.name, check.count(reader), _problems(check, reader)) for check in checks]


def _skipped(checks: Sequence[_GenerationCheck], reason: str) -> list[Check]:
    return [Check(check.name, 0, (reason,)) for check in checks]


def _problems(check: _GenerationCheck, reader: IndexReader) -> tuple[str, ...]:
    try:
        return tuple(check.find(reader))
    except AttendexError as error:
        return (str(error),)


def _generation_checks(encoder: Encoder | None, sample: int, seed: int) -> list[_GenerationCheck]:
    def count_live(reader: IndexReader) -> int:
        return int(reader.live.sum())

    own_vectors = partial(_own_vectors, sample=sample, seed=seed)
    checks = [
        _GenerationCheck("counts", _counts, lambda reader: len(reader.segments)),
        _GenerationCheck("keys", _keys, lambda reader: reader.rows),
        _GenerationCheck("ids", _ids, lambda reader: len(reader.live_documents)),
        _GenerationCheck("offsets", _offsets, lambda reader: reader.rows),
        _GenerationCheck("vectors", _vectors, lambda reader: reader.rows),
        _GenerationCheck("own vectors", own_vectors, lambda reader: min(sample, count_live(reader))),
        _GenerationCheck("words", _words, count_live),
    ]
    if encoder is not None:
        find = partial(_canaries, encoder=encoder)
        checks.append(_GenerationCheck("canaries", find, lambda reader: len(reader.manifest.settings.canaries.texts)))
    return checks


@dataclass(frozen=True, slots=True)
class _Manifests:
    """Kept generations that can be read, the current one first."""

    readable: list[Manifest]
    check: Check


def _check_manifests(collection: Path) -> _Manifests:
    problems: list[str] = []
    readable: list[Manifest] = []
    numbers = kept_generations(collection)
    for number in (None, *reversed(numbers)):
        try:
            manifest = read_manifest(collection, number)
        except CollectionError as error:
            if number is None or generation_path(collection, number).exists():
                problems.append(str(error))
            continue
        if number is not None and number != manifest.generation:
            problems.append(f"{generation_path(collection, number)}: holds generation {manifest.generation}")
        if number is None or not readable or number < readable[0].generation:
            readable.append(manifest)
    if readable and not problems and readable[0].generation not in kept_generations(collection):
        problems.append(f"{generation_path(collection, readable[0].generation)}: is missing")
    return _Manifests(readable, Check("manifests", 1 + len(numbers), tuple(problems)))


def _check_files(collection: Path, kept: Sequence[Manifest]) -> Check:
    """Check every byte of generations, an interrupted build, and other files."""
    records = _records(collection, kept)
    damaged: dict[Path, str] = {}
    for path, record in records.items():
        try:
            CheckedFile((collection / path).parent, record).require()
        except CollectionError as error:
            damaged[path] = str(error)
    if damaged:
        now = _records(collection, _check_manifests(collection).readable)
        damaged = {path: problem for path, problem in damaged.items() if path in now}
    problems = [
        *_check_journal(collection),
        *_check_sealed_files(collection),
        *_check_originals(collection),
        *damaged.values(),
    ]
    return Check("files", len(records), tuple(problems))


def _records(collection: Path, kept: Sequence[Manifest]) -> dict[Path, FileRecord]:
    """Return the files that generations and an interrupted build name, by path."""
    records = {path: record for manifest in reversed(kept) for path, record in manifest.paths().items()}
    journal = read_journal(collection)
    for segment in journal.segments if journal else ():
        records |= {Path(SEGMENTS, segment.name, each.name): each for each in segment.files}
    return records


def _check_journal(collection: Path) -> Iterator[str]:
    if (collection / JOURNAL).exists() and read_journal(collection) is None and (collection / JOURNAL).exists():
        yield f"{collection / JOURNAL}: is damaged, so the build cannot be resumed; index the sources again"


def _check_sealed_files(collection: Path) -> Iterator[str]:
    """Check the files that no generation names: each has a digest of its own."""
    files: tuple[tuple[str, Callable[[bytes, Path], object]], ...] = (
        (JUDGMENTS, decode_judgments),
        (STANDING, decode_standing),
        (RECORD_FILES, decode_record_files),
        (ORIGINALS_TABLE, decode_originals),
    )
    try:
        SyncState(collection).check()
    except CollectionError as error:
        yield str(error)
    for name, decode in files:
        path = collection / name
        try:
            decode(path.read_bytes(), path)
        except FileNotFoundError:
            continue
        except CorruptCollection as error:
            yield str(error)
        except OSError as error:
            yield f"{path}: cannot be read ({error.strerror}); check its permissions"


def _check_originals(collection: Path) -> Iterator[str]:
    with suppress(CorruptCollection):  # _check_sealed_files reports the table
        yield from check_originals(collection)


def _counts(reader: IndexReader) -> Iterator[str]:
    for segment in reader.segments:
        dead = ~segment.live_documents
        found = (int(dead.sum()), int(dead[segment.document_of].sum()))
        deletions = segment.record.deletions
        said = (deletions.documents, deletions.passages) if deletions else (0, 0)
        if found != said:
            yield f"{segment.folder}: {found[0]} deleted documents, {found[1]} deleted passages; manifest: {said}"


def _keys(reader: IndexReader) -> Iterator[str]:
    for row in np.flatnonzero(np.diff(reader.keys.astype(np.int64)) <= 0).tolist():
        yield f"passage row {row + 1}: key {reader.keys[row + 1]} after {reader.keys[row]}; keys must ascend"
    if reader.rows and int(reader.keys[-1]) >= reader.manifest.next_key:
        yield f"key {reader.keys[-1]} is in use, and the manifest gives out {reader.manifest.next_key} next"
    for row in np.flatnonzero(np.diff(reader.document_of) < 0).tolist():
        yield f"passage row {row + 1}: belongs to an earlier document than the row before it"


def _ids(reader: IndexReader) -> Iterator[str]:
    seen: set[str] = set()
    for segment in reader.segments:
        ids = segment.ids(np.arange(segment.record.documents))
        digests, known = id_digests(ids), segment.ids_by_row()
        for row in np.flatnonzero(segment.live_documents).tolist():
            if not np.array_equal(digests[row], known[row]):
                yield f"{segment.folder}: document {ids[row]!r} (row {row}) cannot be found by its id"
            if ids[row] in seen:
                yield f"{segment.folder}: document {ids[row]!r} (row {row}) is stored twice"
            seen.add(ids[row])


def _offsets(reader: IndexReader) -> Iterator[str]:
    for segment in reader.segments:
        texts = segment.table(SegmentTable.DOCUMENTS).column("text")
        lengths = np.array(pc.utf8_length(texts).to_pylist(), dtype=np.int64)[segment.document_of]
        passages = segment.table(SegmentTable.PASSAGES)
        starts, ends = passages.numbers("start"), passages.numbers("end")
        for row in np.flatnonzero((starts > ends) | (ends > lengths)).tolist():
            yield f"{segment.folder}: passage row {row} is [{starts[row]}, {ends[row]}) of {lengths[row]} characters"


def _vectors(reader: IndexReader) -> Iterator[str]:
    for segment in reader.segments:
        for start in range(0, len(segment), _BLOCK_ROWS):
            block = np.asarray(segment.vectors[start : start + _BLOCK_ROWS], dtype=np.float32)
            lengths = np.linalg.norm(block, axis=1)
            for row in np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_TOLERANCE)).tolist():  # also when not a number
                yield f"{segment.folder}: the vector of passage row {start + row} has length {lengths[row]:g}"


def _own_vectors(reader: IndexReader, sample: int, seed: int) -> Iterator[str]:
    """Check that a passage's own vector finds it, or one with an equal vector."""
    alive = np.flatnonzero(reader.live)
    rows = np.sort(np.random.default_rng(seed).permutation(alive)[:sample])
    for row in rows.tolist():
        vector = _vector(reader, row)
        best = reader.vectors.search(vector[np.newaxis], 1, allowed=reader.live)[0]
        own = float(reader.vectors.score(vector, np.array([row]))[0])
        if not len(best.rows) or abs(float(best.scores[0]) - own) > SELF_TOLERANCE:
            yield f"passage row {row}: its own vector finds {best.rows.tolist()} instead (score {own:.4f})"


def _vector(reader: IndexReader, row: int) -> Vectors:
    for segment in reader.segments:
        if row < len(segment):
            return np.asarray(segment.vectors[row], dtype=np.float32)
        row -= len(segment)
    raise IndexError(row)


def _words(reader: IndexReader) -> Iterator[str]:
    """Check that each inverted index has every live passage, and none twice."""
    indexes = {"lexical": reader.manifest.lexical, "sparse": reader.manifest.sparse}
    for name, record in indexes.items():
        if record is not None:
            yield from _indexed_passages(reader, name, record)


def _indexed_passages(reader: IndexReader, name: str, record: PostingsRecord) -> Iterator[str]:
    known = [each.passages["key"] for each in open_segments(reader.path, record)]
    keys = np.concatenate([np.empty(0, np.uint64), *known])
    if len(np.unique(keys)) != len(keys):
        yield f"the {name} index has a passage twice"
    for row in np.flatnonzero(reader.live & ~np.isin(reader.keys, keys)).tolist():
        yield f"passage row {row} (key {reader.keys[row]}) is not in the {name} index"


def _canaries(reader: IndexReader, encoder: Encoder) -> Iterator[str]:
    canaries = reader.manifest.settings.canaries
    check_canaries(reader.name, canaries.texts, canaries.vectors, encoder)
    yield from ()
