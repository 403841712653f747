"""Which document is which: digests of ids and contents, and looking up rows by id without reading any text.

An id is represented by 128 bits of its BLAKE2b digest, a document's content by 128 bits of its own.  Two different ids
or contents with the same digest are not expected in the life of the universe, so equal digests are taken for equality.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadDocument
from retrieval.types import Bitmap, Document, Rows

Digests: TypeAlias = NDArray[np.uint64]  # (n, 2)

_BYTES = 16


def id_digests(ids: Sequence[str]) -> Digests:
    """Digests of document ids: (n, 2)."""
    return _stack([_digest(_utf8(each, each)) for each in ids])


def content_digests(documents: Sequence[Document]) -> Digests:
    """Digests of all that a document says, its id and its sections included: (n, 2).  Metadata must be typed."""
    return _stack([_digest(_utf8(_canonical(each), each.id)) for each in documents])


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_BYTES).digest()


def _stack(digests: list[bytes]) -> Digests:
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2).astype(np.uint64)


def _utf8(text: str, document_id: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        half = repr(text[error.start])
        raise BadDocument(
            f"document {document_id!r}: {half} is half a surrogate pair; write the whole character, or leave it out"
        ) from error


def _canonical(document: Document) -> str:
    sections = [[each.start, each.end, each.location, each.heading] for each in document.sections]
    metadata = {name: _plain(value) for name, value in sorted(document.metadata.items())}
    return json.dumps([document.id, document.title, document.text, metadata, sections], ensure_ascii=False)


def _plain(value: object) -> object:
    return {"date": value.isoformat()} if isinstance(value, datetime) else value


class IdTable:
    """Rows by id digest: a sorted table, (3, n) uint64 of high words, low words and rows, searched where it lies."""

    def __init__(self, table: NDArray[np.uint64]) -> None:
        self._high, self._low, self._rows = table

    @staticmethod
    def build(digests: Digests, rows: Rows) -> NDArray[np.uint64]:
        """The table of `digests`, all different."""
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        return np.stack([digests[order, 0], digests[order, 1], rows[order].astype(np.uint64)])

    def by_row(self, rows: int) -> Digests:
        """Id digests by row, (rows, 2); zeros for a row that is not in the table."""
        digests = np.zeros((rows, 2), dtype=np.uint64)
        digests[self._rows.astype(np.int64)] = np.stack([self._high, self._low], axis=1)
        return digests

    def digests(self, among: Bitmap) -> Digests:
        """Id digests of the rows that `among` allows."""
        wanted = among[self._rows.astype(np.int64)]
        return np.stack([self._high[wanted], self._low[wanted]], axis=1)

    def find(self, digests: Digests) -> Rows:
        """The row of each digest, -1 where there is none."""
        found = np.full(len(digests), -1, dtype=np.int64)
        places = np.searchsorted(self._high, digests[:, 0])
        open_ = np.arange(len(digests))
        while len(open_):  # more than one round only where high words collide
            inside = open_[places[open_] < len(self._high)]
            open_ = inside[self._high[places[inside]] == digests[inside, 0]]
            hit = open_[self._low[places[open_]] == digests[open_, 1]]
            found[hit] = self._rows[places[hit]].astype(np.int64)
            open_ = np.setdiff1d(open_, hit, assume_unique=True)
            places[open_] += 1
        return found
