"""Read the changed items of sources, and delete the documents that are gone.

An item that could not be read keeps its earlier documents, and no others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.building.item_changes import SourceChanges
from indexer.building.source_reading import BuildTally
from indexer.readers.base.outcomes import FileOutcome, FileStatus, printable
from indexer.readers.opening import read_files
from indexer.readers.sandbox.parser_pool import scratch_folder
from indexer.sources.folders import file_version
from indexer.sources.source import FoundFile, Source, SourceItem, fetch_file
from indexer.writing.document_writer import DocumentWriter
from indexer.writing.sync_state import ItemRecord, RecordedItem, SyncState
from retrieval.errors import InputError, MissingExtra
from retrieval.index.collection.document_ids import Digests, id_digests
from retrieval.types import Document

MAX_REASON_CHARACTERS = 500
NO_DIGESTS = np.empty((0, 2), dtype=np.uint64)


@dataclass(slots=True)
class ItemResult:
    """The result of reading an item."""

    source: str  # its key
    name: str
    item: RecordedItem
    ids: list[str]
    is_whole: bool  # whether all of it was read, so that its other documents are gone
    is_same: bool = False  # whether it need not be read, so that its documents stay as they are
    is_shared: bool = False  # whether another source gives one of its documents, too


class ItemDocuments:
    """The documents of changed items; each source is open."""

    def __init__(
        self,
        changes: Sequence[tuple[SourceChanges, Source]],
        state: SyncState,
        on_file: Callable[[FileOutcome], None],
    ) -> None:
        self.results: list[ItemResult] = []
        self._changes = changes
        self._state = state
        self._on_file = on_file
        self._reading: deque[tuple[SourceItem, FoundFile]] = deque()
        self._ids: list[str] = []
        self._key = ""

    @property
    def cause(self) -> str:
        """The cause of the generation."""
        names = (Path(each.settings.shown).name or each.settings.shown for each, _ in self._changes)
        return printable("sync " + " ".join(names))

    def documents(self, tally: BuildTally) -> Iterator[Document]:
        """Yield the documents of all items."""
        for changes, source in self._changes:
            self._key = changes.settings.key
            with scratch_folder() as folder:
                yield from self._read(changes, self._found(changes, source, folder), tally)

    def _read(self, changes: SourceChanges, found: Iterator[FoundFile], tally: BuildTally) -> Iterator[Document]:
        settings = changes.settings
        for read in read_files(found, settings.shown, settings.read_options(), self._on_outcome):
            if isinstance(read, Document):
                tally.read += 1
                self._ids.append(read.id)
                yield read
            elif read.path != printable(settings.shown):  # else it says that no file gave a document
                tally.record_bad(read, skip=True)

    def _found(self, changes: SourceChanges, source: Source, folder: Path) -> Iterator[FoundFile]:
        """Yield the files to read; record the items that are unchanged after all."""
        limit = remaining = changes.settings.bytes
        for number, item in enumerate(changes.items):
            if remaining <= 0:  # the next run goes on with this item
                item = replace(item, failed=f"not fetched: this run has fetched {limit:,} bytes; run it again")
            found = fetch_file(source, item, folder / str(number))
            if found.is_temporary:
                remaining -= found.path.stat().st_size
            if found.is_unchanged:
                self.results.append(ItemResult(self._key, item.name, RecordedItem(item.known), [], True, is_same=True))
            else:
                self._reading.append((item, found))
                yield found

    def _on_outcome(self, outcome: FileOutcome) -> None:
        """Record the result of an item; pass on the outcome of each file."""
        item, found = self._reading[0]
        if outcome.path == found.origin.path and outcome.name == found.origin.name:
            self._reading.popleft()
            ids, self._ids = self._ids, []
            self.results.append(_result(self._key, item, found, outcome, ids))
        self._on_file(outcome)

    def delete_gone(self, writer: DocumentWriter, tally: BuildTally) -> None:
        """Delete documents that items no longer give; record the items as unread.

        Raises InputError if a new collection would have no document.
        """
        if not tally.read and not writer.generation:
            names = ", ".join(each.settings.shown for each, _ in self._changes)
            raise InputError(f"{names}: no document could be read, so no collection was made")
        for result in self.results:
            if rejected := tally.rejected.intersection(result.ids):
                reason = f"its document {min(rejected)!r} was rejected"
                result.item, result.is_whole = RecordedItem(result.item.version, 0, reason, True), False
        self._report_shared_ids()
        records, gone = self._before_commit()
        writer.delete_digests(gone)
        self._state.begin(records)

    def _before_commit(self) -> tuple[list[ItemRecord], Digests]:
        """Return the changed items with all documents, old and new; and those to delete."""
        records, candidates, kept = [], [NO_DIGESTS], [NO_DIGESTS]
        for key in {result.source for result in self.results}:
            results = [result for result in self.results if result.source == key and not result.is_same]
            before = self._state.documents(key, [result.name for result in results])
            for result in results:
                old = before.get(result.name, NO_DIGESTS)
                new = id_digests(result.ids)
                (candidates if result.is_whole else kept).append(old)
                kept.append(new)
                records.append(ItemRecord(key, result.name, RecordedItem(), _union(old, new)))
        for changes, _ in self._changes:
            candidates += self._state.documents(changes.settings.key, changes.gone).values()
        deleted = _minus(np.concatenate(candidates), kept)
        if len(deleted):
            lost = set(map(tuple, deleted.tolist()))
            others = [each for each in self._state.others(self._changed()) if _has_any(each[2], lost)]
            deleted = _minus(deleted, [digests for _, _, digests in others])
            records += [ItemRecord(key, name, RecordedItem()) for key, name, _ in others]  # to be read again
        return records, deleted

    def _changed(self) -> frozenset[tuple[str, str]]:
        """Return source and name of each item that is read or gone."""
        read = {(result.source, result.name) for result in self.results if not result.is_same}
        return frozenset(read | {(each.settings.key, name) for each, _ in self._changes for name in each.gone})

    def _report_shared_ids(self) -> None:
        """Report each item with a document that another source gives too.

        The index has only one of the two.
        """
        read = [result for result in self.results if result.ids]
        if len({*self._state.sources(), *(result.source for result in read)}) < 2:
            return
        given: dict[tuple[int, ...], list[tuple[ItemResult, str]]] = {}
        for result in read:
            for digest, id_ in zip(id_digests(result.ids).tolist(), result.ids, strict=True):
                given.setdefault(tuple(digest), []).append((result, id_))
        others = [(result.source, id_digests(result.ids)) for result in read]
        others += [
            (key, digests) for key, _, digests in self._state.others(self._changed()) if _has_any(digests, given)
        ]
        for key, digests in others:
            for result, id_ in (pair for digest in digests.tolist() for pair in given.get(tuple(digest), ())):
                if result.source != key:
                    self._report_shared(result, id_, key)

    def _report_shared(self, result: ItemResult, id_: str, other: str) -> None:
        if result.is_shared:
            return
        result.is_shared = True
        reason = f"the source {other} gives its document {id_!r} too, and only one is kept; set prefix for one source"
        result.item = RecordedItem(result.item.version, 0, reason[:MAX_REASON_CHARACTERS], True)
        self._on_file(FileOutcome(result.name, FileStatus.FAILED, reason=reason, name=result.name))

    def committed(self, collection: Path) -> None:  # noqa: ARG002
        """Record the versions of the items, and forget those that are gone."""
        records = [self._after_commit(result) for result in self.results]
        for changes, _ in self._changes:
            key = changes.settings.key
            kept = {**changes.missing, **changes.found_again}
            records += [ItemRecord(key, name, item) for name, item in kept.items()]
        gone = [(changes.settings.key, name) for changes, _ in self._changes for name in changes.gone]
        sources = {changes.settings.key: changes.known for changes, _ in self._changes}
        self._state.finish(records, gone, sources)

    def _after_commit(self, result: ItemResult) -> ItemRecord:
        whole = id_digests(result.ids) if result.is_whole and not result.is_same else None
        return ItemRecord(result.source, result.name, result.item, whole)


def _result(key: str, item: SourceItem, found: FoundFile, outcome: FileOutcome, ids: list[str]) -> ItemResult:
    """Return the result of an item; without a version, it is read again next time."""
    version = found.version or item.version
    has_changed = not (found.failed or found.is_temporary) and file_version(found.path) != item.version
    if found.failed or has_changed or MissingExtra.HINT in outcome.reason:
        version = ""
    is_read = outcome.status is FileStatus.READ
    reason = "" if is_read and not outcome.bad else outcome.reason[:MAX_REASON_CHARACTERS]
    known = RecordedItem(version, 0, reason, outcome.bad > 0 or outcome.status is FileStatus.FAILED)
    return ItemResult(key, item.name, known, ids, is_whole=is_read and not outcome.bad)


def _union(first: Digests, second: Digests) -> Digests:
    return np.unique(np.concatenate([first, second]), axis=0)


def _has_any(digests: Digests, wanted: Container[tuple[int, ...]]) -> bool:
    return any(tuple(digest) in wanted for digest in digests.tolist())


def _minus(digests: Digests, others: Iterable[Digests]) -> Digests:
    """Return the distinct digests that none of the others has."""
    found = {tuple(digest) for digest in digests.tolist()}
    for each in others:
        found.difference_update(map(tuple, each.tolist()))
    return np.array(sorted(found), dtype=np.uint64).reshape(-1, 2)
