"""Measure the cosines of unrelated texts, by which fusion scales cosines.

Each encoder has cosines of its own range: unrelated texts have cosines near 0.1 with one, near 0.8 with another.
Pieces of passages stand for queries here, because a collection knows no real ones when it is built.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.writing.commit import CommitOptions, commit_change
from retrieval.errors import InputError
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.storage.manifest import CosineBackground, Manifest
from retrieval.index.storage.settings import SearchDefaults
from retrieval.protocols import Encoder
from retrieval.search.plan import default_window_share
from retrieval.search.retrievers import BACKGROUND_DEVIATIONS
from retrieval.types import Rows

MIN_PASSAGES = 32  # fewer passages say too little
_QUERIES = 64
_QUERY_TOKENS = 48  # their deviation is within 7 % of that of the real queries of five collections
_PASSAGES = 2_048  # compared with each query
_MAX_CHARACTERS = 20_000  # tokenized of a passage: a whole document may be one
_NEAR = 8  # passages from a query's own to the first of the same document that counts as unrelated
_GROWTH = 2  # a collection that grew or shrank by this factor is measured again


def calibrate(collection: Path, encoder: Encoder, *, wait_s: float = 60.0) -> Manifest:
    """Measure the background of a collection now, and commit it.

    Nothing is committed if the passages have too little text.  Raises InputError for a collection of too few passages,
    CollectionLocked, StorageError.
    """

    def change(current: Manifest) -> Manifest | None:
        if current.passages < MIN_PASSAGES:
            raise InputError(
                f"{collection}: {current.passages} passages are too few to calibrate; "
                f"with {MIN_PASSAGES} or more, indexing calibrates the collection"
            )
        measured = _measured(collection, current, encoder)
        return None if measured is current else measured

    return commit_change(collection, "calibrate", change, CommitOptions(wait_s)).manifest


def calibrated(collection: Path, manifest: Manifest, encoder: Encoder) -> Manifest:
    """Return the manifest with a new background if its own is outdated.

    The files of the generation must be complete.
    """
    if manifest.passages < MIN_PASSAGES or not is_outdated(manifest.background, manifest.passages):
        return manifest
    return _measured(collection, manifest, encoder)


def is_outdated(background: CosineBackground | None, passages: int) -> bool:
    """Check whether a background was measured in far fewer or far more passages."""
    return background is None or not background.passages / _GROWTH < passages < background.passages * _GROWTH


def measure_background(reader: IndexReader, encoder: Encoder) -> CosineBackground | None:
    """Measure cosines of unrelated queries and passages; None if too few have text.

    The sample depends on the documents alone, not on their order, so that shards are measured as one collection.
    Passages of the same document are related if they are near each other.
    """
    live = _in_order_of_ids(reader)
    asked, compared = _spread(live, _QUERIES), _spread(live, _PASSAGES)
    texts = [_middle(text, encoder) for text in _passage_texts(reader, asked)]
    usable = np.array([bool(text.strip()) for text in texts])
    if np.count_nonzero(usable) < _QUERIES // 4:
        return None
    queries = encoder.encode_queries([text for text in texts if text.strip()])
    vectors = reader.dense_vectors(default_window_share(reader.manifest))
    cosines = np.array([vectors.score(query, compared) for query in queries], np.float64)
    asked, owners = asked[usable][:, np.newaxis], reader.document_of
    cosines[(owners[asked] == owners[compared]) & (np.abs(asked - compared) <= _NEAR)] = np.nan
    deviation = float(np.nanstd(cosines, axis=1).mean())
    return CosineBackground(float(np.nanmean(cosines)), deviation, len(live)) if deviation > 0.0 else None


def _measured(collection: Path, manifest: Manifest, encoder: Encoder) -> Manifest:
    with IndexReader(collection, manifest) as reader:
        background = measure_background(reader, encoder)
    if background is None:
        return manifest
    search = manifest.settings.search
    if manifest.background is None and search.weight is not None:
        search = of_calibrated(search.weight, background)
    settings = replace(manifest.settings, search=search)
    return replace(manifest, settings=settings, background=background)


def of_calibrated(weight: float, background: CosineBackground) -> SearchDefaults:
    """Return the settings that rank as a tuned `weight` of plain cosines did."""
    dense = weight * BACKGROUND_DEVIATIONS * background.deviation
    return SearchDefaults(weight=dense / (dense + 1.0 - weight), feedback=0.0)


def _in_order_of_ids(reader: IndexReader) -> Rows:
    """Return the live rows by the digest of the document's id, then by row."""
    digests = np.concatenate([segment.ids_by_row() for segment in reader.segments])
    rows = np.flatnonzero(reader.live)
    high, low = digests[reader.document_of[rows]].T
    return np.asarray(rows[np.lexsort((rows, low, high))])


def _spread(rows: Rows, count: int) -> Rows:
    """Return up to `count` rows at equal distances."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]


def _passage_texts(reader: IndexReader, rows: Rows) -> list[str]:
    """Return the text of each passage; its document's title if it has no text."""
    texts = []
    for row, passage in zip(rows, reader.passages(rows), strict=True):
        (document,) = reader.documents([reader.document_of[row]])
        texts.append(document.text[passage.start : passage.end].strip() or document.title)
    return texts


def _middle(text: str, encoder: Encoder) -> str:
    """Return the tokens in the middle of a text, as many as stand for a query."""
    start = max(0, (len(text) - _MAX_CHARACTERS) // 2)
    text = text[start : start + _MAX_CHARACTERS]
    spans = encoder.tokenizer.spans(text)
    first = max(0, (len(spans) - _QUERY_TOKENS) // 2)
    spans = spans[first : first + _QUERY_TOKENS]
    return text[spans[0, 0] : spans[-1, 1]] if len(spans) else ""
