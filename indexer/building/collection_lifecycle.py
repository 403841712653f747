"""Create and drop collections."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from indexer.writing.garbage import LOCK
from indexer.writing.writer import Writer
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import CollectionExists, SchemaError
from retrieval.index.storage.manifest import MANIFEST
from retrieval.index.storage.settings import (
    Canaries,
    ChunkSettings,
    CollectionSettings,
    LexicalSettings,
    VectorSettings,
)
from retrieval.search.encoder_check import CANARY_TEXTS
from retrieval.types import FieldType, Schema
from retrieval.util.files import Files, locked
from retrieval.util.temporaries import sweep, temporary_path

log = logging.getLogger(__name__)


def new_settings(
    encoder: SentenceEncoder,
    *,
    chunking: ChunkSettings,
    lexical: LexicalSettings | None,
    vectors: VectorSettings,
    schema: Schema | None = None,
) -> CollectionSettings:
    """Return the settings of a new collection; encode its canary texts with `encoder`."""
    return CollectionSettings(
        encoder=encoder.fingerprint,
        runtime=encoder.runtime.name,
        precision=encoder.runtime.precision,
        canaries=Canaries(CANARY_TEXTS, encoder.encode_passages(CANARY_TEXTS)),
        schema=schema,
        chunking=chunking,
        lexical=lexical,
        vectors=vectors,
    )


def create_collection(
    collection: Path,
    encoder: SentenceEncoder,
    *,
    schema: Schema | None = None,
    lexical: LexicalSettings | None = LexicalSettings(),  # noqa: B008 - it is frozen
    expires: str = "",
) -> int:
    """Create an empty collection; return its generation.

    `expires` is a date field that tells until when a document is found.  Raises CollectionExists, SchemaError.
    """
    expiry = {expires: FieldType.DATE} if expires else {}
    if schema is not None and schema.get(expires, FieldType.DATE) is not FieldType.DATE:
        raise SchemaError(f"documents expire by the field {expires!r}, which is {schema[expires]}; make it a date")
    schema = None if schema is None else {**schema, **expiry}
    settings = new_settings(encoder, chunking=ChunkSettings(), lexical=lexical, vectors=VectorSettings(), schema=schema)
    with Writer(collection, create=replace(settings, expires=expires), cause="create") as writer:
        writer.declare_fields(expiry)
        if (collection / MANIFEST).exists():
            raise CollectionExists(f"there is a collection {collection.name!r} already; choose another name")
        return writer.commit()


def drop_collection(collection: Path, *, wait_s: float = 5.0) -> None:
    """Remove a collection from the disk; of a link, remove the link alone.

    Raises CollectionLocked.  It is first renamed, atomically: a crash leaves the collection, or a hidden folder that is
    never served and that the next `remove_leftovers` removes.
    """
    files = Files()
    if collection.is_symlink():
        files.unlink(collection)
    else:
        with locked(collection / LOCK, wait_s=wait_s):
            files.rename(collection, temporary_path(collection))
    files.sync_directory(collection.parent)
    remove_leftovers(collection.parent, collection.name)


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove the temporaries of dead processes and dropped collections; log failures.

    `folder` is a folder of collections; only the leftovers of the collection `name` are removed, if it is given.
    """
    for failure in sweep(folder, name):
        log.warning("a leftover cannot be removed: %s", failure)
