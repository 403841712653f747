"""What a build will cost, before anything is done: a sample is read, cut and encoded, and scaled up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from indexer.building.chunking import chunk, passage_texts
from indexer.building.encoder_loading import load_build_encoder
from indexer.building.pipeline import BuildSettings, chunking_for
from indexer.building.size_estimate import estimate_sources
from indexer.readers import open_documents
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import InputError
from retrieval.index.vectors.index_choice import choose_ann_index
from retrieval.types import Document

SAMPLED_DOCUMENTS = 256
SAMPLED_PASSAGES = 256
BASE_MEMORY_BYTES = 700 << 20  # interpreter, libraries, encoder, one block on its way
PASSAGE_MEMORY_BYTES = 400  # what a writer remembers of each
WORDS_SHARE = 0.45  # size of the index of words to that of the text


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Expectations for a build.  `structure` is empty for exact search; counts are estimates but the sampled one."""

    sampled_documents: int
    documents: int
    passages: int
    passages_per_second: float
    seconds: float
    disk_bytes: int
    peak_memory_bytes: int
    structure: str


def plan_build(sources: Sequence[Path | str], into: Path, settings: BuildSettings) -> BuildPlan:
    """Read a sample of `sources` and say what building will take; nothing is written.

    Raises InputError where there is nothing to sample.
    """
    encoder = load_build_encoder(into, settings.encoder, settings.runtime, settings.precision)
    sample = _sample(sources, settings)
    cut = chunking_for(sources, settings)
    texts = passage_texts(sample, [chunk(document, encoder.tokenizer, cut) for document in sample])
    speed = _passages_per_second(encoder, texts)
    size = estimate_sources(sources, settings.read)
    documents = max(size.documents if size else 0, len(sample))
    passages = round(documents * len(texts) / len(sample))
    structure = choose_ann_index(passages, encoder.dimension, settings.vectors)
    structure_bytes = structure.bytes_per_vector * passages if structure else 0.0
    text_bytes = documents * sum(len(f"{each.title}{each.text}".encode()) for each in sample) / len(sample)
    vector_bytes = passages * encoder.dimension * np.dtype(settings.vectors.dtype).itemsize
    return BuildPlan(
        sampled_documents=len(sample),
        documents=documents,
        passages=passages,
        passages_per_second=speed,
        seconds=passages / speed,
        disk_bytes=round(text_bytes * (1 + WORDS_SHARE) + vector_bytes + structure_bytes),
        peak_memory_bytes=round(BASE_MEMORY_BYTES + passages * PASSAGE_MEMORY_BYTES + structure_bytes),
        structure=structure.factory if structure else "",
    )


def _sample(sources: Sequence[Path | str], settings: BuildSettings) -> list[Document]:
    items = chain.from_iterable(open_documents(source, settings.read) for source in sources)
    sample = list(islice((item for item in items if isinstance(item, Document)), SAMPLED_DOCUMENTS))
    if not sample:
        raise InputError(f"{', '.join(map(str, sources))}: no document could be read")
    return sample


def _passages_per_second(encoder: SentenceEncoder, texts: Sequence[str]) -> float:
    """How fast some of the texts, spread over the sample, are encoded."""
    some = texts[:: max(1, len(texts) // SAMPLED_PASSAGES)]
    encoder.encode_passages(some[:16])  # the first run of a shape is slower
    started = time.perf_counter()
    encoder.encode_passages(some)
    return len(some) / (time.perf_counter() - started)
