"""Orders by metadata fields: `year`, `-year` for descending, `topic,-year`.

Each further field orders the documents that the fields before it leave equal.  A name with a comma in it is quoted,
unless it stands alone: `"odd, name",-year`.  Documents without a value come last, in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.errors import FilterError
from retrieval.index.metadata.filters import known_field
from retrieval.types import Schema

MAX_KEYS = 8  # fields to sort by
_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|[^",])*+')  # up to a comma outside quotes


@dataclass(frozen=True, slots=True)
class SortKey:
    """A field to sort by."""

    field: str
    descending: bool


def parse_sort(sort: str, schema: Schema) -> tuple[SortKey, ...]:
    """Return the keys of an order, the first one first.

    Raises FilterError for too many, repeated, unknown and list fields.
    """
    alone = sort.removeprefix("-")
    keys = (SortKey(alone, sort.startswith("-")),) if alone in schema else _split(sort)
    if len(keys) > MAX_KEYS:
        raise FilterError(f"sort: {len(keys)} fields; at most {MAX_KEYS} are allowed")
    if len({key.field for key in keys}) < len(keys):
        raise FilterError(f"sort: {sort!r} names a field twice; name each once")
    for key in keys:
        if known_field(key.field, schema, "sort").is_list:
            raise FilterError(
                f"sort: {key.field!r} contains lists, which have no order; sort by a field with single values"
            )
    return keys


def _split(sort: str) -> tuple[SortKey, ...]:
    keys: list[SortKey] = []
    position = -1
    while position < len(sort):
        found = _PART.match(sort, position + 1)
        part = found.group().strip() if found else ""
        field = part.removeprefix("-").strip()
        if field.startswith('"'):
            field = re.sub(r"\\(.)", r"\1", field[1:-1])
        position = found.end() if found else len(sort)
        if not field or sort[position : position + 1] == '"':
            raise FilterError(f"sort: {sort!r} lacks a name before character {position + 1}; write topic,-year")
        keys.append(SortKey(field, part.startswith("-")))
    return tuple(keys)


def order_by(
    column: Callable[[str], pa.ChunkedArray], documents: NDArray[np.int64], keys: tuple[SortKey, ...]
) -> NDArray[np.int64]:
    """Return ranks of documents, (n,): equal for equal values of all keys."""
    ranks = [_ranks(column(key.field), documents, descending=key.descending) for key in keys]
    if len(ranks) == 1 or not len(documents):
        return ranks[0]
    order = np.lexsort(ranks[::-1])
    differs = np.any([np.diff(each[order]) != 0 for each in ranks], axis=0)
    joined = np.empty(len(documents), np.int64)
    joined[order] = np.concatenate([[0], np.cumsum(differs)])
    return joined


def _ranks(column: pa.ChunkedArray, documents: NDArray[np.int64], *, descending: bool) -> NDArray[np.int64]:
    values = column.take(pa.array(documents)).combine_chunks()
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    ranks = pc.rank(values, sort_keys="descending" if descending else "ascending", tiebreaker="dense")
    return np.asarray(ranks.to_numpy(), dtype=np.int64)
