"""Save one generation as a `.tar.zst` file, and restore it.

The manifest is the first member.  It names all others with sizes and digests, so that a backup can hold nothing else:
no links, no paths outside the collection, no additional bytes.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import pyarrow as pa

from indexer.writing.garbage import FOLDERS
from retrieval.errors import CorruptCollection, InputError, StorageError
from retrieval.index.storage.checksums import CheckedFile, FileRecord
from retrieval.index.storage.manifest import (
    GENERATIONS,
    MANIFEST,
    Manifest,
    decode_manifest,
    encode_manifest,
    generation_path,
    with_current_manifest,
)
from retrieval.util.files import Files, remove_tree, storage_errors, write_file, writing

_MAX_MANIFEST_BYTES = 1 << 30
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A saved or restored generation; `size_bytes` is that of its files, uncompressed."""

    generation: int
    documents: int
    files: int
    size_bytes: int


def save_backup(
    collection: Path, target: Path, generation: int | None = None, *, files: Files | None = None
) -> BackupReport:
    """Save a generation, by default the current one, as the file `target`.

    The file appears when it is complete.  Writers may change the collection meanwhile.  Every byte is checked: a
    damaged collection makes no backup.  Raises InputError if the directory of `target` is missing.
    """
    files = files or Files()
    _check_parent(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    opened = _open_generation(collection, generation)
    try:
        with writing(files, temporary) as raw:
            _write_tar(raw, opened)
        files.rename(temporary, target)
    except BaseException:
        with suppress(StorageError):
            files.unlink(temporary)
        raise
    files.sync_directory(target.parent)
    return _report(opened.manifest)


def _check_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such directory; make it first")


@dataclass(frozen=True, slots=True)
class _OpenGeneration:
    """A generation and its open files, by path in the collection."""

    manifest: Manifest
    files: dict[Path, CheckedFile]


def _open_generation(collection: Path, generation: int | None) -> _OpenGeneration:
    """Open all files of a generation, so that a writer may remove them."""

    def open_files(manifest: Manifest) -> _OpenGeneration:
        files = {path: CheckedFile((collection / path).parent, record) for path, record in manifest.paths().items()}
        return _OpenGeneration(manifest, files)

    return with_current_manifest(collection, open_files, generation)


class _UnclosedFile(io.RawIOBase):
    """A file that stays open when the compressor closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._file.write(data)


def _write_tar(raw: BinaryIO, opened: _OpenGeneration) -> None:
    with (
        pa.CompressedOutputStream(_UnclosedFile(raw), "zstd") as packed,
        tarfile.open(fileobj=cast(IO[bytes], packed), mode="w|", bufsize=_COPY_BYTES) as tar,
    ):
        data = encode_manifest(opened.manifest)
        tar.addfile(_member(MANIFEST, len(data), opened.manifest), io.BytesIO(data))
        for path, file in opened.files.items():
            file.require()
            content = io.BytesIO(file.bytes) if isinstance(file.bytes, bytes) else file.bytes
            tar.addfile(_member(path.as_posix(), file.record.size_bytes, opened.manifest), cast(IO[bytes], content))


def _member(name: str, size_bytes: int, manifest: Manifest) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    member.mtime = int(manifest.created.timestamp())
    return member


def restore_backup(archive: Path, target: Path, *, files: Files | None = None) -> BackupReport:
    """Restore a backup as the directory `target`.

    The directory appears when it is complete and checked.  Raises InputError if `target` exists, CorruptCollection if
    the backup is damaged or has a file that its manifest does not name.
    """
    files = files or Files()
    if not archive.is_file():
        raise InputError(f"{archive}: no such file; name a backup that `attendex snapshot` wrote")
    _check_parent(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: exists already; restore into a new directory")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    files.make_directory(temporary)
    try:
        with _reading(archive) as tar:
            manifest = _unpack(archive, tar, temporary, files)
        files.rename(temporary, target)
    except BaseException:
        with suppress(StorageError):
            remove_tree(files, temporary)
        raise
    files.sync_directory(target.parent)
    return _report(manifest)


@contextmanager
def _reading(archive: Path) -> Iterator[tarfile.TarFile]:
    with storage_errors(archive):
        raw = archive.open("rb")
    try:
        with (
            raw,
            pa.CompressedInputStream(raw, "zstd") as unpacked,
            tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r|", bufsize=_COPY_BYTES) as tar,
        ):
            yield tar
    except (tarfile.TarError, OSError, EOFError, pa.ArrowException) as error:
        raise CorruptCollection(f"is not a whole backup ({error})", path=archive) from error


def _unpack(archive: Path, tar: tarfile.TarFile, folder: Path, files: Files) -> Manifest:
    manifest = _unpack_manifest(archive, tar)
    for name in FOLDERS:
        files.make_directory(folder / name)
    wanted = {path.as_posix(): record for path, record in manifest.paths().items()}
    while member := tar.next():
        record = wanted.pop(member.name, None)
        if record is None or not member.isreg() or member.size != record.size_bytes:
            raise CorruptCollection(f"holds {member.name!r}, which its manifest does not name so", path=archive)
        _unpack_file(archive, tar.extractfile(member), folder / member.name, record, files)
    if wanted:
        raise CorruptCollection(f"lacks {next(iter(wanted))!r}", path=archive)
    for path in sorted(each for each in folder.rglob("*") if each.is_dir()):
        files.sync_directory(path)
    data = encode_manifest(manifest)
    write_file(files, generation_path(folder, manifest.generation), data)
    files.sync_directory(folder / GENERATIONS)
    write_file(files, folder / MANIFEST, data)
    files.sync_directory(folder)
    return manifest


def _unpack_manifest(archive: Path, tar: tarfile.TarFile) -> Manifest:
    member = tar.next()
    content = tar.extractfile(member) if member and member.isreg() and member.name == MANIFEST else None
    if member is None or content is None or member.size > _MAX_MANIFEST_BYTES:
        raise CorruptCollection(f"is not a backup: its first member is not {MANIFEST}", path=archive)
    return decode_manifest(content.read(), archive)


def _unpack_file(archive: Path, content: IO[bytes] | None, path: Path, record: FileRecord, files: Files) -> None:
    assert content is not None
    if not path.parent.exists():
        files.make_directory(path.parent)
    digest = hashlib.sha256()
    with writing(files, path) as file:
        while piece := content.read(_COPY_BYTES):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != record.sha256:
        raise CorruptCollection(f"{path.name} differs from its digest", path=archive)


def _report(manifest: Manifest) -> BackupReport:
    return BackupReport(manifest.generation, manifest.documents, len(manifest.paths()), manifest.size_bytes)
