"""Originals: the files from which documents were read, as they were uploaded.

    originals/3fa9…       the bytes of a file, under their SHA-256
    originals.json        the file of each document

The table belongs to the collection, not to a generation.  Each change replaces it atomically, and removes files that it
does not name.  It ends with a checksum: no manifest names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval.errors import CorruptCollection
from retrieval.index.storage.manifest import seal, unseal
from retrieval.util.files import Files, locked, remove_tree, storage_errors
from retrieval.util.temporaries import replace_atomically

ORIGINALS = "originals"
ORIGINALS_TABLE = "originals.json"
ORIGINALS_LOCK = "originals.lock"
WAIT_S = 30.0
_REPAIR = "move the file away; the documents stay, without their originals"


@dataclass(frozen=True, slots=True)
class Original:
    """A file, and the ids of the documents that were read from it."""

    name: str
    sha256: str
    size_bytes: int
    format: str  # as the reader found it
    documents: tuple[str, ...]


Originals = tuple[Original, ...]  # by name, in the order in which they were kept


def read_originals(collection: Path) -> Originals:
    """Return all originals.  Raises CorruptCollection, StorageError."""
    path = collection / ORIGINALS_TABLE
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
    return decode_originals(data, path)


def decode_originals(data: bytes, path: Path) -> Originals:
    """Decode the bytes of the file `path`.  Raises CorruptCollection."""
    try:
        records = unseal(data, path, _REPAIR)["originals"]
        return tuple(Original(**{**each, "documents": tuple(each["documents"])}) for each in records)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptCollection(f"is not a table of originals ({error}); {_REPAIR}", path=path) from error


def encode_originals(originals: Sequence[Original]) -> bytes:
    """Return originals as the bytes of their table."""
    return seal({"version": 1, "originals": [asdict(each) for each in originals]})


def original_path(collection: Path, original: Original) -> Path:
    """Return the path of a file."""
    return collection / ORIGINALS / original.sha256


def change_originals(
    collection: Path,
    change: Callable[[Originals], Originals],
    sources: Sequence[tuple[Path, str]] = (),
    files: Files | None = None,
) -> Originals:
    """Replace the table by what `change` makes of it; return it.

    `sources` are files with their SHA-256, in the same file system; they become originals by a second name.  Files that
    the table does not name afterwards are removed.
    """
    files = files or Files()
    folder = collection / ORIGINALS
    with locked(collection / ORIGINALS_LOCK, wait_s=WAIT_S):
        before = read_originals(collection)
        after = change(before)
        if not folder.exists():
            files.make_directory(folder)
            files.sync_directory(collection)
        for source, sha256 in sources:
            if not (folder / sha256).exists():
                files.link(source, folder / sha256)
        if sources:
            files.sync_directory(folder)
        if after != before:
            replace_atomically(collection / ORIGINALS_TABLE, encode_originals(after), files)
        named = {each.sha256 for each in after}
        for path in sorted(folder.iterdir()):
            if path.name not in named:
                remove_tree(files, path)
    return after


def check_originals(collection: Path) -> list[str]:
    """Return what is wrong with the files of the table, by their digests."""
    wrong = []
    for original in read_originals(collection):
        path = original_path(collection, original)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            wrong.append(f"{path}: the original of {original.name!r} cannot be read ({error.strerror})")
        else:
            if digest != original.sha256:
                wrong.append(f"{path}: the original of {original.name!r} is damaged; upload the file again")
    return wrong
