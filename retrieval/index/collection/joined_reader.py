"""Several collections read as one: their segments, one collection after the other.

All statistics of BM25, the ranges of scores, totals and facets then count the documents of all collections, so that an
answer is that of one collection that holds these documents, in this order.  A collection may be closed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import TypeVar

import numpy as np

from retrieval.errors import BadQuery
from retrieval.index.collection.index_reader import CollectionPart, IndexReader
from retrieval.index.lexical.postings import LiveRows
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.sparse_reader import SparseReader
from retrieval.index.storage.manifest import CosineBackground, Manifest
from retrieval.index.storage.settings import CollectionSettings, SearchDefaults
from retrieval.index.storage.sharded_manifest import joined_unreadable_share
from retrieval.types import Bitmap, Schema

T = TypeVar("T")


class JoinedReader(IndexReader):
    """The open generations of several collections with one encoder.

    Raises BadQuery if they have different encoders, lexical settings or types of a field.
    """

    def __init__(self, readers: Sequence[IndexReader]) -> None:
        _check_encoders(readers)
        self.path = readers[0].path
        self.name = ", ".join(reader.name for reader in readers)
        self.manifest = _joined_manifest(readers)
        self.segments = tuple(segment for reader in readers for segment in reader.segments)
        self._combine()
        edges = pairwise(accumulate((len(reader.live_documents) for reader in readers), initial=0))
        self.parts = tuple(CollectionPart(reader.name, *edge) for reader, edge in zip(readers, edges, strict=True))
        self._expiries = [reader.expiry for reader in readers]
        self.lexical = join_lexical(readers, self.manifest.settings)
        self.sparse = join_sparse(readers, self.manifest.settings)

    def expired_documents(self, now: datetime | None = None) -> Bitmap | None:
        """Return the documents that have expired in their collection; None for none."""
        if not any(self._expiries):
            return None
        moment = now or datetime.now(UTC)
        expired = np.zeros(len(self.live_documents), np.bool_)
        for part, expiry in zip(self.parts, self._expiries, strict=True):
            if expiry is not None:
                expired[part.first : part.last] = expiry.expired(moment)
        return expired


def join_lexical(readers: Sequence[IndexReader], settings: CollectionSettings) -> LexicalReader | None:
    """Return the lexical indexes of several collections as one; None without any."""
    rows = [each.lexical.live_rows for each in readers if each.lexical is not None]
    if settings.lexical is None or not rows:
        return None
    return LexicalReader(LiveRows.joined(rows), settings.lexical, settings.synonyms)


def join_sparse(readers: Sequence[IndexReader], settings: CollectionSettings) -> SparseReader | None:
    """Return the sparse indexes of several collections as one; None without any."""
    rows = [each.sparse.live_rows for each in readers if each.sparse is not None]
    return SparseReader(LiveRows.joined(rows), settings.sparse) if settings.sparse is not None and rows else None


def _check_encoders(readers: Sequence[IndexReader]) -> None:
    first = readers[0]
    for reader in readers[1:]:
        differences = first.manifest.encoder.differences(reader.manifest.encoder)
        if differences:
            raise BadQuery(
                f"{first.name} and {reader.name} have different encoders ({'; '.join(differences)}), so that their "
                "scores cannot be compared; search them one by one"
            )


def _joined_manifest(readers: Sequence[IndexReader]) -> Manifest:
    """Return a manifest that is never written: what a search reads of it."""
    manifests = [reader.manifest for reader in readers]
    settings = _joined_settings(readers)
    return replace(
        manifests[0],
        settings=settings,
        schema=_joined_schema(readers),
        segments=tuple(segment for manifest in manifests for segment in manifest.segments),
        unreadable_share=joined_unreadable_share(manifests),
        background=_pooled([manifest.background for manifest in manifests]),
        sparse=manifests[0].sparse if settings.sparse is not None else None,
    )


def _joined_settings(readers: Sequence[IndexReader]) -> CollectionSettings:
    """Return the settings that all collections share, and the defaults of others."""
    first, settings = readers[0], [reader.manifest.settings for reader in readers]
    for reader, each in zip(readers, settings, strict=True):
        if each.lexical != settings[0].lexical:
            raise BadQuery(
                f"{first.name} and {reader.name} have different lexical settings, so that their terms cannot be "
                "compared; search them one by one, or index one of them with the settings of the other"
            )
    windows = _shared([each.vectors.window_sentences for each in settings], 0)
    return replace(
        settings[0],
        vectors=replace(settings[0].vectors, window_sentences=windows),
        search=_shared([each.search for each in settings], SearchDefaults()),
        tokens=_shared([each.tokens for each in settings], None),
        sparse=_shared([each.sparse for each in settings], None)
        if all(reader.sparse is not None for reader in readers)
        else None,
        expires="",
        pins=(),
        synonyms=tuple(dict.fromkeys(rule for each in settings for rule in each.synonyms)),
    )


def _joined_schema(readers: Sequence[IndexReader]) -> Schema:
    schema: dict[str, object] = {}
    for reader in readers:
        for field, kind in reader.schema.items():
            if schema.setdefault(field, kind) != kind:
                raise BadQuery(
                    f"the field {field!r} is {kind} in {reader.name} and {schema[field]} in another collection; search "
                    "them one by one, or index one of them with the type of the other"
                )
    return schema  # type: ignore[return-value]  # of the readers' own types


def _pooled(backgrounds: Sequence[CosineBackground | None]) -> CosineBackground | None:
    """Return the background of all passages together; None if one is unknown."""
    known = [each for each in backgrounds if each is not None]
    if len(known) < len(backgrounds):
        return None
    shared = _shared([(each.mean, each.deviation) for each in known], None)
    passages = [each.passages for each in known]
    if shared is not None:
        return CosineBackground(*shared, sum(passages))
    mean = float(np.average([each.mean for each in known], weights=passages))
    spread = np.average([each.deviation**2 + (each.mean - mean) ** 2 for each in known], weights=passages)
    return CosineBackground(mean, float(np.sqrt(spread)), sum(passages))


def _shared(values: Sequence[T], other: T) -> T:
    """Return the value that all have; `other` if they differ."""
    return values[0] if all(value == values[0] for value in values) else other
