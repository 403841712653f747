"""Batches of training pairs; the number of a step alone decides which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.adapting.pairs import TrainingPair, TrainingPassage, shortened
from retrieval.training.contrastive import TrainingBatch
from retrieval.training.trainable import TrainableEncoder

WORD_DROPOUT = 0.1  # of the words of a query, in every second pair


class PairBatches:
    """Gives the batch of each step: all pairs in a new order in each epoch."""

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        encoder: TrainableEncoder,
        *,
        size: int,
        negatives: int,
        seed: int,
        max_tokens: tuple[int, int],
        groups: Mapping[str, str],
    ) -> None:
        """Prepare the batches.

        `negatives` hard ones go with each pair.  `max_tokens` are those of a query and of a passage.  `groups` names
        the group of each document that has near-duplicates.
        """
        self._pairs = pairs
        self._encoder = encoder
        self._size = min(size, len(pairs))
        self._negatives = negatives
        self._seed = seed
        self._max_tokens = max_tokens
        self._groups = groups

    @property
    def per_epoch(self) -> int:
        """The number of batches that take every pair once, but for a rest."""
        return len(self._pairs) // self._size

    def __call__(self, step: int) -> TrainingBatch:
        epoch, number = divmod(step, self.per_epoch)
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._pairs))
        dice = np.random.default_rng([self._seed, epoch, number])
        chosen = [self._pairs[i] for i in order[number * self._size : (number + 1) * self._size]]
        chosen = [shortened(pair, dice, WORD_DROPOUT) if i % 2 else pair for i, pair in enumerate(chosen)]
        passages = [pair.passage for pair in chosen]
        for pair in chosen:
            count = min(self._negatives, len(pair.negatives))
            passages += [pair.negatives[i] for i in dice.permutation(len(pair.negatives))[:count]]
        query_tokens, passage_tokens = self._max_tokens
        return TrainingBatch(
            self._encoder.query_ids([pair.query for pair in chosen], query_tokens),
            self._encoder.passage_ids([passage.text for passage in passages], passage_tokens),
            self._excluded(chosen, passages),
        )

    def _excluded(self, pairs: Sequence[TrainingPair], passages: Sequence[TrainingPassage]) -> NDArray[np.bool_]:
        """Tell which passages may be relevant to which queries, beside each query's own."""
        groups = [self._group(passage.document) for passage in passages]
        excluded = np.zeros((len(pairs), len(passages)), dtype=np.bool_)
        for i, pair in enumerate(pairs):
            relevant = {self._group(each) for each in (*pair.relevant, pair.passage.document)}
            excluded[i] = [group in relevant for group in groups]
            excluded[i, i] = False
        return excluded

    def _group(self, document: str) -> str:
        return self._groups.get(document, document)
