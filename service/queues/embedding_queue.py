"""The queue of texts to embed, and the rerank scores that are made from it.

Texts that wait together are encoded together. A long list enters the queue in parts, one after the other, so that it
shares the encoder fairly with callers that have one text each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import InputError, Overloaded, TooLarge
from retrieval.types import Scores, Vectors
from retrieval.util.work_budget import NUMBER_BYTES, checkpoint, spend_answer_bytes
from service.config.settings import QueueSettings
from service.observability.metrics import Metrics
from service.processes.peers import Peers
from service.processes.shared_numbers import Column
from service.queues.dynamic_batching import Batcher, BatchLimits, LoadShedding
from service.queues.thread_pool import BoundedThreadPool
from service.runtime.encoder_registry import EncoderRegistry
from service.runtime.reranker_registry import RerankerRegistry

MIN_BATCH = 8  # requests: one core encodes so many with less work; fewer are ready sooner on two cores
MAX_TEXTS_WITH_STATES = 32  # the token states of a text take hundreds of kilobytes
CHARACTERS_PER_TOKEN = 4  # an estimate that decides the sizes of batches only


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts for one encoder; an empty `encoder` means the service's default."""

    encoder: str
    texts: tuple[str, ...]
    queries: bool = False


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """Vectors, (n, dimension), and the token count of each text."""

    vectors: Vectors
    tokens: tuple[int, ...]  # special tokens included, tokens beyond the encoder's maximum not


class EmbeddingQueue:
    """A bounded queue in front of the encoders."""

    def __init__(
        self,
        encoders: EncoderRegistry,
        slow: BoundedThreadPool,
        settings: QueueSettings,
        metrics: Metrics,
        peers: Peers,
    ) -> None:
        self._encoders = encoders
        self._slow = slow
        self._metrics = metrics
        self._batch_tokens = settings.batch_tokens
        self._batcher: Batcher[EmbeddingRequest, EmbeddingResult] = Batcher(
            self._answers,
            BatchLimits.on_all_cores(items=settings.batch_texts, cost=settings.batch_tokens, min_batch=MIN_BATCH),
            LoadShedding(settings.length, numbers=peers.queue(Column.EMBEDDING)),
            name="embedding",
            cost=_tokens,
            observe=metrics.batch("embedding"),
        )

    def close(self) -> None:
        """Wait for the texts that are being encoded."""
        self._batcher.close()

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Return the vectors of the texts.  Raises Overloaded if the queue is full."""
        try:
            parts = enumerate(self._parts(request))
            results = [await self._batcher.submit(part, admitted=number > 0) for number, part in parts]
        except Overloaded:
            self._metrics.refused("embedding_queue")
            raise
        if len(results) == 1:
            return results[0]
        tokens = tuple(count for result in results for count in result.tokens)
        return EmbeddingResult(np.concatenate([result.vectors for result in results]), tokens)

    async def states(self, request: EmbeddingRequest) -> list[NDArray[np.float32]]:
        """Return each text's token states, (tokens, width).  Raises InputError, TooLarge."""
        if len(request.texts) > MAX_TEXTS_WITH_STATES:
            raise TooLarge(
                f"{len(request.texts)} texts are more than this service shows token states of at once "
                f"({MAX_TEXTS_WITH_STATES}); send them in parts"
            )
        return await self._slow.run(self._states, request)

    def _states(self, request: EmbeddingRequest) -> list[NDArray[np.float32]]:
        encoder = self._encoders.get(request.encoder)
        if encoder.inspector is None:
            raise InputError("this encoder runs through a library that does not show its token states; use /embed")
        prompt = encoder.fingerprint.query_prompt if request.queries else encoder.fingerprint.passage_prompt
        states = []
        for text in request.texts:
            checkpoint()
            spend_answer_bytes(NUMBER_BYTES * encoder.dimension * len(encoder.tokenizer.encoding(prompt + text).ids))
            (found,) = encoder.inspector.states([text], prompt)
            states.append(found.states)
        return states

    def _parts(self, request: EmbeddingRequest) -> Iterator[EmbeddingRequest]:
        start, cost = 0, 0
        for position, text in enumerate(request.texts):
            tokens = _text_tokens(text)
            if position > start and cost + tokens > self._batch_tokens:
                yield EmbeddingRequest(request.encoder, request.texts[start:position], request.queries)
                start, cost = position, 0
            cost += tokens
        yield EmbeddingRequest(request.encoder, request.texts[start:], request.queries)

    def _answers(self, requests: Sequence[EmbeddingRequest]) -> list[EmbeddingResult | Exception]:
        """Return the answers in order; runs on a thread."""
        answers: dict[int, EmbeddingResult | Exception] = {}
        kinds = [(request.encoder, request.queries) for request in requests]
        for kind in dict.fromkeys(kinds):
            positions = [position for position, other in enumerate(kinds) if other == kind]
            groups = [requests[position].texts for position in positions]
            encoder, queries = kind
            try:
                save_cpu = len(requests) >= MIN_BATCH
                results = self._encode(self._encoders.get(encoder), groups, queries, save_cpu)
            except Exception as error:  # only the callers of this encoder get it
                answers.update(dict.fromkeys(positions, error))
            else:
                answers.update(zip(positions, results, strict=True))
        return [answers[position] for position in range(len(requests))]

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
        own_rows = [slice(end - len(group), end) for group, end in zip(groups, ends, strict=True)]
        return [EmbeddingResult(vectors[rows], counts[rows]) for rows in own_rows]


def _tokens(request: EmbeddingRequest) -> int:
    return sum(map(_text_tokens, request.texts))


def _text_tokens(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN + 3


@dataclass(frozen=True, slots=True)
class RankedText:
    """The position of a text in the request, and its score."""

    index: int
    score: float


class RerankScorer:
    """Scores texts for a query: with a reranker if there is one, else by cosine."""

    def __init__(self, embeddings: EmbeddingQueue, rerankers: RerankerRegistry, slow: BoundedThreadPool) -> None:
        self._embeddings = embeddings
        self._rerankers = rerankers
        self._slow = slow

    async def rank(
        self, encoder: str, model: str, query: str, texts: tuple[str, ...], *, raw: bool
    ) -> list[RankedText]:
        """Return texts by (score descending, index ascending); 0 … 1 unless `raw`.

        `model` names a reranker; a service without rerankers ignores it.  Raises NotFound for an unknown one.
        """
        if self._rerankers:
            reranker = self._rerankers.get(model)
            own = await self._slow.run(reranker.score, query, texts)
            scores = own if raw else reranker.shares(query, own)
        else:
            own = await self._cosines(encoder, query, texts)
            scores = own if raw else (1 + own) * np.float32(0.5)
        order = np.argsort(-own, kind="stable")
        return [RankedText(int(index), float(scores[index])) for index in order]

    async def _cosines(self, encoder: str, query: str, texts: tuple[str, ...]) -> Scores:
        query_result = await self._embeddings.embed(EmbeddingRequest(encoder, (query,), queries=True))
        passages = await self._embeddings.embed(EmbeddingRequest(encoder, texts))
        cosines: Scores = np.clip(passages.vectors @ query_result.vectors[0], -1, 1)
        return cosines
