"""Documents in, a committed generation out: read → compare → chunk → encode → write, as generators.

Nothing is held longer than a block of documents, so memory does not grow with the source.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import compress
from pathlib import Path
from threading import Lock
from typing import TypeVar

from indexer.building.chunking import chunk, passage_texts
from indexer.building.deduplicated_encoding import DeduplicatedEncoder
from indexer.building.encoder_loading import load_build_encoder
from indexer.building.new_collection import new_settings
from indexer.building.sync_guard import UnreadFiles
from indexer.readers import (
    FileOutcome,
    ReadOptions,
    check_source,
    find_beir_corpus,
    id_prefixes,
    open_documents,
    printable,
)
from indexer.writing.pending_generation import WriterCounts
from indexer.writing.segment_writer import count_characters
from indexer.writing.writer import Writer
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import BadDocument, InputError, SchemaError
from retrieval.index.storage.manifest import read_manifest
from retrieval.index.storage.settings import ChunkSettings, CollectionSettings, LexicalSettings, VectorSettings
from retrieval.search.readability import Readability
from retrieval.types import Document, Passage, Schema, Vectors

S = TypeVar("S", ChunkSettings, LexicalSettings, VectorSettings)

BLOCK_DOCUMENTS = 512
BLOCK_CHARACTERS = 1_000_000
LISTED_PROBLEMS = 1_000  # further ones are only counted


def ignore_file(outcome: FileOutcome) -> None:
    """For builds that nobody watches file by file."""
    del outcome


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How documents become a collection.  What the collection already settled may be left out, not contradicted."""

    encoder: str = ""  # "": the collection's own, or the default
    runtime: str = "auto"
    precision: str = "auto"
    chunking: ChunkSettings | None = None  # None: whole documents for BEIR folders, passages for all else
    lexical: LexicalSettings | None = field(default_factory=LexicalSettings)  # None: no index of words
    schema: Schema | None = None  # types of fields; what is not named is inferred from the documents
    read: ReadOptions = field(default_factory=ReadOptions)
    skip_bad: bool = False  # count and list bad records instead of stopping at the first
    sync: bool = False  # delete what the collection holds and the sources do not
    vectors: VectorSettings = field(default_factory=VectorSettings)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: documents read, passages written."""

    documents: int
    passages: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.  `documents` and `passages` are those of the collection afterwards.

    `kept_unseen`: nothing was deleted for being gone from the sources, since of those something could not be read.
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
    resumed: int
    deleted: int
    kept_unseen: bool
    encoded_texts: int
    bad: int
    problems: tuple[str, ...]
    schema: Mapping[str, str]
    seconds: float


@dataclass(slots=True)
class _Tally:
    read: int = 0
    passages: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)
    kept_unseen: bool = False

    def note(self, problem: InputError, *, skip: bool) -> None:
        """Count a bad document, or stop at it."""
        if not skip:
            raise problem
        self.bad += 1
        if len(self.problems) < LISTED_PROBLEMS:
            self.problems.append(str(problem))


@dataclass(frozen=True, slots=True)
class _Block:
    """Documents on their way through, with their passages and what the encoder reads of each."""

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
    wait_s: float = 0.0,
    loading: Future[SentenceEncoder] | None = None,
) -> BuildReport:
    """Index `sources` into the collection `into`, which is made if it is not there, and commit one generation.

    A source is a file, a folder, "-" or, where `settings.read.web` allows it, a URL; all are looked for before
    anything is done, so that a slip of the pen costs nothing.  What cannot be read in a folder, and a file among
    others, is counted and passed over; a bad record of a file that is named stops the build unless
    `settings.skip_bad`.  Documents that the collection already holds unchanged are not encoded again.  `loading` is
    the encoder that `settings` ask for, where its loading was begun before (see starting.py).

    Raises InputError for what cannot be read or does not fit, EncoderMismatch for an encoder that did not make the
    collection, CollectionLocked when another writer does not let go within `wait_s` seconds, CollectionError for what
    the disk says; the collection is then as it was.
    """
    settings = settings or BuildSettings()
    for source in sources:
        check_source(source)
    if all(map(_is_folder_of_files, sources)):
        settings = replace(settings, skip_bad=True)
    started = time.perf_counter()
    _check_encoder_name(settings.encoder)
    encoder = (
        loading.result()
        if loading
        else load_build_encoder(into, settings.encoder, settings.runtime, settings.precision)
    )
    tally, unread, readability = _Tally(), UnreadFiles(on_file), Readability(encoder.tokenizer)
    create = new_settings(
        encoder, chunking=chunking_for(sources, settings), lexical=settings.lexical, vectors=settings.vectors
    )
    with (
        Writer(into, create=create, cause=_cause(sources), wait_s=wait_s) as writer,
        DeduplicatedEncoder(encoder) as encode_once,
    ):
        _check_settled(into, writer.settings, settings)
        writer.declare_fields(settings.schema or {})
        cut = partial(chunk, tokenizer=encoder.tokenizer, settings=writer.settings.chunking)
        documents = _read(sources, settings, tally, unread if settings.sync else on_file)
        turn = Lock()  # blocks are read ahead in the encoder's thread, and a writer serves one at a time
        changed = (_changed(some, writer, turn, settings, tally) for some in _batched(documents))
        for block, vectors in _encoded((_block(some, cut) for some in changed), encode_once):
            with turn:
                writer.add(block.documents, block.passages, vectors, readability.unreadable_shares(block.documents))
            tally.passages += len(vectors)
            if watch:
                watch(Progress(tally.read, tally.passages))
        if not tally.read and (settings.sync or not writer.generation):
            raise InputError(f"{', '.join(map(str, sources))}: no document could be read, so nothing was changed")
        if settings.sync:
            _delete_unseen(writer, tally, unread.known_to(into))
        writer.commit()
        return _report(into, encoder, tally, writer.counts, encode_once.encoded, time.perf_counter() - started)


def _delete_unseen(writer: Writer, tally: _Tally, unread_files: int) -> None:
    """Delete what the sources no longer hold, unless some of what they hold could not be read."""
    if tally.bad:
        tally.kept_unseen = True
    elif unread_files:
        tally.kept_unseen = True
        tally.problems.insert(
            0,
            f"{unread_files:,} file(s) whose documents may be in the collection gave none this time; mend them, or "
            "leave them out with --exclude",
        )
    else:
        writer.delete_unseen()


def _report(
    into: Path, encoder: SentenceEncoder, tally: _Tally, counts: WriterCounts, encoded_texts: int, seconds: float
) -> BuildReport:
    manifest = read_manifest(into)
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
        resumed=counts.resumed,
        deleted=counts.deleted,
        kept_unseen=tally.kept_unseen,
        encoded_texts=encoded_texts,
        bad=tally.bad,
        problems=tuple(tally.problems),
        schema={name: str(kind) for name, kind in manifest.schema.items()},
        seconds=seconds,
    )


def _check_encoder_name(name: str) -> None:
    """Raise InputError for a folder that the manifest could not name, as whoever opens the collection needs it."""
    if printable(name) != name:
        raise InputError(f"{printable(name)}: the encoder's path is no UTF-8; give its folder another name")


def _check_settled(into: Path, kept: CollectionSettings, given: BuildSettings) -> None:
    """Raise InputError for a setting that was chosen and is another in the collection: it would have no effect."""
    wishes = [
        *(_differences(given.chunking, None, kept.chunking) if given.chunking else ()),
        *(_differences(given.lexical, LexicalSettings(), kept.lexical) if given.lexical and kept.lexical else ()),
        *_differences(given.vectors, VectorSettings(), kept.vectors),
    ]
    if wishes:
        raise InputError(
            f"{into}: {'; '.join(wishes)}; leave the setting out, or index into a new directory to have it"
        )


def _differences(given: S, default: S | None, kept: S) -> Iterator[str]:
    """Chosen values, which are not the default's, that differ from what is kept; without a default all are chosen."""
    for each in fields(given):
        value, current = getattr(given, each.name), getattr(kept, each.name)
        chosen = default is None or value != getattr(default, each.name)
        if chosen and value != current:
            yield f"{each.name} is {current!r} there, not {value!r}"


def chunking_for(sources: Sequence[Path | str], settings: BuildSettings) -> ChunkSettings:
    """What was asked for; else BEIR's documents stay whole, as the published figures have them, and others are cut."""
    if settings.chunking is not None:
        return settings.chunking
    return ChunkSettings("whole" if all(find_beir_corpus(Path(each)) for each in sources) else "passages")


def _is_folder_of_files(source: Path | str) -> bool:
    """Whether files of any kind may turn up there, of which a bad one must not stop the rest."""
    return Path(source).is_dir() and find_beir_corpus(Path(source)) is None


def _cause(sources: Sequence[Path | str]) -> str:
    return printable("index " + " ".join(Path(source).name or str(source) for source in sources))


def _read(
    sources: Sequence[Path | str], settings: BuildSettings, tally: _Tally, on_file: Callable[[FileOutcome], None]
) -> Iterator[Document]:
    """Good documents of all sources, in order."""
    for source, prefix in zip(sources, id_prefixes(sources), strict=True):
        skip_all = settings.skip_bad or _is_folder_of_files(source)
        read = replace(settings.read, id_prefix=settings.read.id_prefix + prefix)
        for item in open_documents(source, read, on_file):
            if isinstance(item, BadDocument):
                shown = printable(str(source))
                one_of_many = len(sources) > 1 or str(item.path) != shown  # a file, a member, an attachment
                tally.note(item, skip=skip_all or (one_of_many and item.line is None))
            else:
                tally.read += 1
                yield item


def _batched(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Blocks of documents, bounded in number and in length."""
    block: list[Document] = []
    characters = 0
    for document in documents:
        block.append(document)
        characters += count_characters(document)
        if len(block) == BLOCK_DOCUMENTS or characters >= BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _changed(
    documents: list[Document], writer: Writer, turn: Lock, settings: BuildSettings, tally: _Tally
) -> list[Document]:
    """Those that the collection does not hold as they are."""
    try:
        with turn:
            known = writer.unchanged(documents)
    except InputError as error:
        if len(documents) == 1:
            tally.note(error, skip=settings.skip_bad)
            return []
        parts = _sifted(documents, writer, turn)
        return [each for part in parts for each in _changed(part, writer, turn, settings, tally)]
    return [document for document, same in zip(documents, known, strict=True) if not same]


def _sifted(documents: list[Document], writer: Writer, turn: Lock) -> list[list[Document]]:
    """A block that cannot be added as it is: what fits together, so that no field gets another type, then the rest."""
    try:
        with turn:
            fits = writer.can_add(documents)
    except SchemaError:  # no types for all of them: those before win
        return [[each] for each in documents]
    return [list(compress(documents, fits)), *([each] for each, good in zip(documents, fits, strict=True) if not good)]


def _block(documents: list[Document], cut: Callable[[Document], list[Passage]]) -> _Block:
    passages = [cut(document) for document in documents]
    return _Block(documents, passages, passage_texts(documents, passages))


def _encoded(blocks: Iterable[_Block], encode_once: DeduplicatedEncoder) -> Iterator[tuple[_Block, Vectors]]:
    """Blocks with the vectors of their passages; blocks ahead of the encoder wait in between."""
    waiting: deque[_Block] = deque()

    def texts() -> Iterator[list[str]]:
        for block in blocks:
            waiting.append(block)
            yield block.texts

    for vectors in encode_once.encode(texts()):
        yield waiting.popleft(), vectors
