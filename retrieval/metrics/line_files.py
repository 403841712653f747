"""Read and write the text files of an evaluation, plain or `.gz`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from retrieval.errors import BadJudgments
from retrieval.util.files import storage_errors
from retrieval.util.temporaries import replace_atomically


def read_text(path: Path) -> str:
    """Read the text of a file, decompressed, without a byte-order mark.

    Raises BadJudgments if the file is missing, damaged or not UTF-8.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BadJudgments(f"{path}: no such file; check the path") from error
    except UnicodeDecodeError as error:
        raise BadJudgments(f"{path}: not UTF-8 (byte {error.start}); convert it first") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadJudgments(f"{path}: not a complete gzip file ({error}); fetch or write it again") from error
    except OSError as error:
        raise BadJudgments(f"{path}: cannot be read ({error.strerror})") from error


NumberedLines: TypeAlias = Iterable[tuple[int, str]]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1.

    Raises BadJudgments for an empty file and for NUL characters.
    """
    text = read_text(path)
    if not text.strip():
        raise BadJudgments(f"{path}: the file is empty; check the path")
    if "\0" in text:
        raise BadJudgments(f"{path}: the file has NUL characters; give a text file")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write the pieces to a file, compressed if its name ends in `.gz`.

    The new file replaces the old one when it is complete.  Raises StorageError.
    """
    data = "".join(pieces).encode()
    data = gzip.compress(data, mtime=0) if path.suffix == ".gz" else data
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, data)
