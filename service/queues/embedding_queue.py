"""Texts of concurrent callers, encoded together where they wait together.

A long list of texts goes through the queue in parts, one after the other, so that it shares the encoder fairly with
callers who have one text each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import InputError, Overloaded, TooLarge
from retrieval.protocols import Reranker
from retrieval.types import Scores, Vectors
from service.config.settings import QueueSettings
from service.observability.metrics import Metrics
from service.queues.dynamic_batching import Batcher, BatchLimits
from service.queues.thread_pool import BoundedThreadPool
from service.runtime.encoder_registry import EncoderRegistry

MIN_BATCH = 8  # requests: so many are encoded with less work on a core of their own, fewer sooner on two cores
MOST_WITH_STATES = 32  # hundreds of kilobytes each
CHARACTERS_PER_TOKEN = 4  # roughly; only the sizes of batches depend on it


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts for one encoder, all queries or all passages; empty `encoder` is the service's own choice."""

    encoder: str
    texts: tuple[str, ...]
    queries: bool = False


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """Vectors, (n, dimension), and how many tokens of each text the encoder read, special tokens included."""

    vectors: Vectors
    tokens: tuple[int, ...]


class EmbeddingQueue:
    """A bounded queue in front of the encoders."""

    def __init__(
        self, encoders: EncoderRegistry, threads: BoundedThreadPool, settings: QueueSettings, metrics: Metrics
    ) -> None:
        self._encoders = encoders
        self._threads = threads
        self._metrics = metrics
        self._batch_tokens = settings.batch_tokens
        limits = BatchLimits.on_all_cores(
            items=settings.batch_texts, cost=settings.batch_tokens, capacity=settings.length, min_batch=MIN_BATCH
        )
        self._batcher: Batcher[EmbeddingRequest, EmbeddingResult] = Batcher(
            self._answer, limits, name="embedding", cost=_tokens, observe=metrics.batch("embedding")
        )

    def close(self) -> None:
        """Wait for what is being encoded."""
        self._batcher.close()

    def waiting(self) -> int:
        """Requests, or parts of them, that wait."""
        return len(self._batcher)

    async def embed(self, asked: EmbeddingRequest) -> EmbeddingResult:
        """Vectors of the texts.  Raises Overloaded at once where too many requests wait."""
        try:
            parts = [
                await self._batcher.submit(part, admitted=place > 0) for place, part in enumerate(self._parts(asked))
            ]
        except Overloaded:
            self._metrics.refused("embedding_queue")
            raise
        if len(parts) == 1:
            return parts[0]
        return EmbeddingResult(
            np.concatenate([part.vectors for part in parts]), tuple(count for part in parts for count in part.tokens)
        )

    async def states(self, asked: EmbeddingRequest) -> list[NDArray[np.float32]]:
        """Token states of each text, (tokens, width).  Raises InputError where the encoder cannot show them."""
        if len(asked.texts) > MOST_WITH_STATES:
            raise TooLarge(f"token states are shown of at most {MOST_WITH_STATES} texts at once")
        return await self._threads.run(self._states, asked)

    def _states(self, asked: EmbeddingRequest) -> list[NDArray[np.float32]]:
        encoder = self._encoders.get(asked.encoder)
        if encoder.inspector is None:
            raise InputError("this encoder runs through a library that does not show its token states; use /embed")
        prompt = encoder.fingerprint.query_prompt if asked.queries else encoder.fingerprint.passage_prompt
        return [found.states for found in encoder.inspector.states(asked.texts, prompt)]

    def _parts(self, asked: EmbeddingRequest) -> Iterator[EmbeddingRequest]:
        start, cost = 0, 0
        for place, text in enumerate(asked.texts):
            own = _text_tokens(text)
            if place > start and cost + own > self._batch_tokens:
                yield EmbeddingRequest(asked.encoder, asked.texts[start:place], asked.queries)
                start, cost = place, 0
            cost += own
        yield EmbeddingRequest(asked.encoder, asked.texts[start:], asked.queries)

    def _answer(self, items: Sequence[EmbeddingRequest]) -> list[EmbeddingResult | Exception]:
        """Answers in order; runs on a thread."""
        answers: dict[int, EmbeddingResult | Exception] = {}
        for encoder, queries in {(item.encoder, item.queries): None for item in items}:
            places = [place for place, item in enumerate(items) if (item.encoder, item.queries) == (encoder, queries)]
            try:
                save_cpu = len(items) >= MIN_BATCH
                found = self._encode(self._encoders.get(encoder), [items[p].texts for p in places], queries, save_cpu)
            except Exception as error:  # its callers get it; those of other encoders their vectors
                answers.update(dict.fromkeys(places, error))
            else:
                answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(items))]

    def _encode(
        self, encoder: SentenceEncoder, groups: Sequence[Sequence[str]], queries: bool, save_cpu: bool
    ) -> list[EmbeddingResult]:
        texts = [text for group in groups for text in group]
        started = perf_counter()
        encode = encoder.encode_queries if queries else encoder.encode_passages
        vectors = encode(texts, save_cpu=save_cpu)
        self._metrics.encoded(perf_counter() - started)
        counts = tuple(map(len, encoder.tokenizer.ids(texts)))
        ends = np.cumsum([len(group) for group in groups]).tolist()
        return [
            EmbeddingResult(vectors[end - len(group) : end], counts[end - len(group) : end])
            for group, end in zip(groups, ends, strict=True)
        ]


def _tokens(item: EmbeddingRequest) -> int:
    return sum(map(_text_tokens, item.texts))


def _text_tokens(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN + 3


@dataclass(frozen=True, slots=True)
class RankedText:
    """A text's place in the request, and its score."""

    index: int
    score: float


class RerankScorer:
    """Scores with `reranker` where there is one, else with cosines of the encoder's vectors."""

    def __init__(self, embeddings: EmbeddingQueue, reranker: Reranker | None, threads: BoundedThreadPool) -> None:
        self._embeddings = embeddings
        self._reranker = reranker
        self._threads = threads

    async def rank(self, encoder: str, query: str, texts: tuple[str, ...], *, raw: bool) -> list[RankedText]:
        """All texts, by (score descending, index ascending); scores are 0 … 1 unless `raw`."""
        scores = await self._scores(encoder, query, texts)
        if not raw:
            scores = _sigmoid(scores) if self._reranker else (1 + scores) * np.float32(0.5)
        order = np.argsort(-scores, kind="stable")
        return [RankedText(int(index), float(scores[index])) for index in order]

    async def _scores(self, encoder: str, query: str, texts: tuple[str, ...]) -> Scores:
        if self._reranker is not None:
            return await self._threads.run(self._reranker.score, query, texts)
        asked = await self._embeddings.embed(EmbeddingRequest(encoder, (query,), queries=True))
        found = await self._embeddings.embed(EmbeddingRequest(encoder, texts))
        cosines: Scores = np.clip(found.vectors @ asked.vectors[0], -1, 1)
        return cosines


def _sigmoid(scores: Scores) -> Scores:
    shares: Scores = (1 / (1 + np.exp(-scores.astype(np.float64)))).astype(np.float32)
    return shares
