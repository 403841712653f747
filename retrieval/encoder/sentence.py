"""The encoder of searches and builds: on this machine, or behind a URL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.encoder.inspection import Inspector
from retrieval.types import EncoderFingerprint, Vectors

P = TypeVar("P")


class RuntimeIdentity(Protocol):
    """The library that computes the vectors, as a manifest records it."""

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> str: ...


class SentenceEncoder(ABC):
    """A loaded encoder.  Safe to call from several threads."""

    def __init__(
        self,
        tokenizer: TextTokenizer,
        runtime: RuntimeIdentity,
        fingerprint: EncoderFingerprint,
        inspector: Inspector | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.runtime: RuntimeIdentity = runtime
        self.fingerprint = fingerprint
        self.dimension = fingerprint.dimension
        self.inspector = inspector  # None if the encoder does not run on our model

    @abstractmethod
    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        """Encode queries: (n, dimension) float32, in the order of `texts`.

        `save_cpu` asks for the least processor time, not for the lowest latency, because other work needs the cores.
        """

    @abstractmethod
    def encode_passages(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        """Encode passages as `encode_queries` does, with the prompt of passages."""

    @abstractmethod
    def encode_stream(self, blocks: Iterable[tuple[P, Sequence[str]]]) -> Iterator[tuple[P, Vectors]]:
        """Encode passages block by block, in order.

        A block is a payload and texts; the payload comes back with the vectors.
        """

    @property
    @abstractmethod
    def background(self) -> SentenceEncoder:
        """The same encoder for low-priority work, beside this encoder."""

    @property
    def bulk(self) -> SentenceEncoder:
        """The same encoder for many passages at once."""
        return self

    def warm_up(self) -> None:  # noqa: B027 - an encoder may need none
        """Prepare for single texts."""


class WrappedEncoder(SentenceEncoder):
    """Another encoder; subclasses change what it does with queries."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__(encoder.tokenizer, encoder.runtime, encoder.fingerprint, encoder.inspector)
        self.wrapped = encoder

    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        return self.wrapped.encode_queries(texts, save_cpu=save_cpu)

    def encode_passages(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        return self.wrapped.encode_passages(texts, save_cpu=save_cpu)

    def encode_stream(self, blocks: Iterable[tuple[P, Sequence[str]]]) -> Iterator[tuple[P, Vectors]]:
        return self.wrapped.encode_stream(blocks)

    @property
    def background(self) -> SentenceEncoder:
        return self.wrapped.background

    @property
    def bulk(self) -> SentenceEncoder:
        return self.wrapped.bulk
