"""Parse files on a cluster, several at a time; each file is one task."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexer.cluster.encoder_workers import READER_CPUS
from indexer.cluster.messages import decode, encode
from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileOutcome, ReadItem
from indexer.readers.opening import parse_files
from indexer.sources.source import FoundFile
from indexer.writing.segment_writer import count_characters
from retrieval.errors import ClusterError
from retrieval.types import Document

BLOCK_ITEMS = 512
BLOCK_CHARACTERS = 1_000_000
BLOCKS_AHEAD = 4  # of one file, that wait for the build
RETRIES = 3  # of a task whose process ends


def parse_file(request: bytes) -> Iterator[bytes]:
    """Yield the items of one file in blocks, and after them its outcome."""
    found, source, options = decode(request)
    for block in blocks(parse_files(iter([found]), source, replace(options, workers=1))):
        yield encode(block)


def blocks(items: Iterable[ReadItem | FileOutcome]) -> Iterator[list[ReadItem | FileOutcome]]:
    """Group items, bounded in number and in characters."""
    block: list[ReadItem | FileOutcome] = []
    characters = 0
    for item in items:
        block.append(item)
        characters += count_characters(item) if isinstance(item, Document) else 0
        if len(block) >= BLOCK_ITEMS or characters >= BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


class ClusterParser:
    """A `FileParser` whose tasks run on a cluster.

    All machines must see the files under the same paths.  Temporary files, such as fetched pages, are parsed here.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._task = ray.remote(
            num_returns="streaming",
            num_cpus=READER_CPUS,
            max_retries=RETRIES,
            _generator_backpressure_num_objects=BLOCKS_AHEAD,
        )(parse_file)
        self._ahead = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))  # files

    def __call__(
        self, files: Iterator[FoundFile], source: Path | str, options: ReadOptions
    ) -> Iterator[ReadItem | FileOutcome]:
        waiting: deque[Iterator[ReadItem | FileOutcome]] = deque()
        for found in files:
            if found.is_temporary or found.failed:
                waiting.append(parse_files(iter([found]), source, options))
            else:
                waiting.append(self._items(self._task.remote(encode([found, source, options]))))
            if len(waiting) > self._ahead:
                yield from waiting.popleft()
        while waiting:
            yield from waiting.popleft()

    def _items(self, messages: Any) -> Iterator[ReadItem | FileOutcome]:
        try:
            for message in messages:
                yield from decode(self._ray.get(message))
        except self._ray.exceptions.RayError as error:
            raise ClusterError(f"a task that parses a file failed: {error}; run the command again") from error
