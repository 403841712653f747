"""The encoder on OpenVINO: the same module as a compiled graph, in float32, bfloat16 or int8.

One compilation serves queries and indexing: as many requests at a time as there are cores (or groups of cores, for a
big encoder), each on threads of its own, so that nothing waits at barriers and callers never fight for threads.
"""

from __future__ import annotations

from queue import LifoQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.batching import TokenBatch
from retrieval.encoder.runtime import Precision, RuntimeName, cores, has_bf16
from retrieval.encoder.shape import Architecture
from retrieval.types import Vectors

if TYPE_CHECKING:
    import openvino as ov

BUDGET_TOKENS = 2_048  # of one batch; more gains nothing and leaves the caches
SMALL_TOKENS = 512  # batches up to here get a rounded length
WARM_LENGTHS = (*range(4, 33, 4), *range(40, 65, 8))  # of single queries, compiled before the first one comes


def rounded(length: int) -> int:
    """A length that repeats, little above `length`: what was compiled for a shape serves the next query."""
    step = 4 if length <= 32 else 8
    return -(-length // step) * step


def threads_each(shape: Architecture) -> int:
    """Threads of one request.

    One is best for the default encoder, in latency too (docs/speed.md); a big one would keep a single query waiting.
    """
    inner = shape.inner * (3 if shape.gated else 2)
    weights = len(shape.layers) * shape.width * (4 * shape.width + inner)
    wanted = 1 if weights < 40e6 else 2 if weights < 150e6 else 4
    return min(wanted, cores())


class OpenVINORuntime:
    """A compiled graph and the requests that run it."""

    name = RuntimeName.OPENVINO
    budget_tokens = BUDGET_TOKENS

    def __init__(self, core: ov.Core, graph: ov.Model, precision: Precision, *, threads: int = 1) -> None:
        self.precision = precision
        self.streams = max(1, cores() // threads)
        compiled = _compile(core, graph, precision, self.streams, threads)
        requests = [compiled.create_infer_request() for _ in range(self.streams)]
        _warm(requests)
        self._free: LifoQueue[Any] = LifoQueue()
        for request in requests:
            self._free.put(request)

    def run(self, batch: TokenBatch) -> Vectors:
        """(B, dimension) float32, in the batch's order.  Callers beyond `streams` wait for their turn."""
        longest = max(batch.lengths)
        small = longest * len(batch.lengths) <= SMALL_TOKENS
        inputs = _inputs(batch.padded(rounded(longest) if small else longest), batch.lengths, batch.skip)
        request = self._free.get()
        try:
            return np.array(request.infer(inputs, share_inputs=True)[0], dtype=np.float32)
        finally:
            self._free.put(request)


def _compile(core: ov.Core, graph: ov.Model, precision: Precision, streams: int, threads: int) -> ov.CompiledModel:
    settings = {
        "INFERENCE_PRECISION_HINT": floats(precision),
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * threads,
        "ENABLE_CPU_PINNING": False,  # other processes use the machine too
    }
    try:
        return core.compile_model(graph, "CPU", settings | {"SNIPPETS_MODE": "DISABLE"})
    except RuntimeError:  # a version without this switch; it is worth 5 to 15 % on short texts
        return core.compile_model(graph, "CPU", settings)


def floats(precision: Precision) -> Precision:
    """How floating point is computed: what an int8 graph leaves in it is bfloat16 where that is native."""
    if precision is Precision.INT8:
        return Precision.BF16 if has_bf16() else Precision.F32
    return precision


def _inputs(ids: NDArray[np.int32], lengths: tuple[int, ...], skip: int) -> list[NDArray[np.int32]]:
    return [ids, np.array(lengths, np.int32), np.array(skip, np.int32)]


def _warm(requests: list[Any]) -> None:
    """Meet the usual lengths of queries now: the first text of a shape takes several times as long as the next."""
    for length in WARM_LENGTHS:
        for request in requests:  # together, so that each lands on a stream of its own
            request.start_async(_inputs(np.zeros((1, length), np.int32), (length,), 0))
        for request in requests:
            request.wait()
