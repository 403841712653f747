"""The copy of one collection: fetch a generation, verify it, make it current.

A file gets its name when all of its bytes are checked and durable.  The manifest is replaced after all files of its
generation are there.  A process that is killed at any moment thus leaves the old generation or the new one, whole; the
files that it had fetched are not fetched again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from indexer.replicas.generation_files import GenerationFiles, list_generation
from indexer.replicas.source import END_BYTES, ReplicaSource
from indexer.writing.commit import make_current
from indexer.writing.garbage import FOLDERS, Retention, collect_garbage
from indexer.writing.sharded_commit import remove_old_generations
from retrieval.errors import AttendexError, SourceUnavailable, StorageError
from retrieval.index.storage.checksums import FileRecord, record_file
from retrieval.index.storage.manifest import GENERATIONS, MANIFEST, generation_path
from retrieval.index.storage.sharded_manifest import shard_path
from retrieval.util.files import Files
from retrieval.util.temporaries import replace_atomically, replacing, sweep, temporary_path

RETENTION = Retention(2)  # processes that serve the generation before may still open files of it
SHARD_RETENTION = Retention(1)  # beside the generations that those of the collection name
FREE_BYTES = 64 << 20  # of the disk that an update leaves to others
NEXT = ".next"  # ends the name of the folder of a collection that takes the place of another of its name


class Replica:
    """The copy at `path` of the collection `path.name` of a source.

    One process updates it.  `stopping` tells to give up.
    """

    def __init__(
        self,
        path: Path,
        source: ReplicaSource,
        *,
        files: Files | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._source = source
        self._files = files or Files()
        self._stopping = stopping
        self._next = path.with_name(f".{path.name}{NEXT}")

    def recover(self) -> None:
        """Finish what a killed process began."""
        if (self._next / MANIFEST).is_file():
            self._replace()
        if (current := self._listed(self.path)) is not None:
            self._finish(self.path, current)

    def remove(self) -> None:
        """Remove the copy, and what was fetched of another collection of its name."""
        for path in (self.path, self._next):
            if path.exists():
                self._files.rename(path, temporary_path(self.path))
        sweep(self.path.parent, self.path.name)

    def update(self) -> bool:
        """Fetch the newest generation, and make it current.

        Returns False if it is current already.  Raises SourceUnavailable, CorruptCollection, StorageError.
        """
        data = self._source.read(self.path.name, Path(MANIFEST))
        current = self._listed(self.path)
        if current is not None and current.manifest == data:
            return False
        wanted = list_generation(data, self._shard_manifest)
        if current is None or not wanted.differs_from(current):
            self._fetch(self.path, current, wanted)
        else:
            self._fetch(self._next, self._listed(self._next), wanted)
            self._replace()
        return True

    def _shard_manifest(self, path: Path) -> bytes:
        """Return the manifest of a shard; most generations share it with the last one."""
        known = self.path / path
        if known.is_file():
            data = known.read_bytes()
            if data[-END_BYTES:] == self._source.end(self.path.name, path):
                return data
        return self._source.read(self.path.name, path)

    def _listed(self, folder: Path) -> GenerationFiles | None:
        """Return the current generation in a folder; None if there is none, whole."""
        try:
            return list_generation((folder / MANIFEST).read_bytes(), lambda path: (folder / path).read_bytes())
        except (OSError, AttendexError):
            return None

    def _fetch(self, folder: Path, current: GenerationFiles | None, wanted: GenerationFiles) -> None:
        """Fetch what a folder lacks of a generation, and make it current."""
        self._make_folders(folder, wanted)
        known = current.files if current else {}
        missing = {
            path: record
            for path, record in wanted.files.items()
            if not _is_there(folder / path, record, is_known=path in known)
        }
        by_digest = {record.sha256: folder / path for path, record in known.items()}
        self._check_space(folder, sum(each.size_bytes for each in missing.values() if each.sha256 not in by_digest))
        for path, record in missing.items():
            if not self._link(by_digest.get(record.sha256), folder / path, record):
                self._download(folder, path, record)
            by_digest[record.sha256] = folder / path
        self._commit(folder, wanted)

    def _make_folders(self, folder: Path, wanted: GenerationFiles) -> None:
        needed = [each / name for each in wanted.collections() for name in FOLDERS]
        paths = [*needed, Path(GENERATIONS), *(path.parent for path in wanted.files)]
        for each in sorted({folder / part for path in paths for part in (path, *path.parents)}):
            if not each.is_dir():
                self._files.make_directory(each)
                self._files.sync_directory(each.parent)

    def _check_space(self, folder: Path, missing_bytes: int) -> None:
        free = shutil.disk_usage(folder).free
        if missing_bytes + FREE_BYTES > free:
            raise StorageError(
                f"{missing_bytes:,} bytes are to be fetched, and {free:,} are free; make room", path=folder
            )

    def _link(self, known: Path | None, target: Path, record: FileRecord) -> bool:
        """Give a file of the same bytes a second name; False if there is none."""
        if known is None or known == target or not _has_size(known, record):
            return False
        self._files.unlink(target)
        self._files.link(known, target)
        self._files.sync_directory(target.parent)
        return True

    def _download(self, folder: Path, path: Path, record: FileRecord) -> None:
        digest, size_bytes = hashlib.sha256(), 0
        sweep((folder / path).parent, path.name)
        with replacing(folder / path, self._files) as file:
            for chunk in self._source.chunks(self.path.name, path, record):
                if self._stopping():
                    raise SourceUnavailable(f"{path}: the copy was interrupted; it goes on at the next start")
                digest.update(chunk)
                size_bytes += len(chunk)
                file.write(chunk)
            if (size_bytes, digest.hexdigest()) != (record.size_bytes, record.sha256):
                raise SourceUnavailable(
                    f"{self._source.address}: {self.path.name}/{path} ({record.sha256}) differs from its digest; "
                    "verify the collection there, or remove this object and publish again"
                )

    def _commit(self, folder: Path, wanted: GenerationFiles) -> None:
        for path, data in wanted.manifests.items():
            if path.parent != Path(GENERATIONS):  # of a shard
                replace_atomically(folder / path, data, self._files)
        replace_atomically(folder / MANIFEST, wanted.manifest, self._files)
        self._finish(folder, wanted)

    def _finish(self, folder: Path, current: GenerationFiles) -> None:
        """Keep the manifest, let shards have their generation, remove unused files."""
        kept = generation_path(folder, current.generation)
        if not kept.exists() or kept.read_bytes() != current.manifest:
            replace_atomically(kept, current.manifest, self._files)
        for shard in current.shards:
            make_current(shard_path(folder, shard.name), shard.generation, self._files)
        if current.shards:
            remove_old_generations(folder, RETENTION, self._files)
            sweep(folder)
        for each in current.collections():
            collect_garbage(folder / each, SHARD_RETENTION if current.shards else RETENTION, self._files)

    def _replace(self) -> None:
        """Put the finished collection in the place of the one of its name."""
        if self.path.exists():
            self._files.rename(self.path, temporary_path(self.path))
        self._files.rename(self._next, self.path)
        self._files.sync_directory(self.path.parent)
        sweep(self.path.parent, self.path.name)


def _is_there(path: Path, record: FileRecord, *, is_known: bool) -> bool:
    """Check for a file; read it if an interrupted update may have left it."""
    return _has_size(path, record) and (is_known or record_file(path.parent, path.name).sha256 == record.sha256)


def _has_size(path: Path, record: FileRecord) -> bool:
    try:
        return path.stat().st_size == record.size_bytes
    except OSError:
        return False
