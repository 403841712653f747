"""Hard negatives: documents that our own search ranks well, but not too well.

Relevant documents without a judgment stand at the first ranks, so negatives begin at rank 30.  A document whose cosine
with the query comes near the positive's is left out, too: it may be relevant (the guide of GISTEmbed, Solatorio 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from indexer.adapting.pairs import TrainingPair, TrainingPassage
from retrieval.results import Hit
from retrieval.search.request_limits import MAX_QUERY_CHARACTERS
from retrieval.search.searcher import Searcher
from retrieval.types import SearchRequest

FIRST_RANK, LAST_RANK = 30, 100
MARGIN = 0.05  # a negative's cosine is at most 1 - MARGIN of the positive's
NEGATIVES = 8  # kept for a pair, of which a batch draws some
BLOCK = 64  # queries encoded together


def with_hard_negatives(
    pairs: Sequence[TrainingPair], searcher: Searcher, *, watch: Callable[[int], None] | None = None
) -> list[TrainingPair]:
    """Return the pairs with negatives from the collection's default search."""
    found: list[TrainingPair] = []
    for start in range(0, len(pairs), BLOCK):
        block = pairs[start : start + BLOCK]
        results = searcher.search_many([_request(pair) for pair in block])
        positives = _cosines(block, searcher)
        found += [
            replace(pair, negatives=tuple(_negatives(pair, result.hits, positive)))
            for pair, result, positive in zip(block, results, positives, strict=True)
        ]
        if watch is not None:
            watch(len(found))
    return found


def _request(pair: TrainingPair) -> SearchRequest:
    return SearchRequest(pair.query[:MAX_QUERY_CHARACTERS], k=LAST_RANK, passages_per_document=1, fields=(), pins=False)


def _cosines(pairs: Sequence[TrainingPair], searcher: Searcher) -> list[float]:
    """Return the cosine of each query with its positive."""
    encoder = searcher.encoder
    queries = encoder.encode_queries([pair.query for pair in pairs])
    passages = encoder.encode_passages([pair.passage.text for pair in pairs])
    return [float(value) for value in np.einsum("nd,nd->n", queries, passages)]


def _negatives(pair: TrainingPair, hits: Sequence[Hit], positive: float) -> list[TrainingPassage]:
    kept = []
    for hit in hits[FIRST_RANK - 1 :]:
        cosine = hit.scores.get("dense")
        close = cosine is None or cosine > (1 - MARGIN) * positive
        if hit.id not in pair.relevant and hit.passages and not close:
            text = " ".join(part for part in (hit.title, hit.passages[0].text) if part)
            kept.append(TrainingPassage(hit.id, text))
    return kept[:NEGATIVES]
