"""Rerankers by name, loaded once, with their measured speed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from time import perf_counter
from typing import Protocol

import numpy as np

from retrieval.encoder.checkpoint.cross_encoder_folder import MAX_PAIR_TOKENS
from retrieval.encoder.checkpoint.hub import locate_reranker, recorded_name
from retrieval.encoder.checkpoint.late_interaction_folder import is_late_interaction
from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.encoder.late_interaction import load_late_interaction
from retrieval.encoder.loading import AUTO
from retrieval.errors import BadQuery
from retrieval.index.collection.index_reader import IndexReader
from retrieval.protocols import Reranker
from retrieval.search.late_interaction import LateReranker
from retrieval.types import Rows, Scores

CHARACTERS_PER_TOKEN = 4  # an estimate for the costs of pairs, before they are tokenised
NEWEST_SHARE = 0.3  # of the newest measurement in the speed
TRIAL_QUERY, TRIAL_TEXT = "a query of several words", "a passage of a usual length " * 16
TRIAL_PAIRS = 8


class Speed:
    """The milliseconds of a unit of work, measured.  Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms: float | None = None

    def record(self, ms: float) -> None:
        """Take a new measurement of the time of a unit into account."""
        with self._lock:
            before = ms if self._ms is None else self._ms
            self._ms = before + NEWEST_SHARE * (ms - before)

    def affordable(self, units: Sequence[float], budget_ms: float) -> int:
        """Return the number of first tasks, of so many units each, within the budget."""
        ms = self._ms
        if math.isinf(budget_ms) or ms is None:
            return len(units)
        return sum(cost <= budget_ms for cost in accumulate(ms * each for each in units))


class TimedReranker:
    """A reranker that knows its speed.  Safe to call from several threads."""

    def __init__(self, name: str, reranker: Reranker, clock: Callable[[], float] = perf_counter) -> None:
        self.name = name
        self.late = reranker if isinstance(reranker, LateReranker) else None
        self._reranker = reranker
        self._clock = clock
        self._token_speed, self._stored_speed = Speed(), Speed()
        self.score(TRIAL_QUERY, [TRIAL_TEXT] * TRIAL_PAIRS)

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """Return the score of the query with each text, (n,), and measure the time."""
        started = self._clock()
        scores = self._reranker.score(query, texts)
        if texts:
            tokens = sum(_estimated_tokens(query, text) for text in texts)
            self._token_speed.record((self._clock() - started) * 1000 / tokens)
        return scores

    def shares(self, query: str, scores: Scores) -> Scores:
        """Return scores between 0 and 1, (n,).

        They are the sigmoid of a cross-encoder's scores, and the mean similarity of the query's tokens in late
        interaction.
        """
        if self.late is not None:
            return self.late.shares(query, scores)
        return np.asarray(1 / (1 + np.exp(-scores.astype(np.float64))), dtype=np.float32)

    def affordable(self, query: str, texts: Sequence[str], budget_ms: float) -> int:
        """Return the number of first texts that it can score within the budget."""
        return self._token_speed.affordable([_estimated_tokens(query, text) for text in texts], budget_ms)

    def score_stored(self, query: str, reader: IndexReader, rows: Rows, budget_ms: float) -> Scores | None:
        """Score passages by their stored token vectors, the first ones within the budget.

        Return None if the collection does not store those of this reranker.
        """
        if self.late is None or not self.late.is_stored(reader):
            return None
        count = self._stored_speed.affordable([1.0] * len(rows), budget_ms)
        started = self._clock()
        scores = self.late.score_stored(query, reader, rows[:count])
        if count:
            self._stored_speed.record((self._clock() - started) * 1000 / count)
        return scores


class Rerankers(Protocol):
    """Finds rerankers by name.  Safe to use from several threads."""

    def get(self, name: str) -> TimedReranker:
        """Return the reranker of that name; "" stands for the first.  Raises BadQuery."""
        ...


class RerankerFolders:
    """Rerankers whose names are presets or folders; loaded on first use."""

    def __init__(self, runtime: str = AUTO, precision: str = AUTO) -> None:
        self._runtime = runtime
        self._precision = precision
        self._loaded: dict[str, TimedReranker] = {}
        self._loading = threading.Lock()

    def get(self, name: str) -> TimedReranker:
        """Load the reranker and return it.  Raises BadQuery, EncoderError."""
        if not name:
            raise BadQuery("the reranker has no name; give a preset or the folder of a reranker")
        with self._loading:
            if name not in self._loaded:
                found = load_reranker(name, runtime=self._runtime, precision=self._precision)
                self._loaded[name] = TimedReranker(name, found)
            return self._loaded[name]


def load_reranker(name: str, *, runtime: str = AUTO, precision: str = AUTO) -> Reranker:
    """Load a cross-encoder or a late-interaction model, from a preset or a folder."""
    path = locate_reranker(name)
    if is_late_interaction(path):
        return LateReranker(load_late_interaction(path, recorded_name(name), runtime=runtime, precision=precision))
    return load_cross_encoder(path, runtime=runtime, precision=precision)


def _estimated_tokens(query: str, text: str) -> int:
    return min(MAX_PAIR_TOKENS, (len(query) + len(text)) // CHARACTERS_PER_TOKEN + 3)
