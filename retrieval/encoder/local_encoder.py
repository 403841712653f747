"""An encoder on this machine: tokenise texts, run batches, order the vectors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.encoder.inspection import Inspector
from retrieval.encoder.runtime.base import Runtime
from retrieval.encoder.runtime.token_batches import TokenBatch, plan_batches
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.warm_up import warm_up
from retrieval.types import EncoderFingerprint, Vectors
from retrieval.util.prefetch import read_ahead
from retrieval.util.work_budget import checkpoint, stoppable

WINDOW_BATCHES = 64  # full batches whose texts are sorted by length together: padding stays under 5 % of tokens
BLOCK_TEXTS = 512  # texts of a block when a long list goes through the stream
WINDOWS_AHEAD = 2  # windows that are tokenised ahead of the batches that run
MIN_SHARE_TOKENS = 512  # smallest part of a call that gets an inference request of its own

P = TypeVar("P")
Positions: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Window(Generic[P]):
    """Blocks batched together; block i has the texts `bounds[i]` to `bounds[i + 1]`."""

    payloads: Sequence[P]
    bounds: Sequence[int]
    batches: Sequence[tuple[Positions, TokenBatch]]


class LocalEncoder(SentenceEncoder):
    """An encoder whose model this process runs."""

    def __init__(
        self,
        folder: EncoderFolder,
        tokenizer: TextTokenizer,
        runtime: Runtime,
        fingerprint: EncoderFingerprint,
        inspector: Inspector | None = None,
    ) -> None:
        super().__init__(tokenizer, runtime, fingerprint, inspector)
        self.folder = folder
        self.runtime: Runtime = runtime

    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        return self._encode(texts, self.fingerprint.query_prompt, save_cpu)

    def encode_passages(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        return self._encode(texts, self.fingerprint.passage_prompt, save_cpu)

    def encode_stream(self, blocks: Iterable[tuple[P, Sequence[str]]]) -> Iterator[tuple[P, Vectors]]:
        """Encode passages block by block, in order.

        A thread reads `blocks`, at most a few thousand texts ahead, so that reading, tokenising, encoding and the
        caller's use of the vectors overlap.
        """
        yield from self._stream(blocks, self.fingerprint.passage_prompt)

    @property
    def concurrency(self) -> int:
        """How many batches of a stream run at the same time."""
        return self.runtime.streams

    @cached_property
    def background(self) -> SentenceEncoder:
        return LocalEncoder(self.folder, self.tokenizer, self.runtime.background(), self.fingerprint, self.inspector)

    def warm_up(self) -> None:
        """Run usual shapes, as far as it makes later batches faster."""
        warm_up(self.runtime)

    def _encode(self, texts: Sequence[str], prompt: str, save_cpu: bool) -> Vectors:
        """Encode few tokens in this thread, more in several, long lists as a stream."""
        if len(texts) > BLOCK_TEXTS:
            blocks = ((None, texts[start : start + BLOCK_TEXTS]) for start in range(0, len(texts), BLOCK_TEXTS))
            return np.concatenate([vectors for _, vectors in self._stream(blocks, prompt)])
        window = self._window([None], self._ids(texts, prompt), [0, len(texts)], prompt)
        if len(window.batches) < 2 or self.runtime.streams == 1 or save_cpu:
            return self._assemble(window, (self.runtime.run(batch, save_cpu=save_cpu) for _, batch in window.batches))
        run = stoppable(self.runtime.run)
        with ThreadPoolExecutor(self.runtime.streams) as pool:
            try:
                return self._assemble(window, pool.map(run, (batch for _, batch in window.batches)))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _stream(self, blocks: Iterable[tuple[P, Sequence[str]]], prompt: str) -> Iterator[tuple[P, Vectors]]:
        """Tokenise ahead in a thread; run two windows at a time in `streams` threads."""
        running: deque[tuple[_Window[P], list[Future[Vectors]]]] = deque()
        run = stoppable(self.runtime.run)
        with (
            ThreadPoolExecutor(self.concurrency) as pool,
            read_ahead(self._windows(blocks, prompt), WINDOWS_AHEAD) as windows,
        ):
            try:
                for window in windows:
                    running.append((window, [pool.submit(run, batch) for _, batch in window.batches]))
                    if len(running) > 1:
                        yield from self._wait_for(*running.popleft())
                while running:
                    yield from self._wait_for(*running.popleft())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _windows(self, blocks: Iterable[tuple[P, Sequence[str]]], prompt: str) -> Iterator[_Window[P]]:
        """Tokenise blocks and group them into windows of whole blocks."""
        payloads: list[P] = []
        ids: list[list[int]] = []
        bounds = [0]
        limit = WINDOW_BATCHES * self.runtime.budget_tokens
        capacity = 0  # in tokens; 0 so that the first block runs at once, while the cores are idle
        for payload, texts in blocks:
            payloads.append(payload)
            ids += self._ids(texts, prompt)
            capacity -= sum(map(len, ids[bounds[-1] :]))
            bounds.append(len(ids))
            if capacity <= 0:
                yield self._window(payloads, ids, bounds, prompt)
                payloads, ids, bounds, capacity = [], [], [0], limit
        if len(bounds) > 1:
            yield self._window(payloads, ids, bounds, prompt)

    def _ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        return self.tokenizer.ids([prompt + text for text in texts] if prompt else texts)

    def _window(
        self, payloads: Sequence[P], ids: Sequence[Sequence[int]], bounds: Sequence[int], prompt: str
    ) -> _Window[P]:
        skip = 0 if self.folder.include_prompt else self.tokenizer.prompt_tokens(prompt)
        non_empty = [i for i, text_ids in enumerate(ids) if text_ids]
        batches = []
        for batch in self._plan([len(ids[i]) for i in non_empty]):
            positions = [non_empty[i] for i in batch]
            batches.append((np.array(positions), TokenBatch.of([ids[i] for i in positions], skip)))
        return _Window(payloads, bounds, batches)

    def _plan(self, lengths: Sequence[int]) -> Sequence[Sequence[int]]:
        """Plan one batch of few tokens, or enough batches to use every core."""
        total = sum(lengths)
        if total <= min(MIN_SHARE_TOKENS, self.runtime.budget_tokens):
            return [range(len(lengths))] if lengths else []
        share = max(MIN_SHARE_TOKENS, -(-total // self.runtime.streams))
        return plan_batches(lengths, min(self.runtime.budget_tokens, share))

    def _assemble(self, window: _Window[P], answers: Iterable[Vectors]) -> Vectors:
        """Put vectors in the order of the texts; a text without any token gets zeros."""
        out = np.zeros((window.bounds[-1], self.dimension), dtype=np.float32)
        for (positions, _), vectors in zip(window.batches, answers, strict=True):
            out[positions] = vectors
            checkpoint()
        return out

    def _wait_for(self, window: _Window[P], answers: Sequence[Future[Vectors]]) -> Iterator[tuple[P, Vectors]]:
        """Wait for the batches of a window, and yield the vectors of each block."""
        vectors = self._assemble(window, (answer.result() for answer in answers))
        for payload, (start, end) in zip(window.payloads, pairwise(window.bounds), strict=True):
            yield payload, vectors[start:end]
