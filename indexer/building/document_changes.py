"""Change an existing collection by documents and ids.

Several changes make one generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from indexer.building.chunking import chunk, passage_texts
from indexer.building.token_encoding import TokenEncoder, TokenEncoders
from indexer.writing.writer import Writer
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.sparse import SparseEncoder
from retrieval.errors import InputError
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.search.encoder_check import check_fingerprint
from retrieval.search.readability import Readability
from retrieval.types import Document, Rows, Vectors

ENCODED_TOGETHER = 16  # passages; between two calls, a service answers searches


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """Documents to add or replace, then ids of documents to delete.

    `filter` deletes the documents that it matches in the generation that is current when the change is applied; `now`
    is what `now` means in it, by default that time.
    """

    upserts: tuple[Document, ...] = ()
    deletes: tuple[str, ...] = ()
    filter: str = ""
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """The result of one change; `generation` is the first one that shows it."""

    generation: int = 0
    added: int = 0  # documents written, whether new or replaced
    unchanged: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """Numbers of deleted documents and of unknown ids, and the current generation."""

    deleted: int
    missing: int
    generation: int


def apply_changes(
    collection: Path,
    encoder: SentenceEncoder,
    changes: Sequence[CollectionChange],
    *,
    sparse_encoder: SparseEncoder | None = None,
    wait_s: float = 30.0,
    token_encoders: TokenEncoders | None = None,
) -> list[ChangeReport | InputError]:
    """Apply the changes in order and commit them as one generation.

    `sparse_encoder` is that of a collection with a sparse index; without it, the writer loads it.  `token_encoders`
    keeps late-interaction models for later calls.  A change that cannot be applied gets its InputError and changes
    nothing; the others are applied.  Raises CollectionLocked after `wait_s` seconds, EncoderMismatch, StorageError:
    then nothing has changed.
    """
    reports: list[ChangeReport | InputError] = []
    with Writer(collection, wait_s=wait_s) as writer:
        check_fingerprint(collection.name, writer.settings.encoder, encoder.fingerprint)
        encoders = _Encoders(encoder, (token_encoders or TokenEncoders()).encoder(collection, writer.settings.tokens))
        for change in changes:
            try:
                reports.append(_apply(writer, encoders, change))
            except InputError as error:
                reports.append(error)
        writer.cause = _cause([report for report in reports if isinstance(report, ChangeReport)])
        generation = writer.commit(encoder, sparse_encoder)
    return [
        replace(report, generation=generation) if isinstance(report, ChangeReport) else report for report in reports
    ]


def delete_documents(
    collection: Path, ids: Sequence[str] = (), *, filter: str = "", wait_s: float = 0.0
) -> DeleteReport:
    """Delete documents by id and those that a filter matches, in one commit."""
    wanted = dict.fromkeys(ids)
    with Writer(collection, wait_s=wait_s) as writer:
        deleted = writer.delete(list(wanted))
        missing = len(wanted) - deleted
        if filter:
            deleted += writer.delete(_matching_ids(collection, filter))
        conditions = ["by id"] * bool(wanted) + [f"where {filter}"] * bool(filter)
        writer.cause = f"delete {deleted} documents {' and '.join(conditions)}"
        return DeleteReport(deleted, missing, writer.commit())


def matching_rows(reader: IndexReader, expression: str) -> Rows:
    """Return the rows of the live documents that a filter matches, ascending.

    A blank filter matches all.  Raises FilterError.
    """
    return np.flatnonzero(reader.matching_documents(expression) if expression.strip() else reader.live_documents)


def _matching_ids(collection: Path, expression: str, now: datetime | None = None) -> list[str]:
    """Return the ids of matching live documents.  Raises FilterError."""
    with open_index_reader(collection) as reader:
        return reader.ids(np.flatnonzero(reader.matching_documents(expression, now)))


@dataclass(frozen=True, slots=True)
class _Encoders:
    """The encoders of passages, and of their tokens if the collection stores them."""

    passages: SentenceEncoder
    tokens: TokenEncoder | None


def _apply(writer: Writer, encoders: _Encoders, change: CollectionChange) -> ChangeReport:
    encoder = encoders.passages
    deletes = (*change.deletes, *(_matching_ids(writer.path, change.filter, change.now) if change.filter else ()))
    id_digests(deletes)  # raises for an invalid id before anything is added
    known = writer.unchanged(change.upserts)
    changed = [document for document, same in zip(change.upserts, known, strict=True) if not same]
    passages = [chunk(document, encoder.tokenizer, writer.settings.chunking) for document in changed]
    unreadable = Readability(encoder.tokenizer).unreadable_shares(changed)
    texts = passage_texts(changed, passages)
    tokens = encoders.tokens.codes(texts, save_cpu=True) if encoders.tokens else None
    writer.add(changed, passages, _encode(encoder, texts), unreadable, tokens)
    deleted = writer.delete(deletes) if deletes else 0
    unchanged = len({document.id for document in change.upserts}) - len(changed)
    return ChangeReport(added=len(changed), unchanged=unchanged, deleted=deleted)


def _encode(encoder: SentenceEncoder, texts: Sequence[str]) -> Vectors:
    starts = range(0, len(texts), ENCODED_TOGETHER)
    blocks = [encoder.encode_passages(texts[start : start + ENCODED_TOGETHER]) for start in starts]
    return np.concatenate(blocks) if blocks else np.empty((0, encoder.dimension), dtype=np.float32)


def _cause(reports: Sequence[ChangeReport]) -> str:
    added = sum(report.added for report in reports)
    deleted = sum(report.deleted for report in reports)
    return ", ".join([f"add {added}"] * bool(added) + [f"delete {deleted}"] * bool(deleted)) or "merge"
