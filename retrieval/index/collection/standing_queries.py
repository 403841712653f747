"""Standing queries of a collection and what they found: `standing.json`.

The file belongs to the collection, not to a generation.  Each change replaces it atomically: the documents that a check
found and the place where the next check begins are stored together, so that no match is lost or numbered twice.  It
ends with a checksum: no manifest names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from retrieval.errors import CorruptCollection, InputError, NotFound
from retrieval.index.storage.manifest import seal, unseal
from retrieval.util.files import PrivateFiles, locked, storage_errors
from retrieval.util.temporaries import replace_atomically

STANDING = "standing.json"
STANDING_LOCK = "standing.lock"
MAX_QUERIES = 50
MAX_MATCHES = 1_000  # kept of a query: the newest
WAIT_S = 5.0
_REPAIR = "move the file away, and make the standing queries again"


@dataclass(frozen=True, slots=True)
class StandingMatch:
    """A new or changed document that a standing query matches."""

    number: int  # of the query's matches, from 1
    id: str
    score: float
    generation: int
    found: str  # time of the check in ISO format


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the matches of a standing query are sent, and how far that is."""

    url: str
    secret: str  # "whsec_" and the bytes of the key in base64
    delivered: int = 0  # number of the last match that the receiver has
    failures: int = 0  # attempts since the last success
    error: str = ""  # of the last attempt


@dataclass(frozen=True, slots=True)
class StandingQuery:
    """A saved search, and the generation that it was last checked against."""

    name: str
    query: str
    filter: str
    mode: str  # "" for the default
    min_score: float | None
    created: str  # in ISO format
    generation: int  # the last one that was checked
    next_key: int  # passages with this key or a later one are newer than that generation
    last: int = 0  # number of the last match
    matches: tuple[StandingMatch, ...] = ()  # the newest, in order
    webhook: Webhook | None = None

    def found(self, matches: Sequence[tuple[str, float]], generation: int, next_key: int) -> StandingQuery:
        """Return the query after a check, which found documents with their scores."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        new = [
            StandingMatch(number, id_, score, generation, now)
            for number, (id_, score) in enumerate(matches, self.last + 1)
        ]
        kept = (*self.matches, *new)[-MAX_MATCHES:]
        return replace(self, generation=generation, next_key=next_key, last=self.last + len(new), matches=kept)

    def is_same_search(self, other: StandingQuery) -> bool:
        """Check whether a check of this query holds for the other one."""
        mine, theirs = ((each.query, each.filter, each.mode, each.min_score, each.generation) for each in (self, other))
        return mine == theirs


Queries: TypeAlias = dict[str, StandingQuery]  # by name, in the order in which they were made


def read_standing(collection: Path) -> Queries:
    """Return the standing queries by name.  Raises CorruptCollection, StorageError."""
    path = collection / STANDING
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return {}
    return decode_standing(data, path)


def decode_standing(data: bytes, path: Path) -> Queries:
    """Decode the bytes of the file `path`.  Raises CorruptCollection."""
    try:
        content = unseal(data, path, _REPAIR)
        return {record["name"]: _query(record) for record in content["queries"]}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptCollection(f"is not a file of standing queries ({error}); {_REPAIR}", path=path) from error


def change_standing(collection: Path, change: Callable[[Queries], Queries]) -> Queries:
    """Replace the standing queries by what `change` makes of them.

    Raises InputError for too many queries, and the errors of `change`.
    """
    with locked(collection / STANDING_LOCK, wait_s=WAIT_S):
        before = read_standing(collection)
        after = change(dict(before))
        if len(after) > MAX_QUERIES:
            raise InputError(f"{MAX_QUERIES} standing queries are the limit of a collection; delete another one first")
        if after != before:
            content = seal({"version": 1, "queries": [asdict(query) for query in after.values()]})
            replace_atomically(collection / STANDING, content, PrivateFiles())  # it has keys
    return after


def standing_query(queries: Queries, name: str) -> StandingQuery:
    """Return a query by its name.  Raises NotFound."""
    if name not in queries:
        raise NotFound(f"no standing query {name!r} here; its names are {', '.join(queries) or 'none'}")
    return queries[name]


def _query(record: dict[str, Any]) -> StandingQuery:
    webhook = record["webhook"]
    return StandingQuery(
        **{
            **record,
            "matches": tuple(StandingMatch(**match) for match in record["matches"]),
            "webhook": None if webhook is None else Webhook(**webhook),
        }
    )
