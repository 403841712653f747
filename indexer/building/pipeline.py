"""Build a generation from sources with generators.

The steps are: read, compare, chunk, encode, write.  No step holds more than a few batches of documents, so that memory
does not grow with the sources.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Protocol, TypeVar

from indexer.building.chunking import chunk, passage_texts
from indexer.building.collection_lifecycle import new_settings
from indexer.building.deduplicated_encoding import DeduplicatedEncoder
from indexer.building.document_changes import split_batch
from indexer.building.encoder_loading import load_build_encoder
from indexer.building.engine import BuildEngine, LocalEngine
from indexer.building.readability_sample import watch_readability
from indexer.building.source_reading import (
    BATCH_DOCUMENTS,
    REMOTE_BATCH_DOCUMENTS,
    BuildTally,
    batch_documents,
    is_folder_of_files,
)
from indexer.building.sparse_encoding import CollectionSparseEncoder
from indexer.building.sync import GivenSources
from indexer.building.token_encoding import TokenEncoder, TokenEncoders, check_tokens
from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileOutcome, printable
from indexer.sources.folders import find_beir_corpus
from indexer.sources.paths import check_source, id_prefixes
from indexer.writing.document_writer import DocumentWriter
from indexer.writing.pending_generation import WriterCounts
from indexer.writing.sharded_writer import open_writer
from indexer.writing.sparse_build import sparse_settings
from retrieval.encoder.remote.connection import RemoteUsage
from retrieval.encoder.remote_encoder import RemoteEncoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.sparse import SparseEncoder, load_sparse_encoder
from retrieval.errors import InputError
from retrieval.index.storage.settings import ChunkSettings, CollectionSettings, LexicalSettings, VectorSettings
from retrieval.index.storage.sharded_manifest import read_whole_manifest
from retrieval.protocols import Tokenizer
from retrieval.search.encoder_check import check_unchanged
from retrieval.search.readability import Readability
from retrieval.types import Document, FieldType, Passage, Schema

S = TypeVar("S", ChunkSettings, LexicalSettings, VectorSettings)


def ignore_file(outcome: FileOutcome) -> None:
    """Ignore the outcome of a file."""
    del outcome


def ignore_share(share: float) -> None:
    """Ignore the share of text that the encoder cannot read."""
    del share


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How to build a collection.

    For an existing collection they must not contradict its own settings.
    """

    encoder: str = ""  # "": the collection's own, or the default
    runtime: str = "auto"
    precision: str = "auto"
    chunking: ChunkSettings | None = None  # None: whole documents for BEIR folders, passages for other sources
    lexical: LexicalSettings | None = field(default_factory=LexicalSettings)  # None: no lexical index
    sparse: str = ""  # sparse encoder; "": the collection's own, if it has a sparse index
    schema: Schema | None = None  # types of fields; the types of other fields are inferred
    expires: str = ""  # date field that tells until when a document is found; "": the collection's own, or none
    read: ReadOptions = field(default_factory=ReadOptions)
    skip_bad: bool = False  # count and list bad records, and do not stop at the first
    sync: bool = False  # delete the collection's documents that the sources lack
    vectors: VectorSettings = field(default_factory=VectorSettings)
    late_interaction: str = ""  # the model whose token vectors are stored; "": the collection's own, or none
    token_bits: int = 4  # of a dimension of a token vector
    shards: int = 0  # of a new sharded collection; 0: those that the collection has, or none


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a build: documents read, passages written."""

    documents: int
    passages: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The result of a build.

    `documents` and `passages` are those of the collection afterwards.  `kept_unseen`: documents that the sources lack
    were not deleted, because files that may hold them could not be read.  `updated`: documents of the same text got new
    metadata alone.  `unreadable_share`: the share of the collection's text that the encoder cannot read.
    """

    collection: str
    generation: int
    encoder: str
    runtime: str
    precision: str
    documents: int
    passages: int
    read: int
    added: int
    replaced: int
    duplicates: int
    unchanged: int
    updated: int
    resumed: int
    deleted: int
    kept_unseen: bool
    encoded_texts: int
    bad: int
    problems: tuple[str, ...]
    schema: Mapping[str, str]
    unreadable_share: float | None
    seconds: float
    remote: RemoteUsage | None = None  # what was asked of a remote encoder


class DocumentSupply(Protocol):
    """Where the documents of a build come from, and which ones it deletes."""

    @property
    def cause(self) -> str:
        """The cause of the generation, for its history."""

    def documents(self, tally: BuildTally) -> Iterator[Document]:
        """Yield the documents to add; record in `tally` those that cannot be read."""

    def delete_gone(self, writer: DocumentWriter, tally: BuildTally) -> None:
        """Delete documents, after all were added and before the commit."""

    def committed(self, collection: Path) -> None:
        """Record what was read, after the commit."""


@dataclass(frozen=True, slots=True)
class _PassageEncoders:
    """The encoders of passages, of their tokens and of their terms, as far as needed."""

    passages: DeduplicatedEncoder
    tokens: TokenEncoder | None
    sparse: CollectionSparseEncoder


@dataclass(frozen=True, slots=True)
class _Block:
    """Changed documents, their passages, and the text to encode for each."""

    documents: list[Document]
    passages: list[list[Passage]]
    texts: list[str]


def build_collection(
    sources: Sequence[Path | str],
    into: Path,
    settings: BuildSettings | None = None,
    *,
    watch: Callable[[Progress], None] | None = None,
    on_file: Callable[[FileOutcome], None] = ignore_file,
    on_unreadable: Callable[[float], None] = ignore_share,
    wait_s: float = 0.0,
    loading: Future[SentenceEncoder] | None = None,
    engine: BuildEngine | None = None,
) -> BuildReport:
    """Index `sources` into the collection `into` and commit one generation.

    Create the collection if needed.  A source is a file, a folder, "-" or, if `settings.read.web` allows it, a URL.
    All sources are looked up first, so that a mistyped name costs nothing.  A file that cannot be read is counted and
    skipped if it is in a folder or one of several.  A bad record in a named file stops the build, unless
    `settings.skip_bad`.  Documents that the collection holds unchanged are not encoded again.  `loading` is the encoder
    that `settings` name, if `preload_encoder` loads it.  `on_unreadable` gets the unreadable share of the first
    documents of a new collection, if it is large and the caller named no encoder.  `engine` is by default this process.

    Raises InputError for a source that cannot be read and for settings that contradict the collection, EncoderMismatch
    for another encoder, CollectionLocked when another writer keeps the lock for `wait_s` seconds, CollectionError for a
    failure of the disk.  The collection is then as it was.
    """
    settings = _checked(sources, settings or BuildSettings())
    engine = engine or LocalEngine()
    supply = GivenSources(
        sources, settings.read, on_file, skip_bad=settings.skip_bad, sync=settings.sync, parse=engine.parse
    )
    chunking = chunking_for(sources, settings)
    return build_from(
        supply, into, settings, chunking, watch, on_unreadable, wait_s=wait_s, loading=loading, engine=engine
    )


def build_from(
    supply: DocumentSupply,
    into: Path,
    settings: BuildSettings,
    chunking: ChunkSettings,
    watch: Callable[[Progress], None] | None = None,
    on_unreadable: Callable[[float], None] = ignore_share,
    *,
    wait_s: float = 0.0,
    loading: Future[SentenceEncoder] | None = None,
    engine: BuildEngine | None = None,
) -> BuildReport:
    """Index the documents of `supply` as `build_collection` does.

    `chunking` is that of a new collection.
    """
    started, engine = time.perf_counter(), engine or LocalEngine()
    encoder = loading.result() if loading else _load_encoder(into, settings)
    token_encoders = TokenEncoders()
    sparse_encoder = load_sparse_encoder(settings.sparse) if settings.sparse else None
    create = replace(
        new_settings(encoder, chunking=chunking, lexical=settings.lexical, vectors=settings.vectors),
        tokens=token_encoders.settings(settings.late_interaction, settings.token_bits),
        sparse=sparse_settings(sparse_encoder) if sparse_encoder else None,
        expires=settings.expires,
    )
    with (
        open_writer(
            into, create=create, cause=supply.cause, wait_s=wait_s, shards=settings.shards, hosts=engine.hosts
        ) as writer,
        DeduplicatedEncoder(engine.encoder(encoder)) as deduplicated,
    ):
        _check_agreement(into, writer.settings, settings, encoder)
        check_tokens(into, writer.settings.tokens, create.tokens)
        passage_encoders = _PassageEncoders(
            deduplicated,
            token_encoders.encoder(into, writer.settings.tokens),
            CollectionSparseEncoder(into, writer.settings.sparse, sparse_encoder),
        )
        _declare_fields(writer, settings)
        notify = on_unreadable if not writer.generation and not settings.encoder else ignore_share
        tally = _index_documents(supply, writer, passage_encoders, settings, watch, notify)
        _commit(writer, encoder, passage_encoders.sparse.encoder)
        supply.committed(into)
        return _report(into, encoder, tally, writer.counts, deduplicated.encoded, time.perf_counter() - started)


def _commit(writer: DocumentWriter, encoder: SentenceEncoder, sparse_encoder: SparseEncoder | None) -> None:
    """Commit, unless a remote encoder changed while it was asked."""
    check_unchanged(writer.path.name, writer.settings.canaries, encoder)
    writer.commit(encoder, sparse_encoder)


def _declare_fields(writer: DocumentWriter, settings: BuildSettings) -> None:
    writer.declare_fields(settings.schema or {})
    if settings.expires:
        writer.declare_fields({settings.expires: FieldType.DATE})


def _checked(sources: Sequence[Path | str], settings: BuildSettings) -> BuildSettings:
    """Check that all sources exist; set `skip_bad` for folders of files."""
    for source in sources:
        check_source(source)
    id_prefixes(sources, settings.read.root)  # raises InputError for a source that is not below the root
    if settings.read.root and settings.sync:
        raise InputError("--root reads a part of a folder, and --sync would delete the others; leave one out")
    if printable(settings.encoder) != settings.encoder:  # the manifest could not name it, and readers need its name
        raise InputError(
            f"{printable(settings.encoder)}: the encoder's path is not UTF-8; give its folder another name"
        )
    return replace(settings, skip_bad=True) if all(map(is_folder_of_files, sources)) else settings


def _load_encoder(into: Path, settings: BuildSettings) -> SentenceEncoder:
    return load_build_encoder(into, settings.encoder, settings.runtime, settings.precision)


def _index_documents(
    supply: DocumentSupply,
    writer: DocumentWriter,
    encoders: _PassageEncoders,
    settings: BuildSettings,
    watch: Callable[[Progress], None] | None,
    on_unreadable: Callable[[float], None],
) -> BuildTally:
    """Add the changed documents; delete those that are gone."""
    tally, deduplicated = BuildTally(), encoders.passages
    tokenizer = deduplicated.encoder.tokenizer
    readability = Readability(tokenizer)
    is_far = isinstance(deduplicated.encoder, RemoteEncoder)
    size = REMOTE_BATCH_DOCUMENTS if is_far else BATCH_DOCUMENTS
    batches = batch_documents(supply.documents(tally), size)
    changed = (_changed(batch, writer, settings, tally) for batch in batches)
    watched = watch_readability(changed, readability, on_unreadable)
    blocks = (_chunk_block(batch, tokenizer, writer.settings.chunking) for batch in encoders.sparse.before(watched))
    for block, vectors in deduplicated.encode((block, block.texts) for block in blocks):
        tokens = encoders.tokens.codes(block.texts) if encoders.tokens else None
        shares = readability.unreadable_shares(block.documents)
        writer.add(block.documents, block.passages, vectors, shares, tokens)
        tally.passages += len(vectors)
        if watch:
            watch(Progress(tally.read, tally.passages))
    supply.delete_gone(writer, tally)
    return tally


def _report(
    into: Path, encoder: SentenceEncoder, tally: BuildTally, counts: WriterCounts, encoded_texts: int, seconds: float
) -> BuildReport:
    manifest = read_whole_manifest(into)
    return BuildReport(
        collection=str(into),
        generation=manifest.generation,
        encoder=encoder.fingerprint.name,
        runtime=encoder.runtime.name,
        precision=encoder.runtime.precision,
        documents=manifest.documents,
        passages=manifest.passages,
        read=tally.read,
        added=counts.added,
        replaced=counts.replaced,
        duplicates=counts.duplicates,
        unchanged=counts.unchanged,
        updated=counts.updated,
        resumed=counts.resumed,
        deleted=counts.deleted,
        kept_unseen=tally.kept_unseen,
        encoded_texts=encoded_texts,
        bad=tally.bad,
        problems=tuple(tally.problems),
        schema={name: str(kind) for name, kind in manifest.schema.items()},
        unreadable_share=manifest.unreadable_share,
        seconds=seconds,
        remote=encoder.usage if isinstance(encoder, RemoteEncoder) else None,
    )


def _check_agreement(into: Path, kept: CollectionSettings, given: BuildSettings, encoder: SentenceEncoder) -> None:
    """Raise InputError for a different setting, EncoderMismatch for a changed service."""
    check_unchanged(into.name, kept.canaries, encoder)
    words = _differences(given.lexical, LexicalSettings(), kept.lexical) if given.lexical and kept.lexical else ()
    lexical = list(words)
    others = [
        *(_differences(given.chunking, None, kept.chunking) if given.chunking else ()),
        *_differences(given.vectors, VectorSettings(), kept.vectors),
    ]
    if others or lexical:
        change = "index into a new directory" if others else f"change it by `attendex reindex {into}`"
        raise InputError(f"{into}: {'; '.join([*others, *lexical])}; leave the setting out, or {change}")


def _differences(given: S, default: S | None, kept: S) -> Iterator[str]:
    """Describe the values that differ from `kept`, without those equal to `default`."""
    for setting in fields(given):
        value, current = getattr(given, setting.name), getattr(kept, setting.name)
        chosen = default is None or value != getattr(default, setting.name)
        if chosen and value != current:
            yield f"{setting.name} is {current!r} in the collection, not {value!r}"


def chunking_for(sources: Sequence[Path | str], settings: BuildSettings) -> ChunkSettings:
    """Return the chunk settings to use.

    By default the documents of BEIR folders stay whole, as in the published figures, and others are cut into passages.
    """
    if settings.chunking is not None:
        return settings.chunking
    return ChunkSettings("whole" if all(find_beir_corpus(Path(source)) for source in sources) else "passages")


def _changed(
    documents: list[Document], writer: DocumentWriter, settings: BuildSettings, tally: BuildTally
) -> list[Document]:
    """Return the documents to add; record those that cannot be added."""
    try:
        known = writer.unchanged(documents)
    except InputError as error:
        if len(documents) == 1:
            tally.record_bad(error, skip=settings.skip_bad)
            tally.rejected.add(documents[0].id)
            return []
        parts = split_batch(documents, writer)
        return [document for part in parts for document in _changed(part, writer, settings, tally)]
    return [document for document, same in zip(documents, known, strict=True) if not same]


def _chunk_block(documents: list[Document], tokenizer: Tokenizer, settings: ChunkSettings) -> _Block:
    passages = [chunk(document, tokenizer, settings) for document in documents]
    return _Block(documents, passages, passage_texts(documents, passages))
