"""Estimate the cost of a build before it runs.

Count the documents of the sources, and measure a sample.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path, PurePosixPath

import numpy as np

from indexer.building.chunking import chunk, passage_texts
from indexer.building.encoder_loading import load_build_encoder
from indexer.building.pipeline import BuildSettings, chunking_for
from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.formats.compressed import DAMAGE, expanded, uncompressed_name
from indexer.readers.formats.format_table import format_for_suffix
from indexer.readers.opening import open_documents
from indexer.sources.folders import find_beir_corpus, walk
from indexer.sources.paths import is_path
from indexer.writing.window_build import window_spans
from retrieval.encoder.remote.connection import RemoteUsage
from retrieval.encoder.remote_encoder import RemoteEncoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import BadDocument, InputError
from retrieval.index.vectors.index_choice import choose_ann_index
from retrieval.types import Document, Passage

SAMPLED_BYTES = 4 << 20
SAMPLED_DOCUMENTS = 256
SAMPLED_PASSAGES = 256
REMOTE_PASSAGES = 64  # encoded of a remote encoder, which may cost money
BASE_MEMORY_BYTES = 700 << 20  # interpreter, libraries, encoder, one block of documents
PASSAGE_MEMORY_BYTES = 400  # that a writer keeps for each passage
LEXICAL_SHARE = 0.45  # size of the lexical index, relative to the text


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The estimated cost of a build.

    `ann_index` names it; it is empty for exact search.  All counts but `sampled_documents` are estimates.
    """

    sampled_documents: int
    documents: int
    passages: int
    passages_per_second: float
    seconds: float
    disk_bytes: int
    peak_memory_bytes: int
    ann_index: str  # a FAISS factory string
    tokens: int = 0  # that a remote encoder counts
    cost: float | None = None  # of these tokens, in the currency of the price
    shards: int = 0  # that the passages are spread over; 0: one collection
    windows: int = 0  # vectors of sentences inside the passages; 0: none
    workers: int = 1  # encoders that share the passages
    shard_memory_bytes: int = 0  # of the process that writes one shard, on a cluster


def plan_build(
    sources: Sequence[Path | str], into: Path, settings: BuildSettings, *, price: float | None = None, workers: int = 1
) -> BuildPlan:
    """Read, cut and encode a sample of `sources`, and scale the cost up.

    Nothing is written.  `price` is that of a million tokens of a remote encoder.  `workers` encoders as fast as that of
    this machine share the passages.  Raises InputError if there is no document to sample.
    """
    encoder = load_build_encoder(into, settings.encoder, settings.runtime, settings.precision)
    sample = _sample(sources, settings)
    chunking = chunking_for(sources, settings)
    cut = [chunk(document, encoder.tokenizer, chunking) for document in sample]
    texts, windows = passage_texts(sample, cut), _window_texts(sample, cut, settings.vectors.window_sentences)
    speed, window_speed = _measure(encoder, texts), _measure(encoder, windows)
    size = estimate_sources(sources, settings.read)
    documents = max(size.documents if size else 0, len(sample))
    passages = round(documents * len(texts) / len(sample))
    num_windows = round(documents * len(windows) / len(sample))
    tokens = round(passages * speed.tokens_per_text + num_windows * window_speed.tokens_per_text)
    ann_index = choose_ann_index(passages // max(1, settings.shards), encoder.dimension, settings.vectors)
    index_bytes = ann_index.bytes_per_vector * passages if ann_index else 0.0
    text_bytes = documents * sum(len(f"{document.title}{document.text}".encode()) for document in sample) / len(sample)
    vector_bytes = (passages + num_windows) * encoder.dimension * np.dtype(settings.vectors.dtype).itemsize
    seconds = passages / speed.per_second / workers + num_windows / window_speed.per_second
    return BuildPlan(
        sampled_documents=len(sample),
        documents=documents,
        passages=passages,
        passages_per_second=speed.per_second,
        seconds=max(seconds, _limited_seconds(encoder, tokens)),
        disk_bytes=round(text_bytes * (1 + LEXICAL_SHARE) + vector_bytes + index_bytes),
        peak_memory_bytes=round(BASE_MEMORY_BYTES + passages * PASSAGE_MEMORY_BYTES + index_bytes),
        ann_index=ann_index.factory if ann_index else "",
        tokens=tokens,
        cost=None if price is None else tokens * price / 1e6,
        shards=settings.shards,
        windows=num_windows,
        workers=workers,
        shard_memory_bytes=_shard_memory(passages, index_bytes, settings.shards),
    )


def _shard_memory(passages: int, index_bytes: float, shards: int) -> int:
    """Return the memory of the process that writes a shard; 0 without shards."""
    return round(BASE_MEMORY_BYTES + (passages * PASSAGE_MEMORY_BYTES + index_bytes) / shards) if shards else 0


def _sample(sources: Sequence[Path | str], settings: BuildSettings) -> list[Document]:
    items = chain.from_iterable(open_documents(source, settings.read) for source in sources)
    sample = list(islice((item for item in items if isinstance(item, Document)), SAMPLED_DOCUMENTS))
    if not sample:
        raise InputError(f"{', '.join(map(str, sources))}: no document could be read; name a source with documents")
    return sample


def _window_texts(documents: Sequence[Document], cut: Sequence[Sequence[Passage]], sentences: int) -> list[str]:
    """Return the texts of the windows in passages; none for 0 sentences."""
    if not sentences:
        return []
    return [
        document.text[start:end]
        for document, passages in zip(documents, cut, strict=True)
        for passage in passages
        for start, end in window_spans(document.text, passage.start, passage.end, sentences)
    ]


def _limited_seconds(encoder: SentenceEncoder, tokens: int) -> float:
    """Return the least seconds of an encoder with a limit of tokens a minute."""
    limit = encoder.spec.tpm if isinstance(encoder, RemoteEncoder) else 0
    return 60 * tokens / limit if limit else 0.0


@dataclass(frozen=True, slots=True)
class _Speed:
    """The measured cost of encoding texts of one kind."""

    per_second: float
    tokens_per_text: float  # that a remote encoder counts; 0 for a local one


def _measure(encoder: SentenceEncoder, texts: Sequence[str]) -> _Speed:
    """Encode some texts, spread over the sample."""
    if not texts:
        return _Speed(math.inf, 0.0)
    usage = encoder.usage if isinstance(encoder, RemoteEncoder) else RemoteUsage()
    before = replace(usage)
    sampled = REMOTE_PASSAGES if isinstance(encoder, RemoteEncoder) else SAMPLED_PASSAGES
    some = texts[:: max(1, len(texts) // sampled)]
    encoder.encode_passages(some[:16])  # warm up: the first run of a shape is slower
    started = time.perf_counter()
    encoder.encode_passages(some)
    per_second = len(some) / (time.perf_counter() - started)
    if not isinstance(encoder, RemoteEncoder):
        return _Speed(per_second, 0.0)
    if usage.tokens > before.tokens:
        return _Speed(per_second, (usage.tokens - before.tokens) / (usage.texts - before.texts))
    return _Speed(per_second, sum(map(encoder.tokenizer.count, texts)) / len(texts))


@dataclass(frozen=True, slots=True)
class SourceSize:
    """The estimated documents of sources, and their bytes on disk."""

    documents: int
    size_bytes: int


def estimate_sources(sources: Iterable[Path | str], options: ReadOptions) -> SourceSize | None:
    """Estimate the number of documents; return None for standard input and the web."""
    sources = list(sources)
    if not all(map(is_path, sources)):
        return None
    files = [path for source in sources for path in _source_files(Path(source), options)]
    return SourceSize(sum(_count_documents(path) for path in files), sum(map(_size_bytes, files)))


def _source_files(source: Path, options: ReadOptions) -> Iterator[Path]:
    if corpus := find_beir_corpus(source):
        yield corpus
    elif source.is_dir():
        yield from (found.path for found in walk(source, options) if not found.failed)
    elif source.is_file():
        yield source


def _count_documents(path: Path) -> int:
    named = format_for_suffix(uncompressed_name(PurePosixPath(path.name)).suffix)
    if named is not None and named.is_line_oriented:
        return _count_lines(path)
    count = named.count_documents(path) if named is not None else None
    return 1 if count is None else count


def _count_lines(path: Path) -> int:
    """Count the lines of the first mebibytes, scaled to the whole file."""
    try:
        with path.open("rb") as raw:
            stream = expanded(raw, ReadLimits())
            data = stream.read(SAMPLED_BYTES)
            lines = data.count(b"\n") + (not data.endswith(b"\n"))
            read = raw.tell()
    except (OSError, BadDocument, *DAMAGE):
        return 1  # the build reports the fault
    whole = len(data) < SAMPLED_BYTES
    return lines if whole else round(lines * _size_bytes(path) / max(1, read))


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the file was removed meanwhile
