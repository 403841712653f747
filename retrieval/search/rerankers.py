"""Rerankers by name, loaded once, with their measured speed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from time import perf_counter
from typing import Protocol

from retrieval.encoder.checkpoint.cross_encoder_folder import MAX_PAIR_TOKENS
from retrieval.encoder.checkpoint.hub import locate_reranker
from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.encoder.loading import AUTO
from retrieval.errors import BadQuery
from retrieval.protocols import Reranker
from retrieval.types import Scores

CHARACTERS_PER_TOKEN = 4  # an estimate for the costs of pairs, before they are tokenised
NEWEST_SHARE = 0.3  # of the newest measurement in the speed
TRIAL_QUERY, TRIAL_TEXT = "a query of several words", "a passage of a usual length " * 16
TRIAL_PAIRS = 8


class TimedReranker:
    """A reranker that knows its speed.  Safe to call from several threads."""

    def __init__(self, name: str, reranker: Reranker, clock: Callable[[], float] = perf_counter) -> None:
        self.name = name
        self._reranker = reranker
        self._clock = clock
        self._lock = threading.Lock()
        self._ms_per_token: float | None = None
        self.score(TRIAL_QUERY, [TRIAL_TEXT] * TRIAL_PAIRS)

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """Return the score of the query with each text, (n,), and measure the time."""
        started = self._clock()
        scores = self._reranker.score(query, texts)
        if texts:
            tokens = sum(_estimated_tokens(query, text) for text in texts)
            self._record((self._clock() - started) * 1000 / tokens)
        return scores

    def affordable(self, query: str, texts: Sequence[str], budget_ms: float) -> int:
        """Return the number of first texts that it can score within the budget."""
        if math.isinf(budget_ms) or self._ms_per_token is None:
            return len(texts)
        costs = accumulate(self._ms_per_token * _estimated_tokens(query, text) for text in texts)
        return sum(cost <= budget_ms for cost in costs)

    def _record(self, ms_per_token: float) -> None:
        with self._lock:
            before = ms_per_token if self._ms_per_token is None else self._ms_per_token
            self._ms_per_token = before + NEWEST_SHARE * (ms_per_token - before)


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
            raise BadQuery("the reranker has no name; give a preset or the folder of a cross-encoder")
        with self._loading:
            if name not in self._loaded:
                found = load_cross_encoder(locate_reranker(name), runtime=self._runtime, precision=self._precision)
                self._loaded[name] = TimedReranker(name, found)
            return self._loaded[name]


def _estimated_tokens(query: str, text: str) -> int:
    return min(MAX_PAIR_TOKENS, (len(query) + len(text)) // CHARACTERS_PER_TOKEN + 3)
