"""Deleting documents, by id or by what a filter allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.writing.writer import Writer
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.types import Rows


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """How many documents were deleted, how many ids were not there, and the current generation afterwards."""

    deleted: int
    missing: int
    generation: int


def delete_documents(
    collection: Path, ids: Sequence[str] = (), *, filter: str = "", wait_s: float = 0.0
) -> DeleteReport:
    """Delete the documents with these ids and, with a filter, all that it allows; one commit."""
    wanted = dict.fromkeys(ids)
    with Writer(collection, wait_s=wait_s) as writer:
        deleted = writer.delete(list(wanted))
        missing = len(wanted) - deleted
        if filter:
            deleted += writer.delete(matching_ids(collection, filter))
        how = ["by id"] * bool(wanted) + [f"where {filter}"] * bool(filter)
        writer.cause = f"delete {deleted} documents {' and '.join(how)}"
        return DeleteReport(deleted, missing, writer.commit())


def matching_ids(collection: Path, filter: str) -> list[str]:
    """Ids of the live documents that a filter allows.  Raises FilterError."""
    with open_index_reader(collection) as reader:
        return reader.ids(allowed_rows(reader, filter))


def allowed_rows(reader: IndexReader, filter: str) -> Rows:
    """Rows of the live documents that a filter allows, ascending.  Raises FilterError, for an empty one too."""
    return np.flatnonzero(reader.matching_documents(filter))
