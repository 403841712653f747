"""Run a late-interaction model: the vector of each token, on OpenVINO or torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from retrieval.encoder.checkpoint.late_interaction_folder import LateInteractionFolder
from retrieval.encoder.runtime.base import Precision, RuntimeName
from retrieval.encoder.runtime.openvino_runtime import BUDGET_TOKENS, InferRequestPool, round_length
from retrieval.encoder.runtime.token_batches import TextTokens, TokenVectorRows, row_length
from retrieval.types import Vectors
from retrieval.util.cores import cores

if TYPE_CHECKING:
    import openvino as ov


class TokenVectorRuntime(Protocol):
    """Runs batches of texts.  Safe to call from several threads."""

    name: RuntimeName
    precision: Precision
    budget_tokens: int  # of one batch: number of texts × tokens of the longest
    streams: int  # batches that gain from running at the same time

    def run(self, texts: Sequence[TextTokens], *, save_cpu: bool = False) -> list[Vectors]:
        """Return (t, dimension) for the t tokens of each text, none of them empty.

        `save_cpu` asks for the least processor time, not for the lowest latency.
        """


class OpenVINOTokenVectors:
    """The model's graph, compiled for low latency and for throughput."""

    name = RuntimeName.OPENVINO
    budget_tokens = BUDGET_TOKENS

    def __init__(self, core: ov.Core, graph: ov.Model, precision: Precision) -> None:
        self.precision = precision
        self.streams = cores()
        self._throughput = InferRequestPool(core, graph, precision, 1)
        self._low_latency = InferRequestPool(core, graph, precision, cores()) if cores() > 1 else self._throughput

    def run(self, texts: Sequence[TextTokens], *, save_cpu: bool = False) -> list[Vectors]:
        """Return the vectors of each text's tokens, as `TokenVectorRuntime.run` does."""
        longest = max(len(text.ids) for text in texts)
        single = len(texts) == 1
        rows = TokenVectorRows.of(texts, round_length(longest) if single else row_length(longest))
        pool = self._low_latency if single and not save_cpu else self._throughput
        return _unpadded(pool.infer(rows), texts)


def _unpadded(vectors: Vectors, texts: Sequence[TextTokens]) -> list[Vectors]:
    return [row[: len(text.ids)] for row, text in zip(vectors, texts, strict=True)]


class TorchTokenVectors:
    """The same model on torch in float32: the reference."""

    name = RuntimeName.TORCH
    precision = Precision.F32
    budget_tokens = BUDGET_TOKENS
    streams = 1

    def __init__(self, folder: LateInteractionFolder) -> None:
        from retrieval.encoder.runtime.conversion import token_vector_module

        self._module = token_vector_module(folder)

    def run(self, texts: Sequence[TextTokens], *, save_cpu: bool = False) -> list[Vectors]:  # noqa: ARG002
        """Return the vectors of each text's tokens, as `TokenVectorRuntime.run` does."""
        import torch

        rows = TokenVectorRows.of(texts, max(len(text.ids) for text in texts))
        with torch.inference_mode():
            vectors = self._module(*(torch.from_numpy(array).long() for array in rows.inputs()))
        return _unpadded(vectors.numpy(), texts)
