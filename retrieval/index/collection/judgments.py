"""What people said of hits: `judgments.json` of a collection, replaced atomically; it outlives every generation."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from retrieval.errors import CorruptCollection, InputError
from retrieval.util.files import locked, replace_atomically, storage_errors

JUDGMENTS = "judgments.json"
JUDGMENTS_LOCK = "judgments.lock"
GRADES = range(4)
MAX_JUDGMENTS = 100_000  # the file is rewritten with each one
WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Judgment:
    """How well a document answers a query: 0 not at all, 3 just what was asked.  `judged` is a time in ISO format."""

    query: str
    document: str
    grade: int
    judged: str


def read_judgments(collection: Path) -> tuple[Judgment, ...]:
    """All judgments, in the order in which they were first made; none where nobody judged."""
    path = collection / JUDGMENTS
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
    try:
        return tuple(Judgment(**each) for each in json.loads(data)["judgments"])
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptCollection(
            f"is not a file of judgments ({error}); move it away to begin anew", path=path
        ) from error


def judge(collection: Path, query: str, document: str, grade: int | None) -> tuple[Judgment, ...]:
    """Say how well a document answers a query, or with None take it back; returns all judgments.

    Raises InputError for a grade outside 0 to 3, an empty query or too many judgments.
    """
    query = " ".join(query.split())
    if not query or not document:
        raise InputError("a judgment needs a query and a document")
    if grade is not None and grade not in GRADES:
        raise InputError(f"grade is {grade}; judgments go from {GRADES[0]} to {GRADES[-1]}")
    with locked(collection / JUDGMENTS_LOCK, wait_s=WAIT_S):
        known = {(each.query, each.document): each for each in read_judgments(collection)}
        if grade is None:
            known.pop((query, document), None)
        else:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            known[query, document] = Judgment(query, document, grade, now)
        if len(known) > MAX_JUDGMENTS:
            raise InputError(f"{MAX_JUDGMENTS:,} judgments are there already; download them and begin a new file")
        judgments = tuple(known.values())
        content = {"version": 1, "judgments": [asdict(each) for each in judgments]}
        replace_atomically(collection / JUDGMENTS, json.dumps(content, ensure_ascii=False, indent=1).encode())
    return judgments
