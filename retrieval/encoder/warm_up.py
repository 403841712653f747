"""Run the usual shapes of batches before the first request.

On processors with kernels for each shape, the first batch of a shape takes several times as long as the next one.  On
others it takes as long, and all shapes would only delay the start of a service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from retrieval.encoder.runtime.base import Runtime
from retrieval.encoder.runtime.token_batches import TokenBatch

Shapes: TypeAlias = tuple[int, Sequence[int]]  # tokens of a text, and numbers of such texts in a batch

LENGTHS = (*range(4, 33, 4), *range(40, 97, 8))  # tokens of single texts
PROBED: Shapes = (16, range(2, 9))  # the last of these shapes runs twice
OTHERS: tuple[Shapes, ...] = ((24, range(2, 17)), (36, (6, 9)), (60, range(2, 9)))
GAIN = 1.5  # of a second batch over the first, from which other shapes are worth it


def warm_up(runtime: Runtime, cpu_seconds: Callable[[], float] = time.process_time) -> None:
    """Run single texts and small batches; larger ones only if that is of use.

    `cpu_seconds` is a clock of processor time, which other processes do not disturb.
    """

    def run(length: int, count: int) -> float:
        before = cpu_seconds()
        runtime.run(TokenBatch.of([[0] * length] * count), save_cpu=count > 1)
        return cpu_seconds() - before

    for length in LENGTHS:
        run(length, 1)
    length, counts = PROBED
    first = [run(length, count) for count in counts][-1]
    if first < GAIN * run(length, counts[-1]):
        return
    for length, counts in OTHERS:
        for count in counts:
            run(length, count)
