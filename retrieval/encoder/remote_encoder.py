"""An encoder behind a URL: batches, concurrent requests, the order of the vectors."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from retrieval.encoder.remote.access import RemoteAccess, access_from_environment
from retrieval.encoder.remote.connection import Patience, RemoteConnection, RemoteUsage, RequestTooLarge
from retrieval.encoder.remote.dialects import DIALECTS, EmbeddedTexts, read_answer
from retrieval.encoder.remote.estimated_tokens import EstimatedTokenizer
from retrieval.encoder.remote.spec import RemoteSpec, parse_remote
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import EncoderError
from retrieval.types import EncoderFingerprint, Vectors

BATCH_BYTES = 1_000_000  # of the texts of a request; TEI takes two million bytes
QUERY_TRIES = 2
TRIAL_TEXT = "a text"

P = TypeVar("P")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteRuntime:
    """A stand-in for the library and the precision, which are unknown."""

    name: str = "remote"
    precision: str = "remote"


class RemoteEncoder(SentenceEncoder):
    """An encoder that sends texts to a service.

    Queries fail fast, so that a search can go on without vectors; `bulk` waits for a service that is busy.
    """

    tokenizer: EstimatedTokenizer

    def __init__(self, spec: RemoteSpec, connection: RemoteConnection, dimension: int, *, patient: bool) -> None:
        tokenizer = EstimatedTokenizer(spec.max_tokens, spec.query_prompt, spec.passage_prompt)
        super().__init__(tokenizer, RemoteRuntime(), spec.fingerprint(dimension))
        self.spec = spec
        self._connection = connection
        self._patient = patient

    @property
    def usage(self) -> RemoteUsage:
        """The requests to the service so far."""
        return self._connection.usage

    @property
    def background(self) -> SentenceEncoder:
        return self.bulk

    @cached_property
    def bulk(self) -> SentenceEncoder:
        if self._patient:
            return self
        return RemoteEncoder(self.spec, self._connection, self.dimension, patient=True)

    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        del save_cpu
        return self._encode(texts, self.spec.query_prompt, self.spec.query_type)

    def encode_passages(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        del save_cpu
        return self._encode(texts, self.spec.passage_prompt, self.spec.passage_type)

    def encode_stream(self, blocks: Iterable[tuple[P, Sequence[str]]]) -> Iterator[tuple[P, Vectors]]:
        """Encode passages block by block, in order, with several requests at a time."""
        running: deque[tuple[P, int, list[Future[EmbeddedTexts]]]] = deque()
        with ThreadPoolExecutor(self.spec.parallel, thread_name_prefix="attendex-remote") as pool:
            try:
                for payload, texts in blocks:
                    running.append((payload, len(texts), self._submit(pool, texts)))
                    while sum(len(futures) for _, _, futures in running) > 2 * self.spec.parallel or (
                        running and all(each.done() for each in running[0][2])
                    ):
                        yield self._finished(*running.popleft())
                while running:
                    yield self._finished(*running.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, texts: Sequence[str]) -> list[Future[EmbeddedTexts]]:
        prompt, kind = self.spec.passage_prompt, self.spec.passage_type
        return [
            pool.submit(copy_context().run, self._request, part, tokens, kind)
            for part, tokens in self._batches(texts, prompt)
        ]

    def _finished(self, payload: P, count: int, futures: Sequence[Future[EmbeddedTexts]]) -> tuple[P, Vectors]:
        return payload, self._joined([future.result() for future in futures], count)

    def _encode(self, texts: Sequence[str], prompt: str, kind: str) -> Vectors:
        if not self._patient and texts:
            self._connection.check_reachable()
        batches = list(self._batches(texts, prompt))
        if len(batches) < 2:
            return self._joined([self._request(part, tokens, kind) for part, tokens in batches], len(texts))
        with ThreadPoolExecutor(self.spec.parallel, thread_name_prefix="attendex-remote") as pool:
            try:
                futures = [
                    pool.submit(copy_context().run, self._request, part, tokens, kind) for part, tokens in batches
                ]
                return self._joined([future.result() for future in futures], len(texts))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _joined(self, parts: Sequence[EmbeddedTexts], count: int) -> Vectors:
        if not parts:
            return np.zeros((count, self.dimension), np.float32)
        return np.concatenate([part.vectors for part in parts])

    def _batches(self, texts: Sequence[str], prompt: str) -> Iterator[tuple[list[str], int]]:
        """Cut texts at the model's limit; yield requests within bounds, with their tokens."""
        batch: list[str] = []
        tokens = size = 0
        for text in texts:
            whole = prompt + (text if text.strip() else ".")  # services refuse a text without a character
            sent = self.tokenizer.cut(whole)
            if len(sent) < len(whole):
                self._count_cut()
            count, length = self.tokenizer.count(sent), len(sent.encode(errors="replace"))
            full = len(batch) == self.spec.batch_texts or tokens + count > self.spec.batch_tokens
            if batch and (full or size + length > BATCH_BYTES):
                yield batch, tokens
                batch, tokens, size = [], 0, 0
            batch.append(sent.encode(errors="replace").decode())
            tokens, size = tokens + count, size + length
        if batch:
            yield batch, tokens

    def _count_cut(self) -> None:
        self.usage.cut_texts += 1
        if self.usage.cut_texts == 1:
            logger.warning(
                "texts of more than %d tokens (estimated) are cut before they are sent to %s; give a higher "
                "&max_tokens= if the model reads more",
                self.spec.max_tokens,
                self.spec.url,
            )

    def _request(self, texts: Sequence[str], tokens: int, kind: str) -> EmbeddedTexts:
        """Encode one batch; in halves if the service finds it too large."""
        dialect = DIALECTS[self.spec.kind]
        body = dialect.body(self.spec, texts, kind)
        try:
            answer = self._connection.post(dialect.path, body, len(texts), tokens, self._patience)
        except RequestTooLarge:
            if len(texts) == 1:
                raise
            half = len(texts) // 2
            parts = [self._request(part, tokens // 2, kind) for part in (texts[:half], texts[half:])]
            return EmbeddedTexts(np.concatenate([part.vectors for part in parts]))
        found = read_answer(self.spec, answer, len(texts))
        self._check_dimension(found.vectors.shape[1])
        self.usage.texts += len(texts)
        self.usage.tokens += found.tokens
        return found

    @property
    def _patience(self) -> Patience:
        if self._patient:
            return Patience(math.inf, self.spec.retries + 1)
        return Patience(self.spec.query_timeout, QUERY_TRIES)

    def _check_dimension(self, dimension: int) -> None:
        expected = self.dimension or self.spec.dimensions
        if expected and dimension != expected:
            raise EncoderError(
                f"{self.spec.url}: the model {self.spec.model!r} gives vectors of {dimension} dimensions, and "
                f"{expected} are expected; it is another model now, or the option dimensions is wrong"
            )


def open_remote_encoder(name: str, access: RemoteAccess | None = None, *, bulk: bool = False) -> RemoteEncoder:
    """Open the encoder that the user names; ask for one vector to learn its dimension.

    Raises EncoderError.
    """
    spec = parse_remote(name)
    connection = RemoteConnection(spec, (access or access_from_environment()).key_of(spec))
    trial = RemoteEncoder(spec, connection, 0, patient=bulk)
    return RemoteEncoder(spec, connection, trial.encode_passages([TRIAL_TEXT]).shape[1], patient=bulk)


def recorded_remote_encoder(
    made_by: EncoderFingerprint, access: RemoteAccess | None = None, *, bulk: bool = False, named: bool = False
) -> RemoteEncoder:
    """Open the encoder that a collection records, without a request.

    Raises EncoderError unless its origin is allowed, or the user `named` it.
    """
    spec = parse_remote(made_by.name)
    access = access or access_from_environment()
    if not named:
        access.require(spec)
    connection = RemoteConnection(spec, access.key_of(spec))
    return RemoteEncoder(spec, connection, made_by.dimension, patient=bulk)
