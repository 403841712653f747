"""Write the windows of new segments: vectors of a few sentences each.

The text of a window is its sentences alone, without the title and the heading of its passage: the passage's own vector
has those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from indexer.writing.pending_segments import PendingSegments
from indexer.writing.prepare_commit import GenerationTarget
from retrieval.encoder.loading import load_recorded_encoder
from retrieval.index.collection.segment import Segment
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import SegmentRecord
from retrieval.index.vectors.window_store import WINDOW_FILES, Windows, WindowWriter
from retrieval.protocols import Encoder
from retrieval.types import EncoderFingerprint
from retrieval.util.files import Files
from retrieval.util.text_boundaries import BoundaryStrength, find_boundaries

BLOCK_DOCUMENTS = 64  # documents whose texts are in memory at a time
ENCODED_TOGETHER = 4_096  # windows whose texts and vectors are in memory at a time, and those of one passage more


def add_windows(
    pending: PendingSegments,
    target: GenerationTarget,
    made_by: EncoderFingerprint,
    encoder: Encoder | None,
    write_journal: Callable[[], None],
) -> None:
    """Write the windows that segments lack, if the collection has windows.

    The journal is written before each: if this process is killed, the next writer resumes with the segments in it.
    """
    if not target.vectors.windows:
        return
    for each in pending.segments:
        if each.segment.windows is None:
            write_journal()
            encoder = encoder or load_recorded_encoder(made_by, bulk=True)
            sentences, dtype = target.vectors.window_sentences, target.dtype
            record = write_windows(each.segment, encoder, sentences, dtype, target.files)
            each.complete(Segment(target.collection, record))


def write_windows(segment: Segment, encoder: Encoder, sentences: int, dtype: str, files: Files) -> SegmentRecord:
    """Encode a segment's windows; return the record with their files.

    Deleted documents have windows, too, so that rows count alike.
    """
    for name in WINDOW_FILES:
        files.unlink(segment.folder / name)  # a killed writer may have finished the file and not recorded it
    with WindowWriter(segment.folder, encoder.dimension, dtype, files) as writer:
        texts: list[str] = []
        spans: list[list[tuple[int, int]]] = []  # of each passage
        for text, own in _passages(segment, sentences):
            texts += [text[start:end] for start, end in own]
            spans.append(own)
            if len(texts) >= ENCODED_TOGETHER:
                writer.append(_encoded(texts, spans, encoder))
                texts, spans = [], []
        writer.append(_encoded(texts, spans, encoder))
    files.sync_directory(segment.folder)
    new = tuple(record_file(segment.folder, name) for name in WINDOW_FILES)
    return replace(segment.record, files=(*segment.record.files, *new))


def window_spans(text: str, start: int, end: int, sentences: int) -> list[tuple[int, int]]:
    """Split `text[start:end]` into windows of about this many sentences.

    All have nearly the same number of sentences.  A text of one window has none, as it equals the passage.
    """
    part = text[start:end]
    boundaries = find_boundaries(part)
    offsets = boundaries.offsets[boundaries.strengths >= BoundaryStrength.SENTENCE]
    edges = start + np.concatenate(([0], offsets, [len(part)]))
    windows = round((len(edges) - 1) / sentences)
    if windows < 2:
        return []
    chosen = edges[np.linspace(0, len(edges) - 1, windows + 1).round().astype(np.int64)].tolist()
    return list(pairwise(chosen))


def _passages(segment: Segment, sentences: int) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Yield each passage's document text and window spans, in row order."""
    for first in range(0, segment.record.documents, BLOCK_DOCUMENTS):
        last = min(first + BLOCK_DOCUMENTS, segment.record.documents)
        rows = np.arange(*segment.document_of.searchsorted([first, last]))
        documents = segment.documents(np.arange(first, last))
        for owner, passage in zip(segment.document_of[rows].tolist(), segment.passages(rows), strict=True):
            text = documents[owner - first].text
            yield text, window_spans(text, passage.start, passage.end, sentences)


def _encoded(texts: Sequence[str], spans: Sequence[list[tuple[int, int]]], encoder: Encoder) -> Windows:
    """Encode the windows of passages; `spans` are those of each passage."""
    vectors = encoder.encode_passages(texts) if texts else np.empty((0, encoder.dimension), np.float32)
    joined = [span for own in spans for span in own]
    counts = np.array([len(own) for own in spans], np.int64)
    return Windows(vectors, np.array(joined, np.uint32).reshape(-1, 2), counts)
