"""Ordering texts by how well they answer a query: by the encoder's cosine, or by a cross-encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.protocols import Reranker
from retrieval.types import Scores
from service.queues.embedding_queue import EmbeddingQueue, Texts
from service.queues.thread_pool import Offload


@dataclass(frozen=True, slots=True)
class Ranked:
    """A text's place in the request, and its score."""

    index: int
    score: float


class Reranking:
    """Scores with `reranker` where there is one, else with cosines of the encoder's vectors."""

    def __init__(self, embeddings: EmbeddingQueue, reranker: Reranker | None, offload: Offload) -> None:
        self._embeddings = embeddings
        self._reranker = reranker
        self._offload = offload

    async def rank(self, encoder: str, query: str, texts: tuple[str, ...], *, raw: bool) -> list[Ranked]:
        """All texts, by (score descending, index ascending); scores are 0 … 1 unless `raw`."""
        scores = await self._scores(encoder, query, texts)
        if not raw:
            scores = _sigmoid(scores) if self._reranker else (1 + scores) * np.float32(0.5)
        order = np.argsort(-scores, kind="stable")
        return [Ranked(int(index), float(scores[index])) for index in order]

    async def _scores(self, encoder: str, query: str, texts: tuple[str, ...]) -> Scores:
        if self._reranker is not None:
            return await self._offload.run(self._reranker.score, query, texts)
        asked = await self._embeddings.embed(Texts(encoder, (query,), queries=True))
        found = await self._embeddings.embed(Texts(encoder, texts))
        cosines: Scores = np.clip(found.vectors @ asked.vectors[0], -1, 1)
        return cosines


def _sigmoid(scores: Scores) -> Scores:
    shares: Scores = (1 / (1 + np.exp(-scores.astype(np.float64)))).astype(np.float32)
    return shares
