"""How many documents sources hold, without reading them all: for progress, and for the plan of a build."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from indexer.readers import ReadOptions, find_beir
from indexer.readers.files import walk
from indexer.readers.sources import is_path

SAMPLED_BYTES = 4 << 20
LINE_FORMATS = (".jsonl", ".ndjson", ".csv", ".tsv", ".tab")
PACKED = (".gz", ".bz2", ".xz")


@dataclass(frozen=True, slots=True)
class Size:
    """What sources hold: documents, and bytes on disk."""

    documents: int
    size_bytes: int


def expected(sources: Iterable[Path | str], options: ReadOptions) -> Size | None:
    """About how many documents `sources` hold; None where nobody can know (standard input, the web)."""
    sources = list(sources)
    if not all(map(is_path, sources)):
        return None
    files = [path for source in sources for path in _files(Path(source), options)]
    return Size(sum(_documents(path) for path in files), sum(path.stat().st_size for path in files))


def _files(source: Path, options: ReadOptions) -> Iterator[Path]:
    if beir := find_beir(source):
        yield beir.corpus
    elif source.is_dir():
        yield from (found.path for found in walk(source, options) if not found.failed)
    elif source.is_file():
        yield source


def _documents(path: Path) -> int:
    packed = path.suffix.lower() in PACKED
    suffix = (path.with_suffix("") if packed else path).suffix.lower()
    if suffix in LINE_FORMATS:
        return _lines(path, packed=packed)
    if suffix == ".parquet":
        return _rows(path)
    return 1


def _lines(path: Path, *, packed: bool) -> int:
    """Lines of the first mebibytes, scaled to the whole file by how far they reach into it."""
    try:
        with path.open("rb") as raw:
            stream = _unpacked(raw, path.suffix.lower()) if packed else raw
            data = stream.read(SAMPLED_BYTES)
            lines = data.count(b"\n") + (not data.endswith(b"\n"))
            read = raw.tell()
    except (OSError, EOFError, lzma.LZMAError):
        return 1  # the reader will say what is wrong
    whole = len(data) < SAMPLED_BYTES
    return lines if whole else round(lines * path.stat().st_size / max(1, read))


def _unpacked(raw: BinaryIO, suffix: str) -> IO[bytes]:
    if suffix == ".gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    return bz2.BZ2File(raw) if suffix == ".bz2" else lzma.LZMAFile(raw)


def _rows(path: Path) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 1
