"""Texts to vectors: prompts, tokens, batches of similar lengths, a runtime."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.prefetch import ahead
from retrieval.encoder.runtime.base import Runtime
from retrieval.encoder.token_batches import TokenBatch, plan
from retrieval.encoder.tokenizer import TextTokenizer
from retrieval.types import EncoderFingerprint, Vectors

if TYPE_CHECKING:
    from retrieval.encoder.inspection import Inspector

WINDOW_BATCHES = 64  # full batches whose texts are sorted by length together: padding stays under 5 % of tokens
BLOCK_TEXTS = 512  # of a long list that goes through the stream
WINDOWS_AHEAD = 2  # windows that are read and tokenised before they are asked for
SHARED_TOKENS = 512  # fewer are not worth dividing among requests
WARM_LENGTHS = (*range(4, 33, 4), *range(40, 97, 8))  # of texts alone
# Lengths of texts, and how many of them share rows.
WARM_TOGETHER = ((16, range(2, 9)), (24, range(2, 17)), (36, (6, 9)), (60, range(2, 9)))

Places: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Window:
    """Neighbouring blocks whose texts are batched together: `bounds` (blocks + 1,) tell the blocks apart."""

    bounds: Sequence[int]
    batches: Sequence[tuple[Places, TokenBatch]]


class SentenceEncoder:
    """The encoder that the rest of Attendex sees.  Safe to call from several threads."""

    def __init__(
        self, folder: EncoderFolder, tokenizer: TextTokenizer, runtime: Runtime, fingerprint: EncoderFingerprint
    ) -> None:
        self.folder = folder
        self.tokenizer = tokenizer
        self.runtime = runtime
        self.fingerprint = fingerprint
        self.dimension = fingerprint.dimension
        self._include_prompt = folder.include_prompt
        self._inspector: Inspector | None = None
        self._inspecting = threading.Lock()

    def encode_queries(self, texts: Sequence[str], *, thrifty: bool = False) -> Vectors:
        """(n, dimension) float32, in the order of `texts`.

        `thrifty`: with the fewest processor seconds rather than soonest, since others have work for the cores.
        """
        return self._encode(texts, self.fingerprint.query_prompt, thrifty)

    def encode_passages(self, texts: Sequence[str], *, thrifty: bool = False) -> Vectors:
        """As `encode_queries`, with the prompt of passages."""
        return self._encode(texts, self.fingerprint.passage_prompt, thrifty)

    def encode_stream(self, blocks: Iterable[Sequence[str]]) -> Iterator[Vectors]:
        """Passages block by block: the vectors of each block, in order.

        `blocks` is read in a thread of its own, at most a few thousand texts ahead, so that reading, tokenising,
        encoding and what the caller does with the vectors go on at the same time.
        """
        yield from self._stream(blocks, self.fingerprint.passage_prompt)

    @cached_property
    def background(self) -> SentenceEncoder:
        """The same encoder for work that gives way to whoever waits for this one."""
        return SentenceEncoder(self.folder, self.tokenizer, self.runtime.background(), self.fingerprint)

    def warm(self) -> None:
        """Meet the shapes of usual queries now: the first text of a shape takes several times as long as the next."""
        for length in WARM_LENGTHS:
            self.runtime.run(TokenBatch.of([[0] * length]))
        for length, counts in WARM_TOGETHER:
            for count in counts:
                batch = TokenBatch.of([[0] * length] * count)
                self.runtime.run(batch)
                self.runtime.run(batch, thrifty=True)

    def inspector(self) -> Inspector:
        """A look inside, for explanations.  Loaded on first use: who never asks why does not pay for it."""
        with self._inspecting:
            if self._inspector is None:
                from retrieval.encoder.inspection import Inspector

                self._inspector = Inspector(self)
            return self._inspector

    def _encode(self, texts: Sequence[str], prompt: str, thrifty: bool) -> Vectors:
        """A call of few tokens is answered in the caller's thread; more goes through the stream, in parallel."""
        if len(texts) > BLOCK_TEXTS:
            parts = (texts[start : start + BLOCK_TEXTS] for start in range(0, len(texts), BLOCK_TEXTS))
            return np.concatenate(list(self._stream(parts, prompt)))
        window = self._window(self._ids(texts, prompt), [0, len(texts)], prompt)
        if len(window.batches) < 2 or self.runtime.streams == 1 or thrifty:
            return self._assembled(window, [self.runtime.run(batch, thrifty=thrifty) for _, batch in window.batches])
        with ThreadPoolExecutor(self.runtime.streams) as pool:
            return self._assembled(window, pool.map(self.runtime.run, (batch for _, batch in window.batches)))

    def _stream(self, blocks: Iterable[Sequence[str]], prompt: str) -> Iterator[Vectors]:
        """Windows are tokenised ahead in one thread, their batches run in `streams` threads, two windows at a time."""
        running: deque[tuple[_Window, list[Future[Vectors]]]] = deque()
        with (
            ThreadPoolExecutor(self.runtime.streams) as pool,
            ahead(self._windows(blocks, prompt), WINDOWS_AHEAD) as windows,
        ):
            try:
                for window in windows:
                    running.append((window, [pool.submit(self.runtime.run, batch) for _, batch in window.batches]))
                    if len(running) > 1:
                        yield from self._finished(*running.popleft())
                while running:
                    yield from self._finished(*running.popleft())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _windows(self, blocks: Iterable[Sequence[str]], prompt: str) -> Iterator[_Window]:
        """Tokenised windows of whole blocks."""
        ids: list[list[int]] = []
        bounds = [0]
        limit = WINDOW_BATCHES * self.runtime.budget_tokens
        room = 0  # for the first block, which goes at once: until then no core has anything to do
        for texts in blocks:
            ids += self._ids(texts, prompt)
            room -= sum(map(len, ids[bounds[-1] :]))
            bounds.append(len(ids))
            if room <= 0:
                yield self._window(ids, bounds, prompt)
                ids, bounds, room = [], [0], limit
        if len(bounds) > 1:
            yield self._window(ids, bounds, prompt)

    def _ids(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        return self.tokenizer.ids([prompt + text for text in texts] if prompt else texts)

    def _window(self, ids: Sequence[Sequence[int]], bounds: Sequence[int], prompt: str) -> _Window:
        skip = 0 if self._include_prompt else self.tokenizer.prompt_tokens(prompt)
        some = [place for place, one in enumerate(ids) if one]
        lengths = [len(ids[place]) for place in some]
        batches = []
        for batch in self._plan(lengths):
            places = [some[i] for i in batch]
            batches.append((np.array(places), TokenBatch.of([ids[place] for place in places], skip)))
        return _Window(bounds, batches)

    def _plan(self, lengths: Sequence[int]) -> Sequence[Sequence[int]]:
        """Positions of texts in batches: few tokens stay together, more are divided so that no core is left idle."""
        total = sum(lengths)
        if total <= min(SHARED_TOKENS, self.runtime.budget_tokens):
            return [range(len(lengths))] if lengths else []
        share = max(SHARED_TOKENS, -(-total // self.runtime.streams))
        return plan(lengths, min(self.runtime.budget_tokens, share))

    def _assembled(self, window: _Window, answers: Iterable[Vectors]) -> Vectors:
        """Vectors in the order of the texts.  A text without any token (nothing written, no special ones) has zeros."""
        out = np.zeros((window.bounds[-1], self.dimension), dtype=np.float32)
        for (places, _), vectors in zip(window.batches, answers, strict=True):
            out[places] = vectors
        return out

    def _finished(self, window: _Window, answers: Sequence[Future[Vectors]]) -> Iterator[Vectors]:
        """The vectors of each block of the window, waited for."""
        vectors = self._assembled(window, (each.result() for each in answers))
        for start, end in pairwise(window.bounds):
            yield vectors[start:end]
