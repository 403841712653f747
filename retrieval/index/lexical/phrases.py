"""Which passages of a segment have given terms at given distances."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.postings import Postings
from retrieval.util.arrays import is_member

_POSITION_BITS = 32


def phrase_members(postings: Postings, placed: Sequence[tuple[str, int]]) -> NDArray[np.int64]:
    """The passages, ascending, that have all the terms of `placed`, each so far from the first as it says there."""
    numbers = {text: postings.find(text) for text, _ in placed}
    if any(number is None for number in numbers.values()):
        return np.empty(0, np.int64)
    terms = {text: number for text, number in numbers.items() if number is not None}
    lists = sorted((postings.members_of(number) for number in terms.values()), key=len)
    members = reduce(lambda one, other: one[is_member(one, other)], lists)
    last = max(position for _, position in placed)
    starts: NDArray[np.int64] | None = None
    for text, position in placed:
        mine = _slots(postings, terms[text], members) + (last - position)
        starts = mine if starts is None else starts[is_member(starts, mine)]
    assert starts is not None
    return np.unique(starts >> _POSITION_BITS)


def _slots(postings: Postings, term: int, members: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Passage and position, packed, of every occurrence of a term in some passages, ascending."""
    counts = postings.counts_of(term).astype(np.int64)
    wanted = is_member(postings.members_of(term), members)
    positions = postings.places_of(term)[np.repeat(wanted, counts)].astype(np.int64)
    passages = np.repeat(postings.members_of(term)[wanted].astype(np.int64), counts[wanted])
    return (passages << _POSITION_BITS) + positions
