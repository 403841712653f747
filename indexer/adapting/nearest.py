"""The passage of a relevant document that answers its query: the nearest one.

Judgments name documents.  A document has several passages, and dense search ranks it by the best of them, so this one
should come near the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from indexer.adapting.pairs import TrainingPair, TrainingPassage, passages_of
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.collection.index_reader import IndexReader

MAX_PASSAGES = 32  # of a document that are compared
BLOCK = 64  # pairs compared together


def with_nearest_passages(
    pairs: Sequence[TrainingPair], reader: IndexReader, encoder: SentenceEncoder
) -> list[TrainingPair]:
    """Return the pairs with the passage of their document nearest to the query."""
    found: list[TrainingPair] = []
    for start in range(0, len(pairs), BLOCK):
        block = pairs[start : start + BLOCK]
        candidates = [passages_of(reader, pair.passage.document)[:MAX_PASSAGES] for pair in block]
        nearest = _nearest([pair.query for pair in block], candidates, encoder)
        found += [replace(pair, passage=passage) for pair, passage in zip(block, nearest, strict=True)]
    return found


def _nearest(
    queries: Sequence[str], candidates: Sequence[Sequence[TrainingPassage]], encoder: SentenceEncoder
) -> list[TrainingPassage]:
    """Return the nearest candidate of each query; one candidate alone is not encoded."""
    several = [i for i, passages in enumerate(candidates) if len(passages) > 1]
    nearest = [passages[0] for passages in candidates]
    if not several:
        return nearest
    vectors = encoder.encode_passages([passage.text for i in several for passage in candidates[i]])
    first = 0
    for i, query in zip(several, encoder.encode_queries([queries[i] for i in several]), strict=True):
        scores = vectors[first : first + len(candidates[i])] @ query
        first += len(candidates[i])
        nearest[i] = candidates[i][int(scores.argmax())]
    return nearest
