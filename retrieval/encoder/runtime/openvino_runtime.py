"""The encoder on OpenVINO, in float32, bfloat16 or int8.

The runtime compiles the graph in three forms:

- The *low-latency* form runs few tokens.  Several threads work on a request, each on a part of the weights.  A process
  with one core for a text has no such form.
- The *throughput* form runs many tokens.  It has a request for each core (for each group of cores if the encoder is
  big), each on threads of its own, so that no thread waits at a barrier.  It also runs few tokens when the caller
  wants to save processor time for other work.
- The *unmasked* form runs many tokens in texts of one length, as truncated texts are, without the attention mask.

The forms that the process needs at once are compiled in parallel at the start, the others on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.model.model_shape import Architecture
from retrieval.encoder.runtime.base import Precision, Runtime, RuntimeName, has_bf16
from retrieval.encoder.runtime.conversion import remove_mask
from retrieval.encoder.runtime.token_batches import SIMD_TOKENS, TokenBatch, TokenRows, pack_rows, round_up, row_length
from retrieval.types import Vectors
from retrieval.util.cores import cores, cores_alone

if TYPE_CHECKING:
    import openvino as ov

BUDGET_TOKENS = 2_048  # of one batch; a larger batch is not faster and leaves the processor's caches
SMALL_TOKENS = 1_024  # batches up to this size run on several threads, in few shapes
ROW_TOKENS = 128  # most tokens of a row that short texts share
SHAPE_STEP = SIMD_TOKENS  # of shared rows' lengths and numbers of texts: each shape takes a megabyte for good
BACKGROUND_TOKENS = 256  # of one batch in the background: about ten milliseconds of one core
LONG_STATES_TOKENS = 64  # token states of texts above this length use steps of LONG_STATES_STEP, for fewer shapes
LONG_STATES_STEP = 32


def import_openvino() -> None:
    """Import the library ahead of its first use: that takes half a second."""
    import openvino  # noqa: F401


def round_length(length: int) -> int:
    """Round a text's length up, so that a compiled shape serves later queries."""
    return round_up(length, 4 if length <= 32 else 8 if length <= 128 else 16)


def pack_small_batch(batch: TokenBatch) -> TokenRows:
    """Pack a small batch side by side into few rows, in one of few shapes."""
    total, longest = len(batch.ids), max(batch.lengths)
    if len(batch.lengths) == 1:
        return batch.rows(round_length(total))
    count = -(-total // ROW_TOKENS)
    length = round_up(max(longest, -(-total // count)), SHAPE_STEP)
    while pack_rows(batch.lengths, length)[0] > count:
        length += SHAPE_STEP
    return batch.rows(length, shared=True).with_spans(SHAPE_STEP)


def threads_per_request(shape: Architecture) -> int:
    """Return the threads of one request of many tokens."""
    # One thread is the most efficient, but with a big encoder the caller would wait too long.
    inner = shape.inner * (3 if shape.gated else 2)
    weights = len(shape.layers) * shape.width * (4 * shape.width + inner)
    wanted = 1 if weights < 40e6 else 2 if weights < 150e6 else 4
    return min(wanted, cores())


class OpenVINORuntime:
    """The encoder's graph, compiled in the three forms."""

    name = RuntimeName.OPENVINO
    budget_tokens = BUDGET_TOKENS

    def __init__(
        self, core: ov.Core, graph: ov.Model, precision: Precision, shape: Architecture, *, bulk: bool = False
    ) -> None:
        self.precision = precision
        self._core = core
        self._graph = graph
        self._bulk = bulk
        threads = threads_per_request(shape)
        self._needs_mask = shape.relative_buckets > 0 or any(layer.window is not None for layer in shape.layers)
        self.streams = max(1, cores() // threads)
        several = min(2 * threads, cores_alone())
        self._throughput = _CompiledOnce(lambda: InferRequestPool(core, graph, precision, threads))
        self._low_latency = self._throughput
        if several > threads:
            self._low_latency = _CompiledOnce(lambda: InferRequestPool(core, graph, precision, several))
        self._unmasked = _CompiledOnce(lambda: InferRequestPool(core, remove_mask(graph), precision, threads))
        self._compile_first()

    def _compile_first(self) -> None:
        """Compile the forms that the process needs first; RuntimeError if it cannot."""
        bulk = [self._throughput] if self._needs_mask else [self._throughput, self._unmasked]
        first = bulk if self._bulk else [self._low_latency, self._throughput]
        with ThreadPoolExecutor(len(first)) as pool:
            list(pool.map(_CompiledOnce.requests, first))

    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:
        """Encode a batch as `Runtime.run` does.  A caller waits for a free request."""
        if len(batch.ids) <= SMALL_TOKENS and not self._bulk:
            form = self._throughput if save_cpu else self._low_latency
            return form.requests().infer(pack_small_batch(batch))[: len(batch.lengths)]
        length = row_length(max(batch.lengths))
        full = len(batch.ids) == length * len(batch.lengths) and not self._needs_mask
        return (self._unmasked if full else self._throughput).requests().infer(batch.rows(length))

    def background(self) -> Runtime:
        """Return a runtime with one request on the caller's thread and priority."""
        one = _CompiledOnce(lambda: InferRequestPool(self._core, self._graph, self.precision, 1, max_requests=1))
        return _BackgroundRuntime(self.precision, one)


class _CompiledOnce:
    """A graph compiled on first use; other compilations do not block it."""

    def __init__(self, compile_graph: Callable[[], InferRequestPool]) -> None:
        self._compile_graph = compile_graph
        self._lock = Lock()
        self._requests: InferRequestPool | None = None

    def requests(self) -> InferRequestPool:
        with self._lock:
            if self._requests is None:
                self._requests = self._compile_graph()
            return self._requests


class _BackgroundRuntime:
    """A graph for work whose latency does not matter."""

    name = RuntimeName.OPENVINO
    budget_tokens = BACKGROUND_TOKENS
    streams = 1

    def __init__(self, precision: Precision, form: _CompiledOnce) -> None:
        self.precision = precision
        self._form = form

    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:  # noqa: ARG002
        return self._form.requests().infer(batch.rows(row_length(max(batch.lengths))))

    def background(self) -> Runtime:
        return self


class GraphInputs(Protocol):
    """The inputs of a graph."""

    def inputs(self) -> list[NDArray[np.int32]]: ...  # in their order


class InferRequestPool:
    """A compiled graph and its inference requests.  Safe to call from any thread.

    The number of requests is that of the cores divided by `threads`, at most `max_requests`.
    """

    def __init__(
        self, core: ov.Core, graph: ov.Model, precision: Precision, threads: int, *, max_requests: int | None = None
    ) -> None:
        count = max(1, min(max_requests or cores(), cores() // threads))
        settings = {
            "INFERENCE_PRECISION_HINT": float_precision(precision),
            "NUM_STREAMS": count,
            "INFERENCE_NUM_THREADS": count * threads,
            "ENABLE_CPU_PINNING": False,  # other processes use the machine too
        }
        compiled = core.compile_model(graph, "CPU", settings)
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(count):
            self._free.put(compiled.create_infer_request())

    def infer(self, rows: GraphInputs, output: int = 0) -> NDArray[np.float32]:
        """Return an output of the graph, (S, …).  Waits for a free request."""
        request = self._free.get()
        try:
            outputs = request.infer(rows.inputs(), share_inputs=True, share_outputs=True)
            return np.array(outputs[output], dtype=np.float32)
        finally:
            self._free.put(request)


def float_precision(precision: Precision) -> Precision:
    """Return the precision of floats; in int8 graphs bfloat16 if it is native."""
    if precision is Precision.INT8:
        return Precision.BF16 if has_bf16() else Precision.F32
    return precision


class OpenVINOTokenStates:
    """Token states of single texts on all cores.  Several threads take turns."""

    def __init__(self, core: ov.Core, graph: ov.Model, precision: Precision) -> None:
        self._requests = InferRequestPool(core, graph, precision, cores())

    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return (t, width) for the t token ids of each text; no text is empty."""
        return [self._states(ids) for ids in texts]

    def _states(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return self._requests.infer(_single_row(ids))[0, : len(ids)]


class OpenVINOAttention:
    """Attention weights of single texts in float32.  Several threads take turns."""

    def __init__(self, core: ov.Core, graph: ov.Model) -> None:
        self._requests = InferRequestPool(core, graph, Precision.F32, cores())

    def attention(self, ids: Sequence[int], layer: int) -> NDArray[np.float32]:
        """Return one layer's weights, (H, t, t): row i has those of token i, sum 1."""
        return self._requests.infer(_single_row(ids), layer)[0, :, : len(ids), : len(ids)]


def _single_row(ids: Sequence[int]) -> TokenRows:
    size = len(ids)
    length = round_length(size) if size <= LONG_STATES_TOKENS else round_up(size, LONG_STATES_STEP)
    return TokenBatch.of([ids]).rows(length)
