"""The originals of documents, read again whenever their table changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from retrieval.index.collection.originals import ORIGINALS_TABLE, Original, read_originals


class OriginalTables:
    """The originals of all collections, by document.  Thread-safe."""

    def __init__(self) -> None:
        self._tables: dict[Path, tuple[tuple[int, int], Mapping[str, Original]]] = {}

    def of(self, collection: Path) -> Mapping[str, Original]:
        """Return the original of each document that has one.

        Raises CorruptCollection, StorageError.
        """
        try:
            status = (collection / ORIGINALS_TABLE).stat()
        except OSError:
            self._tables.pop(collection, None)
            return {}
        stamp = status.st_mtime_ns, status.st_ino
        known = self._tables.get(collection)
        if known is None or known[0] != stamp:
            table = {id_: original for original in read_originals(collection) for id_ in original.documents}
            known = self._tables[collection] = (stamp, table)
        return known[1]
