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
from retrieval.encoder.token_states import can_inspect
from retrieval.errors import InputError, Overloaded, TooLarge
from retrieval.types import Vectors
from service.config.settings import Queue
from service.observability.metrics import Metrics
from service.queues.dynamic_batching import Batcher, BatchLimits
from service.queues.thread_pool import Offload
from service.runtime.encoder_registry import Encoders

COMPANY = 8  # requests: so many are encoded with less work on a core of their own, fewer sooner on two cores
MOST_WITH_STATES = 32  # hundreds of kilobytes each
CHARACTERS_PER_TOKEN = 4  # roughly; only the sizes of batches depend on it


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts for one encoder, all queries or all passages; empty `encoder` is the service's own choice."""

    encoder: str
    texts: tuple[str, ...]
    queries: bool = False


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, (n, dimension), and how many tokens of each text the encoder read, special tokens included."""

    vectors: Vectors
    tokens: tuple[int, ...]


class EmbeddingQueue:
    """A bounded queue in front of the encoders."""

    def __init__(self, encoders: Encoders, offload: Offload, settings: Queue, metrics: Metrics) -> None:
        self._encoders = encoders
        self._offload = offload
        self._metrics = metrics
        self._batch_tokens = settings.batch_tokens
        limits = BatchLimits.on_all_cores(
            items=settings.batch_texts, cost=settings.batch_tokens, room=settings.length, company=COMPANY
        )
        self._batcher: Batcher[Texts, Embedded] = Batcher(
            self._answer, limits, name="embedding", cost=_tokens, observe=metrics.batch("embedding")
        )

    def close(self) -> None:
        """Wait for what is being encoded."""
        self._batcher.close()

    def waiting(self) -> int:
        """Requests, or parts of them, that wait."""
        return len(self._batcher)

    async def embed(self, asked: Texts) -> Embedded:
        """Vectors of the texts.  Raises Overloaded at once where too many requests wait."""
        try:
            parts = [await self._batcher.submit(part, begun=place > 0) for place, part in enumerate(self._parts(asked))]
        except Overloaded:
            self._metrics.refused("embedding_queue")
            raise
        if len(parts) == 1:
            return parts[0]
        return Embedded(
            np.concatenate([part.vectors for part in parts]), tuple(count for part in parts for count in part.tokens)
        )

    async def states(self, asked: Texts) -> list[NDArray[np.float32]]:
        """Token states of each text, (tokens, width).  Raises InputError where the encoder cannot show them."""
        if len(asked.texts) > MOST_WITH_STATES:
            raise TooLarge(f"token states are shown of at most {MOST_WITH_STATES} texts at once")
        return await self._offload.run(self._states, asked)

    def _states(self, asked: Texts) -> list[NDArray[np.float32]]:
        encoder = self._encoders.get(asked.encoder)
        if not can_inspect(encoder):
            raise InputError("this encoder runs through a library that does not show its token states; use /embed")
        prompt = encoder.fingerprint.query_prompt if asked.queries else encoder.fingerprint.passage_prompt
        return [found.states for found in encoder.inspector().states(asked.texts, prompt)]

    def _parts(self, asked: Texts) -> Iterator[Texts]:
        start, cost = 0, 0
        for place, text in enumerate(asked.texts):
            own = _text_tokens(text)
            if place > start and cost + own > self._batch_tokens:
                yield Texts(asked.encoder, asked.texts[start:place], asked.queries)
                start, cost = place, 0
            cost += own
        yield Texts(asked.encoder, asked.texts[start:], asked.queries)

    def _answer(self, items: Sequence[Texts]) -> list[Embedded | Exception]:
        """Answers in order; runs on a thread."""
        answers: dict[int, Embedded | Exception] = {}
        for encoder, queries in {(item.encoder, item.queries): None for item in items}:
            places = [place for place, item in enumerate(items) if (item.encoder, item.queries) == (encoder, queries)]
            try:
                thrifty = len(items) >= COMPANY
                found = self._encode(self._encoders.get(encoder), [items[p].texts for p in places], queries, thrifty)
            except Exception as error:  # its callers get it; those of other encoders their vectors
                answers.update(dict.fromkeys(places, error))
            else:
                answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(items))]

    def _encode(
        self, encoder: SentenceEncoder, groups: Sequence[Sequence[str]], queries: bool, thrifty: bool
    ) -> list[Embedded]:
        texts = [text for group in groups for text in group]
        started = perf_counter()
        encode = encoder.encode_queries if queries else encoder.encode_passages
        vectors = encode(texts, thrifty=thrifty)
        self._metrics.encoded(perf_counter() - started)
        counts = tuple(map(len, encoder.tokenizer.ids(texts)))
        ends = np.cumsum([len(group) for group in groups]).tolist()
        return [
            Embedded(vectors[end - len(group) : end], counts[end - len(group) : end])
            for group, end in zip(groups, ends, strict=True)
        ]


def _tokens(item: Texts) -> int:
    return sum(map(_text_tokens, item.texts))


def _text_tokens(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN + 3
