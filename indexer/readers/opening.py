"""The door: a source (file or folder) becomes documents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeAlias

from indexer.readers.beir import find_beir, read_corpus
from indexer.readers.compressed import DAMAGE, open_file
from indexer.readers.jsonl import read_jsonl
from indexer.readers.options import FileOutcome, FileStatus, Item, Listener, ReadOptions
from indexer.readers.parquet import read_parquet
from indexer.readers.tables import read_table
from indexer.readers.text import read_markdown, read_text
from retrieval.errors import BadDocument
from retrieval.types import Document

Reader: TypeAlias = Callable[[BinaryIO, str, ReadOptions], Iterator[Item]]

READERS: dict[str, Reader] = {
    "beir": read_corpus,
    "jsonl": read_jsonl,
    "csv": read_table,
    "tsv": read_table,
    "parquet": read_parquet,
    "text": read_text,
    "markdown": read_markdown,
}
SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
}
COMPRESSED = (".gz", ".bz2", ".xz")
WHOLE_FILES = ("text", "markdown")  # one document a file, named after it


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read; `name` is its stable relative path."""

    path: Path
    name: str
    format: str


def open_documents(
    source: Path | str, options: ReadOptions | None = None, on_file: Listener | None = None
) -> Iterator[Item]:
    """Documents of `source`, in a stable order (folders by path), in bounded memory.

    Whatever cannot be read is yielded as a BadDocument that carries path and line, and reading goes on.  `on_file`
    hears what became of each file.  Raises BadDocument at once when `source` is not there or cannot be one.
    """
    path = Path(source)
    if not path.exists():
        raise BadDocument("no such file or folder", path=path)
    return _documents(path, options or ReadOptions(), on_file or _ignore)


def _ignore(outcome: FileOutcome) -> None:
    """Nobody listens."""
    del outcome


def _documents(path: Path, options: ReadOptions, on_file: Listener) -> Iterator[Item]:
    empty = True
    for file in _files(path, options):
        for item in file if isinstance(file, list) else _read(file, options, on_file):
            empty = False
            yield item
    if empty:
        yield BadDocument("holds no document", path=path)


def _files(path: Path, options: ReadOptions) -> Iterator[SourceFile | list[Item]]:
    if beir := find_beir(path):
        yield SourceFile(beir.corpus, beir.corpus.name, "beir")
    elif path.is_dir():
        yield from _walk(path, path, options)
    elif known := options.format or format_of(path.name):
        yield SourceFile(path, options.id_prefix + path.name, known)
    else:
        known_suffixes = " ".join(sorted(SUFFIXES))
        yield [
            BadDocument(f"the format is not known by its suffix ({known_suffixes}); name it with --format", path=path)
        ]


def _walk(root: Path, folder: Path, options: ReadOptions) -> Iterator[SourceFile]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk(root, path, options)
        elif entry.is_file() and (known := format_of(entry.name)):
            yield SourceFile(path, options.id_prefix + path.relative_to(root).as_posix(), known)


def format_of(name: str) -> str:
    """Name of the format that a file's suffix stands for; empty where it stands for none."""
    inner = PurePosixPath(name)
    if inner.suffix.lower() in COMPRESSED:
        inner = inner.with_suffix("")
    return SUFFIXES.get(inner.suffix.lower(), "")


def _read(file: SourceFile, options: ReadOptions, on_file: Listener) -> Iterator[Item]:
    """Items of one file, then its outcome."""
    started = time.perf_counter()
    documents, bad = 0, 0
    reason = ""
    for item in _guarded(file, options):
        if isinstance(item, Document):
            documents += 1
        else:
            bad += 1
            reason = reason or str(item)
        yield item
    status = FileStatus.READ if documents else FileStatus.FAILED
    seconds = time.perf_counter() - started
    on_file(FileOutcome(str(file.path), status, file.format, reason, documents, bad, _size(file.path), seconds))


def _guarded(file: SourceFile, options: ReadOptions) -> Iterator[Item]:
    """Items of one file; what breaks the file as a whole becomes its last item."""
    name = file.name if file.format in WHOLE_FILES else str(file.path)
    try:
        with open_file(file.path, options.limits) as stream:
            yield from READERS[file.format](stream, name, options)
    except DAMAGE as error:
        yield BadDocument(f"damaged compressed data: {error}", path=file.path)
    except BadDocument as error:
        yield BadDocument(str(error), path=file.path)
    except OSError as error:
        yield BadDocument(f"cannot be read: {error.strerror or error}", path=file.path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def formats() -> Iterable[str]:
    """Names that `ReadOptions.format` may have."""
    return READERS
