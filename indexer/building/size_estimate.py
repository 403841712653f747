"""How many documents sources hold, without reading them all: for progress, and for the plan of a build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer.readers import ReadLimits, ReadOptions, find_beir_corpus
from indexer.readers.formats.compressed import DAMAGE, expanded, uncompressed_name
from indexer.readers.formats.format_table import format_for_suffix
from indexer.readers.sources.folders import walk
from indexer.readers.sources.paths import is_path
from retrieval.errors import BadDocument

SAMPLED_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class SourceSize:
    """What sources hold: documents, and bytes on disk."""

    documents: int
    size_bytes: int


def estimate_sources(sources: Iterable[Path | str], options: ReadOptions) -> SourceSize | None:
    """About how many documents `sources` hold; None where nobody can know (standard input, the web)."""
    sources = list(sources)
    if not all(map(is_path, sources)):
        return None
    files = [path for source in sources for path in _files(Path(source), options)]
    return SourceSize(sum(_documents(path) for path in files), sum(map(_size_bytes, files)))


def _files(source: Path, options: ReadOptions) -> Iterator[Path]:
    if corpus := find_beir_corpus(source):
        yield corpus
    elif source.is_dir():
        yield from (found.path for found in walk(source, options) if not found.failed)
    elif source.is_file():
        yield source


def _documents(path: Path) -> int:
    named = format_for_suffix(uncompressed_name(PurePosixPath(path.name)).suffix)
    if named is not None and named.is_line_oriented:
        return _lines(path)
    count = named.count_documents(path) if named is not None else None
    return 1 if count is None else count


def _lines(path: Path) -> int:
    """Lines of the first mebibytes, scaled to the whole file by how far they reach into it."""
    try:
        with path.open("rb") as raw:
            stream = expanded(raw, ReadLimits())
            data = stream.read(SAMPLED_BYTES)
            lines = data.count(b"\n") + (not data.endswith(b"\n"))
            read = raw.tell()
    except (OSError, BadDocument, *DAMAGE):
        return 1  # the reader will say what is wrong
    whole = len(data) < SAMPLED_BYTES
    return lines if whole else round(lines * _size_bytes(path) / max(1, read))


def _size_bytes(path: Path) -> int:
    """0 for a file that has gone meanwhile."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
