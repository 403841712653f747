"""Text files of an evaluation, plain or `.gz`: read as numbered lines, written whole or not at all."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from retrieval.errors import BadJudgments, StorageError


def read_text(path: Path) -> str:
    """The file's text, decompressed, without a byte-order mark.  BadJudgments names what is wrong with it."""
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BadJudgments(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise BadJudgments(f"{path}: not UTF-8 (byte {error.start}); convert it first") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadJudgments(f"{path}: not a whole gzip file ({error}); fetch or write it again") from error
    except OSError as error:
        raise BadJudgments(f"{path}: cannot be read ({error.strerror})") from error


NumberedLines: TypeAlias = Iterable[tuple[int, str]]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1.  Raises BadJudgments for an empty file and for NUL."""
    text = read_text(path)
    if not text.strip():
        raise BadJudgments(f"{path}: the file is empty")
    if "\0" in text:
        raise BadJudgments(f"{path}: holds NUL characters; it is no text file")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write the pieces, compressed where `path` ends in .gz; the old file stays until the new one is whole."""
    data = "".join(pieces).encode()
    data = gzip.compress(data, mtime=0) if path.suffix == ".gz" else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=path) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)  # mkstemp makes it private
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StorageError(f"cannot be written ({error.strerror})", path=path) from error
        raise
