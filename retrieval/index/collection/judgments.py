"""Relevance judgments that users give in the search page: `judgments.json`.

The file belongs to the collection, not to a generation.  Each change replaces it atomically.  It ends with a checksum:
no manifest names it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from retrieval.errors import CorruptCollection, InputError
from retrieval.index.storage.manifest import seal, unseal
from retrieval.util.files import locked, storage_errors
from retrieval.util.temporaries import replace_atomically

JUDGMENTS = "judgments.json"
JUDGMENTS_LOCK = "judgments.lock"
GRADES = range(4)
MAX_JUDGMENTS = 100_000  # each judgment rewrites the file
MAX_BYTES = 16 << 20  # of the file
WAIT_S = 5.0
_REPAIR = "restore a copy, or move the file away to start a new one"


@dataclass(frozen=True, slots=True)
class Judgment:
    """The grade of a document for a query."""

    query: str
    document: str
    grade: int  # from 0 (not relevant) to 3 (a complete answer)
    judged: str  # the time of the judgment in ISO format


def read_judgments(collection: Path) -> tuple[Judgment, ...]:
    """Return all judgments, in the order of each pair's first one.

    Raises CorruptCollection, StorageError.
    """
    path = collection / JUDGMENTS
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
    return decode_judgments(data, path)


def decode_judgments(data: bytes, path: Path) -> tuple[Judgment, ...]:
    """Decode the bytes of the file `path`.  Raises CorruptCollection.

    Files of earlier versions have no digest.
    """
    try:
        content = json.loads(data)
        if set(content) != {"version", "judgments"}:  # an earlier version wrote no checksum
            content = unseal(data, path, _REPAIR)
        return tuple(Judgment(**record) for record in content["judgments"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptCollection(f"is not a file of judgments ({error}); {_REPAIR}", path=path) from error


def encode_judgments(judgments: Sequence[Judgment]) -> bytes:
    """Return judgments as the bytes of their file."""
    return seal({"version": 1, "judgments": [asdict(judgment) for judgment in judgments]})


def judge(collection: Path, query: str, document: str, grade: int | None) -> tuple[Judgment, ...]:
    """Set the grade of a document for a query, or remove it; return all judgments.

    Raises InputError for a grade outside 0 to 3, an empty query or too many judgments.
    """
    query = " ".join(query.split())
    if not query or not document:
        raise InputError("the judgment has no query or no document; give both")
    if grade is not None and grade not in GRADES:
        raise InputError(f"grade is {grade}; it must be from {GRADES[0]} to {GRADES[-1]}")
    with locked(collection / JUDGMENTS_LOCK, wait_s=WAIT_S):
        known = {(judgment.query, judgment.document): judgment for judgment in read_judgments(collection)}
        if grade is None:
            known.pop((query, document), None)
        else:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            known[query, document] = Judgment(query, document, grade, now)
        if len(known) > MAX_JUDGMENTS:
            raise InputError(f"{MAX_JUDGMENTS:,} judgments are the limit; download them and start a new file")
        judgments = tuple(known.values())
        content = encode_judgments(judgments)
        if len(content) > MAX_BYTES and grade is not None:
            raise InputError(f"{MAX_BYTES:,} bytes of judgments are the limit; download them and start a new file")
        replace_atomically(collection / JUDGMENTS, content)
    return judgments
