"""The encoder on OpenVINO: the same module as a compiled graph, in float32, bfloat16 or int8."""

from __future__ import annotations

from collections.abc import Callable
from queue import LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.batching import TokenBatch
from retrieval.encoder.runtime import Precision, RuntimeName, cores, has_bf16
from retrieval.types import Vectors

if TYPE_CHECKING:
    import openvino as ov

BUDGET_TOKENS = 2_048  # per stream; more gains nothing and leaves the caches
WARM_LENGTHS = (*range(4, 33, 4), *range(40, 65, 8))  # of single queries, compiled before the first one comes


def rounded(length: int) -> int:
    """A length that repeats, little above `length`: what was compiled for a shape serves the next text."""
    step = 4 if length <= 32 else 8
    return -(-length // step) * step


class OpenVINORuntime:
    """Two compilations of one graph: all cores on one batch for queries, a batch a core for indexing."""

    name = RuntimeName.OPENVINO
    budget_tokens = BUDGET_TOKENS

    def __init__(self, core: ov.Core, graph: ov.Model, precision: Precision) -> None:
        self.precision = precision
        self.streams = cores()
        self._core = core
        self._graph = graph
        self._quick = _Requests(lambda: self._compile(streams=1, warm=True), 1)
        self._bulk = _Requests(lambda: self._compile(streams=self.streams), self.streams)

    def run(self, batch: TokenBatch) -> Vectors:
        """(B, dimension) float32, in the batch's order, all cores on this batch."""
        return self._quick.infer(batch, rounded(max(batch.lengths)))

    def run_bulk(self, batch: TokenBatch) -> Vectors:
        """The same on one of `streams` cores."""
        return self._bulk.infer(batch, max(batch.lengths))

    def _compile(self, *, streams: int, warm: bool = False) -> ov.CompiledModel:
        # what is not int8 in an int8 graph (attention, normalisations) is bfloat16 where that is native
        bf16 = self.precision is Precision.BF16 or (self.precision is Precision.INT8 and has_bf16())
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": cores(),
            "ENABLE_CPU_PINNING": False,  # other processes use the machine too
        }
        compiled = self._core.compile_model(self._graph, "CPU", settings)
        if warm:
            request = compiled.create_infer_request()
            for length in WARM_LENGTHS:
                _infer(request, np.zeros((1, length), np.int32), np.array([length], np.int32), 0)
        return compiled


class _Requests:
    """A compiled graph, made at its first use, and as many requests as it serves at the same time."""

    def __init__(self, compile_graph: Callable[[], ov.CompiledModel], count: int) -> None:
        self._compile = compile_graph
        self._count = count
        self._starting = Lock()
        self._free: LifoQueue[Any] | None = None

    def infer(self, batch: TokenBatch, length: int) -> Vectors:
        free = self._free or self._start()
        request = free.get()
        try:
            return _infer(request, batch.padded(length), np.array(batch.lengths, np.int32), batch.skip)
        finally:
            free.put(request)

    def _start(self) -> LifoQueue[Any]:
        with self._starting:
            if self._free is None:
                compiled = self._compile()
                free: LifoQueue[Any] = LifoQueue()
                for _ in range(self._count):
                    free.put(compiled.create_infer_request())
                self._free = free
            return self._free


def _infer(request: Any, ids: NDArray[np.int32], sizes: NDArray[np.int32], skip: int) -> Vectors:
    answer = request.infer([ids, sizes, np.array(skip, np.int32)], share_inputs=True)
    return np.array(answer[0], dtype=np.float32)
