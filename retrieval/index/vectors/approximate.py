"""Approximate search: candidates from a structure, scores and order from the kept vectors.

A filter that lets little through is answered exactly, which is then faster.  Under another filter the effort depends
on how many of the query's *own* neighbours are allowed, since a filter may well follow the topic that the query asks
for, or avoid it: those neighbours are looked at first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.exact import Flat, exact_search, rescored
from retrieval.index.vectors.faiss_index import Effort, Structure
from retrieval.index.vectors.recall_tuning import OPEN_SHARE, TUNED_K, Tuning
from retrieval.types import Bitmap, Ranking, Vectors

DEEP_SHARE = 0.02  # more results than this share of the rows are found exactly


@dataclass(frozen=True, slots=True)
class Approximate:
    """A structure with what was measured of it."""

    structure: Structure
    tuning: Tuning


def approximate_search(
    flat: Flat, approximate: Approximate, queries: Vectors, k: int, allowed: Bitmap | None
) -> list[Ranking]:
    """As `exact_search`, but some of the nearest rows may be others; never fewer rows than it finds."""
    count = len(flat) if allowed is None else int(np.count_nonzero(allowed))
    share = count / len(flat)
    if share < approximate.tuning.exact_share or k > DEEP_SHARE * count:
        return exact_search(flat, queries, k, allowed)
    if allowed is None or share >= OPEN_SHARE:
        selection = None if allowed is None or count == len(flat) else approximate.structure.select(allowed)
        found = approximate.structure.candidates(queries, approximate.tuning.effort(k, share), selection)
        rankings = [rescored(flat.vectors, query, rows, k) for query, rows in zip(queries, found, strict=True)]
    else:
        rankings = _filtered(flat, approximate, queries, k, allowed)
    return _completed(rankings, flat, queries, min(k, count), allowed)


def _filtered(flat: Flat, approximate: Approximate, queries: Vectors, k: int, allowed: Bitmap) -> list[Ranking]:
    """Rankings under a filter; empty where the query's neighbourhood is too poor in allowed rows."""
    structure, tuning = approximate.structure, approximate.tuning
    selection = structure.select(allowed)
    rankings = []
    for number, local in enumerate(_local_shares(structure, tuning, queries, allowed)):
        if local < tuning.exact_share:
            rankings.append(Ranking.empty())
            continue
        query = queries[number : number + 1]
        found = structure.candidates(query, tuning.effort(k, local), selection)[0]
        rankings.append(rescored(flat.vectors, query[0], found, k))
    return rankings


def _local_shares(structure: Structure, tuning: Tuning, queries: Vectors, allowed: Bitmap) -> NDArray[np.float64]:
    """Share of each query's nearest rows that are allowed, by a search that costs as much as an unfiltered one."""
    explored = tuning.effort(TUNED_K).explored
    near = structure.candidates(queries, Effort(explored, max(explored, 8 * TUNED_K)))
    there = near >= 0
    hits = np.count_nonzero(there & allowed[near], axis=1)
    return np.asarray((hits + 0.5) / (np.count_nonzero(there, axis=1) + 1), dtype=np.float64)


def _completed(
    rankings: list[Ranking], flat: Flat, queries: Vectors, wanted: int, allowed: Bitmap | None
) -> list[Ranking]:
    """Exact rankings in place of those with fewer rows than there are."""
    short = [number for number, ranking in enumerate(rankings) if len(ranking.rows) < wanted]
    if short:
        exact = exact_search(flat, np.ascontiguousarray(queries[short]), wanted, allowed)
        for number, ranking in zip(short, exact, strict=True):
            rankings[number] = ranking
    return rankings
