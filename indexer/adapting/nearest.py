"""The passage of a relevant document that answers its query: the nearest one.

Judgments name documents.  A document has several passages, and dense search ranks it by the best of them, so this one
should come near the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from indexer.adapting.pairs import TrainingPair, passages_of
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
        queries = encoder.encode_queries([pair.query for pair in block])
        vectors = encoder.encode_passages([passage.text for passages in candidates for passage in passages])
        first = 0
        for pair, query, passages in zip(block, queries, candidates, strict=True):
            scores = vectors[first : first + len(passages)] @ query
            first += len(passages)
            found.append(replace(pair, passage=passages[int(scores.argmax())]))
    return found
