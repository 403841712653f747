"""The encoder on OpenVINO: the same module as a compiled graph, in float32, bfloat16 or int8.

The graph is compiled in forms.  One answers whoever waits for a few tokens: a request has several threads, so that
each reads a part of the weights.  The other is for many tokens: as many requests at a time as there are cores (or
groups of cores, for a big encoder), each on threads of its own, so that nothing waits at barriers; it also answers a
few tokens where that is to be thrifty, since others need the cores.  Where all texts of a batch of many tokens have one
length, as cut ones do, a third form goes without the attention mask.  What a process needs at once is compiled when
it starts, side by side; the rest when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.encoder.model.model_shape import Architecture
from retrieval.encoder.runtime.base import Precision, Runtime, RuntimeName, has_bf16
from retrieval.encoder.runtime.conversion import unmasked
from retrieval.encoder.token_batches import WHOLE_TOKENS, TokenBatch, TokenRows, rounded_up, row_length, shared_rows
from retrieval.types import Vectors
from retrieval.util.cores import cores

if TYPE_CHECKING:
    import openvino as ov

BUDGET_TOKENS = 2_048  # of one batch; more gains nothing and leaves the caches
SMALL_TOKENS = 1_024  # batches up to here are answered by several threads, in shapes that repeat
ROW_TOKENS = 128  # of rows that short texts share, at most
SHARED_STEP = WHOLE_TOKENS  # of their lengths, and of how many texts they hold: each shape takes a megabyte for good
BACKGROUND_TOKENS = 256  # of one batch in the background: some ten milliseconds of one core


def rounded(length: int) -> int:
    """A length that repeats, little above `length`: what was compiled for a shape serves the next query."""
    return rounded_up(length, 4 if length <= 32 else 8 if length <= 128 else 16)


def small_rows(batch: TokenBatch) -> TokenRows:
    """The batch in one of few shapes: in as few rows of a rounded length as hold its texts side by side."""
    total, longest = len(batch.ids), max(batch.lengths)
    if len(batch.lengths) == 1:
        return batch.rows(rounded(total))
    count = -(-total // ROW_TOKENS)
    length = rounded_up(max(longest, -(-total // count)), SHARED_STEP)
    while shared_rows(batch.lengths, length)[0] > count:
        length += SHARED_STEP
    return batch.rows(length, shared=True).with_spans(SHARED_STEP)


def threads_each(shape: Architecture) -> int:
    """Threads of one request of many tokens: one is best, but a big encoder would keep whoever waits too long."""
    inner = shape.inner * (3 if shape.gated else 2)
    weights = len(shape.layers) * shape.width * (4 * shape.width + inner)
    wanted = 1 if weights < 40e6 else 2 if weights < 150e6 else 4
    return min(wanted, cores())


class OpenVINORuntime:
    """A graph and the requests that run it."""

    name = RuntimeName.OPENVINO
    budget_tokens = BUDGET_TOKENS

    def __init__(
        self, core: ov.Core, graph: ov.Model, precision: Precision, shape: Architecture, *, bulk: bool = False
    ) -> None:
        self.precision = precision
        self._core = core
        self._graph = graph
        self._bulk = bulk
        self._threads = threads_each(shape)
        self._needs_mask = shape.relative_buckets > 0 or any(kind.window is not None for kind in shape.layers)
        self.streams = max(1, cores() // self._threads)
        self._soon = _Form(lambda: Requests(core, graph, precision, min(2 * self._threads, cores())))
        self._many = _Form(lambda: Requests(core, graph, precision, self._threads))
        self._full = _Form(lambda: Requests(core, unmasked(graph), precision, self._threads))
        self._compile_first()

    def _compile_first(self) -> None:
        """What will be needed for sure.  Raises RuntimeError where the graph cannot be run here."""
        bulk = [self._many] if self._needs_mask else [self._many, self._full]
        first = bulk if self._bulk else [self._soon, self._many]
        with ThreadPoolExecutor(len(first)) as pool:
            list(pool.map(_Form.requests, first))

    def run(self, batch: TokenBatch, *, thrifty: bool = False) -> Vectors:
        """(B, dimension) float32, in the batch's order.  Callers beyond the requests that there are take turns."""
        if len(batch.ids) <= SMALL_TOKENS and not self._bulk:
            form = self._many if thrifty else self._soon
            return form.requests().answer(small_rows(batch))[: len(batch.lengths)]
        length = row_length(max(batch.lengths))
        full = len(batch.ids) == length * len(batch.lengths) and not self._needs_mask
        return (self._full if full else self._many).requests().answer(batch.rows(length))

    def background(self) -> Runtime:
        """One request on one thread, that of the caller, whose priority it therefore has."""
        one = _Form(lambda: Requests(self._core, self._graph, self.precision, 1, most=1))
        return _Background(self.precision, one)


class _Form:
    """A graph that is compiled when it is first asked for, once; asking for another does not wait for it."""

    def __init__(self, compiled: Callable[[], Requests]) -> None:
        self._compiled = compiled
        self._compiling = Lock()
        self._requests: Requests | None = None

    def requests(self) -> Requests:
        """The compiled graph."""
        with self._compiling:
            if self._requests is None:
                self._requests = self._compiled()
            return self._requests


class _Background:
    """A graph that nobody waits for."""

    name = RuntimeName.OPENVINO
    budget_tokens = BACKGROUND_TOKENS
    streams = 1

    def __init__(self, precision: Precision, form: _Form) -> None:
        self.precision = precision
        self._form = form

    def run(self, batch: TokenBatch, *, thrifty: bool = False) -> Vectors:  # noqa: ARG002
        """(B, dimension) float32, in the batch's order."""
        return self._form.requests().answer(batch.rows(row_length(max(batch.lengths))))

    def background(self) -> Runtime:
        """Itself."""
        return self


class Requests:
    """A compiled graph with as many requests, up to `most`, as the cores allow at `threads` each.

    Safe to call from any thread.
    """

    def __init__(
        self, core: ov.Core, graph: ov.Model, precision: Precision, threads: int, *, most: int | None = None
    ) -> None:
        count = max(1, min(most or cores(), cores() // threads))
        settings = {
            "INFERENCE_PRECISION_HINT": floats(precision),
            "NUM_STREAMS": count,
            "INFERENCE_NUM_THREADS": count * threads,
            "ENABLE_CPU_PINNING": False,  # other processes use the machine too
        }
        compiled = core.compile_model(graph, "CPU", settings)
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(count):
            self._free.put(compiled.create_infer_request())

    def answer(self, rows: TokenRows) -> Vectors:
        """The graph's output, (S, …) float32.  Whoever finds no request free waits."""
        request = self._free.get()
        try:
            return np.array(request.infer(rows.inputs(), share_inputs=True)[0], dtype=np.float32)
        finally:
            self._free.put(request)


def floats(precision: Precision) -> Precision:
    """How floating point is computed: what an int8 graph leaves in it is bfloat16 where that is native."""
    if precision is Precision.INT8:
        return Precision.BF16 if has_bf16() else Precision.F32
    return precision
