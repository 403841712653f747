"""Save one generation, with judgments and originals, as a file, and restore it.

The manifest is the first member; those of shards follow.  They name all others with sizes and digests, except for
judgments, originals and the table of originals, which come last if there are any.  The name of an original is its
digest.  A backup can thus hold nothing else: no links, no paths outside the collection, no additional bytes.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import pyarrow as pa

from indexer.maintenance.backup_contents import BackupContents, read_contents, with_contents
from retrieval.errors import CorruptCollection, InputError, StorageError
from retrieval.index.collection.judgments import (
    JUDGMENTS,
    Judgment,
    decode_judgments,
    encode_judgments,
    read_judgments,
)
from retrieval.index.collection.originals import (
    ORIGINALS,
    ORIGINALS_TABLE,
    Original,
    decode_originals,
    encode_originals,
    read_originals,
)
from retrieval.index.storage.checksums import CheckedFile, FileRecord
from retrieval.index.storage.manifest import (
    GENERATIONS,
    generation_path,
)
from retrieval.util.files import Files, storage_errors, write_file, writing
from retrieval.util.temporaries import replacing, sweep, temporary_folder

_JSON_BYTES, _JSON_RATIO = 8 << 20, 32  # largest manifest or file of judgments; more by the bytes of the backup
_COPY_BYTES = 1 << 20
_ORIGINAL = re.compile(f"{ORIGINALS}/[0-9a-f]{{64}}")


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A saved or restored generation; `size_bytes` is that of its files, uncompressed."""

    generation: int
    documents: int
    files: int
    size_bytes: int
    judgments: int


def save_backup(
    collection: Path, target: Path, generation: int | None = None, *, files: Files | None = None
) -> BackupReport:
    """Save a generation, by default the current one, as the file `target`.

    The file appears when it is complete.  Writers may change the collection meanwhile.  Every byte is checked: a
    damaged collection makes no backup.  Raises InputError if the directory of `target` is missing.
    """
    files = files or Files()
    _check_parent(target)
    sweep(target.parent, target.name)
    opened = _open_generation(collection, generation)
    judgments = read_judgments(collection)
    with replacing(target, files) as raw:
        _write_tar(raw, opened, encode_judgments(judgments) if judgments else b"", _stored_originals(collection))
    return _report(opened.contents, len(judgments))


def _check_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such directory; make it first")


@dataclass(frozen=True, slots=True)
class _OpenGeneration:
    """A generation and its open files, by path in the collection."""

    contents: BackupContents
    files: dict[Path, CheckedFile]


def _open_generation(collection: Path, generation: int | None) -> _OpenGeneration:
    """Open all files of a generation, so that a writer may remove them."""
    files: dict[Path, CheckedFile] = {}

    def open_files(contents: BackupContents) -> None:
        files.clear()
        for path, record in contents.records.items():
            files[path] = CheckedFile((collection / path).parent, record)

    return _OpenGeneration(with_contents(collection, open_files, generation), files)


def _stored_originals(collection: Path) -> Iterator[tuple[Original, CheckedFile]]:
    """Yield originals and their files, one by one, without those removed meanwhile."""
    for original in read_originals(collection):
        record = FileRecord(original.sha256, original.size_bytes, original.sha256)
        try:
            yield original, CheckedFile(collection / ORIGINALS, record)
        except CorruptCollection:
            if original in read_originals(collection):
                raise


class _UnclosedFile(io.RawIOBase):
    """A file that stays open when the compressor closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._file.write(data)


def _write_tar(
    raw: BinaryIO, opened: _OpenGeneration, judgments: bytes, originals: Iterable[tuple[Original, CheckedFile]]
) -> None:
    with (
        pa.CompressedOutputStream(_UnclosedFile(raw), "zstd") as packed,
        tarfile.open(fileobj=cast(IO[bytes], packed), mode="w|", bufsize=_COPY_BYTES) as tar,
    ):

        def add(name: str, file: CheckedFile) -> None:
            file.require()
            content = io.BytesIO(file.bytes) if isinstance(file.bytes, bytes) else file.bytes
            tar.addfile(_member(name, file.record.size_bytes, opened.contents), cast(IO[bytes], content))

        def add_bytes(name: str, data: bytes) -> None:
            tar.addfile(_member(name, len(data), opened.contents), io.BytesIO(data))

        for manifest in opened.contents.manifests:
            add_bytes(manifest.path.as_posix(), manifest.data)
        for path, file in opened.files.items():
            add(path.as_posix(), file)
        if judgments:
            add_bytes(JUDGMENTS, judgments)
        table: dict[str, Original] = {}
        digests: set[str] = set()
        for original, file in originals:
            table[original.name] = original
            if original.sha256 not in digests:
                digests.add(original.sha256)
                add(f"{ORIGINALS}/{original.sha256}", file)
        if table:
            add_bytes(ORIGINALS_TABLE, encode_originals(tuple(table.values())))


def _member(name: str, size_bytes: int, contents: BackupContents) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    member.mtime = int(contents.created.timestamp())
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
    with temporary_folder(target, files, private=False) as folder:
        with _reading(archive) as members:
            report = _unpack(archive, members, folder, files)
        files.rename(folder, target)
    files.sync_directory(target.parent)
    return report


class _Members:
    """The members of a backup, which are read in order and in bounded memory."""

    def __init__(self, archive: Path, unpacked: IO[bytes]) -> None:
        self._archive = archive
        self._unpacked = unpacked
        self._allowed = _COPY_BYTES  # bytes that may be unpacked before the next member
        self._json_bytes = 0  # of the small members so far
        self._tar = tarfile.open(fileobj=cast(IO[bytes], self), mode="r|", bufsize=_COPY_BYTES)  # noqa: SIM115 - it owns no file

    def read(self, size: int) -> bytes:
        """Unpack bytes for `tarfile`, but no endless header."""
        data = self._unpacked.read(size)
        self._allowed -= len(data)
        if self._allowed < 0:
            raise tarfile.ReadError("a header is too long")
        return data

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member."""
        self._allowed = 2 * _COPY_BYTES
        member = self._tar.next()
        self._allowed += member.size if member else 0
        return member

    def open(self, member: tarfile.TarInfo) -> IO[bytes]:
        """Open a regular file."""
        content = self._tar.extractfile(member)
        assert content is not None
        return content

    def read_json(self, member: tarfile.TarInfo) -> bytes:
        """Return the content of a small member: a small backup must not fill the memory."""
        limit = _JSON_BYTES + _JSON_RATIO * self._archive.stat().st_size
        self._json_bytes += member.size
        if self._json_bytes > limit:
            raise CorruptCollection(
                f"holds {member.name!r} of {member.size:,} bytes; small members have at most {limit:,} together in a "
                "backup of this size",
                path=self._archive,
            )
        return self.open(member).read()


@contextmanager
def _reading(archive: Path) -> Iterator[_Members]:
    with storage_errors(archive):
        raw = archive.open("rb")
    try:
        with raw, pa.CompressedInputStream(raw, "zstd") as unpacked:
            yield _Members(archive, cast(IO[bytes], unpacked))
    except (tarfile.TarError, OSError, EOFError, RecursionError, pa.ArrowException) as error:
        raise CorruptCollection(f"is not a whole backup ({error})", path=archive) from error


def _unpack(archive: Path, members: _Members, folder: Path, files: Files) -> BackupReport:
    contents = read_contents(archive, _small_members(members))
    _check_space(contents.size_bytes, folder)
    _make_folders(contents, folder, files)
    wanted = {path.as_posix(): record for path, record in contents.records.items()}
    judgments: tuple[Judgment, ...] = ()
    originals: set[str] = set()  # whose table is still to come
    while member := members.next():
        record = wanted.pop(member.name, None)
        if record is not None and member.isreg() and member.size == record.size_bytes:
            _unpack_file(archive, members.open(member), folder / member.name, record, files)
        elif member.name == JUDGMENTS and member.isreg() and not judgments:
            judgments = decode_judgments(members.read_json(member), archive)
        elif _ORIGINAL.fullmatch(member.name) and member.isreg() and member.name not in originals:
            _unpack_original(archive, members.open(member), member, folder, files)
            originals.add(member.name)
        elif member.name == ORIGINALS_TABLE and member.isreg() and originals:
            _unpack_table(members.read_json(member), archive, originals, folder, files)
            originals = set()
        else:
            raise CorruptCollection(f"holds {member.name!r}, which its manifest does not name so", path=archive)
    if wanted or originals:
        raise CorruptCollection(f"lacks {next(iter(wanted), ORIGINALS_TABLE)!r}", path=archive)
    if judgments:
        write_file(files, folder / JUDGMENTS, encode_judgments(judgments))
    _publish(contents, folder, files)
    return _report(contents, len(judgments))


def _small_members(members: _Members) -> Iterator[tuple[str, bytes]]:
    while member := members.next():
        yield (member.name, members.read_json(member)) if member.isreg() else (member.name, b"")


def _make_folders(contents: BackupContents, folder: Path, files: Files) -> None:
    for manifest in contents.manifests:
        missing = [each for each in (manifest.folder, *manifest.folder.parents) if not (folder / each).exists()]
        for each in reversed(missing):
            files.make_directory(folder / each)
        for name in manifest.subfolders:
            files.make_directory(folder / manifest.folder / name)


def _unpack_original(archive: Path, content: IO[bytes], member: tarfile.TarInfo, folder: Path, files: Files) -> None:
    """Write an original, whose name is its digest."""
    _check_space(member.size, folder)
    digest = member.name.rpartition("/")[2]
    _unpack_file(archive, content, folder / member.name, FileRecord(digest, member.size, digest), files)


def _unpack_table(data: bytes, archive: Path, unpacked: set[str], folder: Path, files: Files) -> None:
    """Write the table of the originals, which were unpacked before."""
    if {f"{ORIGINALS}/{original.sha256}" for original in decode_originals(data, archive)} != unpacked:
        raise CorruptCollection("has other originals than their table names", path=archive)
    write_file(files, folder / ORIGINALS_TABLE, data)


def _publish(contents: BackupContents, folder: Path, files: Files) -> None:
    """Write each manifest after all that it names is durable."""
    for path in sorted(each for each in folder.rglob("*") if each.is_dir()):
        files.sync_directory(path)
    for manifest in reversed(contents.manifests):
        write_file(files, generation_path(folder / manifest.folder, manifest.generation), manifest.data)
        files.sync_directory(folder / manifest.folder / GENERATIONS)
        write_file(files, folder / manifest.path, manifest.data)
        files.sync_directory(folder / manifest.folder)


def _check_space(size_bytes: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size_bytes > free:
        raise StorageError(f"the files need {size_bytes:,} bytes, and {free:,} are free", path=folder.parent)


def _unpack_file(archive: Path, content: IO[bytes], path: Path, record: FileRecord, files: Files) -> None:
    if not path.parent.exists():
        files.make_directory(path.parent)
    digest = hashlib.sha256()
    with writing(files, path) as file:
        while piece := content.read(_COPY_BYTES):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != record.sha256:
        raise CorruptCollection(f"{path.name} differs from its digest", path=archive)


def _report(contents: BackupContents, judgments: int) -> BackupReport:
    return BackupReport(contents.generation, contents.documents, len(contents.records), contents.size_bytes, judgments)
