"""Digests of document ids and contents, and the look-up of rows by id.

A digest has 128 bits of BLAKE2b.  Two different ids or contents with the same digest are not expected in the life of
the universe; the code treats equal digests as equality.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadDocument
from retrieval.index.collection.searched_fields import searched_texts
from retrieval.types import Bitmap, Document, Rows

Digests: TypeAlias = NDArray[np.uint64]  # (n, 2)

_BYTES = 16


def id_digests(ids: Sequence[str]) -> Digests:
    """Return digests of ids: (n, 2).  Raises BadDocument for half a surrogate pair."""
    return _digests((id_, id_) for id_ in ids)


def content_digests(documents: Sequence[Document]) -> Digests:
    """Return digests of complete documents with typed metadata: (n, 2)."""
    return _digests((_canonical(document), document.id) for document in documents)


def text_digests(documents: Sequence[Document], searched: Sequence[str]) -> Digests:
    """Return digests of all that passages and indexes depend on: (n, 2).

    searched: the names of the collection's searched fields.
    """
    return _digests((_indexed(document, searched), document.id) for document in documents)


def _digests(texts: Iterable[tuple[str, str]]) -> Digests:
    """Digest the texts of (text, document id)."""
    digests = [hashlib.blake2b(_utf8(text, id_), digest_size=_BYTES).digest() for text, id_ in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2).astype(np.uint64)


def _utf8(text: str, document_id: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadDocument(
            f"document {document_id!r}: {text[error.start]!r} is half a surrogate pair; "
            "write the whole character, or leave it out"
        ) from error


def _indexed(document: Document, searched: Sequence[str]) -> str:
    parts = [document.title, document.text, _sections(document), *searched_texts(document, searched)]
    return json.dumps(parts, ensure_ascii=False)


def _sections(document: Document) -> list[list[int | str]]:
    return [[section.start, section.end, section.location, section.heading] for section in document.sections]


def _canonical(document: Document) -> str:
    metadata = {name: _plain(value) for name, value in sorted(document.metadata.items())}
    given = [document.given] if document.given else []
    return json.dumps(
        [document.id, document.title, document.text, metadata, _sections(document), *given], ensure_ascii=False
    )


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return {"date": value.isoformat()} if isinstance(value, datetime) else value


class IdTable:
    """Rows by id digest, in a memory-mapped table that look-ups bisect.

    The table is (3, n) uint64: high words, low words and rows, ascending by digest.
    """

    def __init__(self, table: NDArray[np.uint64]) -> None:
        self._high, self._low, self._rows = table

    @staticmethod
    def build(digests: Digests, rows: Rows) -> NDArray[np.uint64]:
        """Return the table of distinct digests and their rows."""
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        return np.stack([digests[order, 0], digests[order, 1], rows[order].astype(np.uint64)])

    def by_row(self, rows: int) -> Digests:
        """Return the id digest of each row, zeros if the table lacks it: (rows, 2)."""
        digests = np.zeros((rows, 2), dtype=np.uint64)
        digests[self._rows.astype(np.int64)] = np.stack([self._high, self._low], axis=1)
        return digests

    def digests(self, among: Bitmap) -> Digests:
        """Return the id digests of the rows that `among` allows, ascending."""
        wanted = among[self._rows.astype(np.int64)]
        return np.stack([self._high[wanted], self._low[wanted]], axis=1)

    def find(self, digests: Digests) -> Rows:
        """Return the row of each digest, -1 for an unknown digest: (n,)."""
        found = np.full(len(digests), -1, dtype=np.int64)
        positions = np.searchsorted(self._high, digests[:, 0])
        pending = np.arange(len(digests))
        while len(pending):  # more than one round only if high words collide
            inside = pending[positions[pending] < len(self._high)]
            pending = inside[self._high[positions[inside]] == digests[inside, 0]]
            hit = pending[self._low[positions[pending]] == digests[pending, 1]]
            found[hit] = self._rows[positions[hit]].astype(np.int64)
            pending = np.setdiff1d(pending, hit, assume_unique=True)
            positions[pending] += 1
        return found
