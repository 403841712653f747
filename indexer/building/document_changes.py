"""Changes of a collection that exists, given as records rather than files: several of them in one generation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.building.chunking import chunk, passage_texts
from indexer.building.deletion import allowed_rows, matching_ids
from indexer.building.new_collection import new_settings
from indexer.writing.garbage import LOCK
from indexer.writing.writer import Writer
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import CollectionExists, InputError
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.storage.manifest import MANIFEST
from retrieval.index.storage.settings import ChunkSettings, LexicalSettings, VectorSettings
from retrieval.search.encoder_check import check_fingerprint
from retrieval.search.readability import Readability
from retrieval.types import Document, Rows, Schema, Vectors
from retrieval.util.files import Files, locked, remove_tree

DROPPED = ".dropped."
ENCODED_TOGETHER = 16  # passages; a service that answers searches at the same time gets its turn in between


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """Documents to add or replace, and ids of documents to delete, in this order.

    `filter` deletes what it allows of the generation that is current when the change is applied.
    """

    upserts: tuple[Document, ...] = ()
    deletes: tuple[str, ...] = ()
    filter: str = ""


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What became of one change; `generation` is the first one that shows it."""

    generation: int = 0
    added: int = 0  # documents written, whether new or replaced
    unchanged: int = 0
    deleted: int = 0


def apply_changes(
    collection: Path, encoder: SentenceEncoder, changes: Sequence[CollectionChange], *, wait_s: float = 30.0
) -> list[ChangeReport | InputError]:
    """Apply the changes in order and commit them as one generation.

    A change that cannot be applied is answered with its InputError and leaves nothing behind; the others are applied.
    Raises CollectionLocked after `wait_s` seconds, EncoderMismatch, StorageError: then nothing has changed.
    """
    reports: list[ChangeReport | InputError] = []
    with Writer(collection, wait_s=wait_s) as writer:
        check_fingerprint(collection.name, writer.settings.encoder, encoder.fingerprint)
        for change in changes:
            try:
                reports.append(_apply(writer, encoder, change))
            except InputError as error:
                reports.append(error)
        writer.cause = _cause([each for each in reports if isinstance(each, ChangeReport)])
        generation = writer.commit()
    return [replace(each, generation=generation) if isinstance(each, ChangeReport) else each for each in reports]


def create_collection(
    collection: Path,
    encoder: SentenceEncoder,
    *,
    schema: Schema | None = None,
    lexical: LexicalSettings | None = LexicalSettings(),  # noqa: B008 - it is frozen
) -> int:
    """Make an empty collection; returns its generation.  Raises CollectionExists."""
    settings = new_settings(encoder, chunking=ChunkSettings(), lexical=lexical, vectors=VectorSettings(), schema=schema)
    with Writer(collection, create=settings, cause="create") as writer:
        if (collection / MANIFEST).exists():
            raise CollectionExists(f"there is a collection {collection.name!r} already")
        return writer.commit()


def drop_collection(collection: Path, *, wait_s: float = 5.0) -> None:
    """Remove a collection from the disk.  Raises CollectionLocked.

    It is renamed first, in one step: a crash leaves the collection, or a hidden folder without a name that is served.
    """
    files = Files()
    with locked(collection / LOCK, wait_s=wait_s):
        dropped = collection.with_name(f".{collection.name}{DROPPED}{secrets.token_hex(4)}")
        files.rename(collection, dropped)
        files.sync_directory(collection.parent)
    remove_tree(files, dropped)


def remove_dropped(folder: Path) -> None:
    """Remove what a crash left of dropped collections in a folder of collections."""
    for path in folder.glob(f".*{DROPPED}*"):
        remove_tree(Files(), path)


def matching_rows(reader: IndexReader, expression: str) -> Rows:
    """Rows of the live documents that match a filter, ascending; of all of them without one.  Raises FilterError."""
    return allowed_rows(reader, expression) if expression.strip() else np.flatnonzero(reader.live_documents)


def _apply(writer: Writer, encoder: SentenceEncoder, change: CollectionChange) -> ChangeReport:
    deletes = (*change.deletes, *(matching_ids(writer.path, change.filter) if change.filter else ()))
    id_digests(deletes)  # one that is no id is refused before anything is added
    known = writer.unchanged(change.upserts)
    changed = [document for document, same in zip(change.upserts, known, strict=True) if not same]
    passages = [chunk(document, encoder.tokenizer, writer.settings.chunking) for document in changed]
    unreadable = Readability(encoder.tokenizer).unreadable_shares(changed)
    writer.add(changed, passages, _encode(encoder, passage_texts(changed, passages)), unreadable)
    deleted = writer.delete(deletes) if deletes else 0
    unchanged = len({each.id for each in change.upserts}) - len(changed)
    return ChangeReport(added=len(changed), unchanged=unchanged, deleted=deleted)


def _encode(encoder: SentenceEncoder, texts: Sequence[str]) -> Vectors:
    blocks = [
        encoder.encode_passages(texts[at : at + ENCODED_TOGETHER]) for at in range(0, len(texts), ENCODED_TOGETHER)
    ]
    return np.concatenate(blocks) if blocks else np.empty((0, encoder.dimension), dtype=np.float32)


def _cause(reports: Sequence[ChangeReport]) -> str:
    added = sum(each.added for each in reports)
    deleted = sum(each.deleted for each in reports)
    return ", ".join([f"add {added}"] * bool(added) + [f"delete {deleted}"] * bool(deleted)) or "merge"
