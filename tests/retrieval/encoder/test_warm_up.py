"""The usual shapes run before the first request, as far as that pays."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.encoder.runtime.base import Precision, Runtime, RuntimeName
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.encoder.warm_up import LENGTHS, OTHERS, PROBED, warm_up
from retrieval.types import Vectors


class MeasuredRuntime:
    """A runtime whose first batch of a shape takes `first` seconds, and each later one a second."""

    name, precision, budget_tokens, streams = RuntimeName.OPENVINO, Precision.F32, 2048, 1

    def __init__(self, first: float) -> None:
        self.first = first
        self.seconds = 0.0
        self.shapes: list[tuple[int, int]] = []  # tokens of a text, texts

    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:  # noqa: ARG002
        shape = (batch.lengths[0], len(batch.lengths))
        self.seconds += 1.0 if shape in self.shapes else self.first
        self.shapes.append(shape)
        return np.zeros((len(batch.lengths), 2), dtype=np.float32)

    def background(self) -> Runtime:
        return self


FEW = {(length, 1) for length in LENGTHS} | {(PROBED[0], count) for count in PROBED[1]}
ALL = FEW | {(length, count) for length, counts in OTHERS for count in counts}


@pytest.mark.parametrize(("first", "shapes"), [(3.0, ALL), (1.5, ALL), (1.2, FEW), (1.0, FEW)])
def test_larger_batches_run_only_if_a_second_one_is_faster(first: float, shapes: set[tuple[int, int]]) -> None:
    runtime = MeasuredRuntime(first)
    warm_up(runtime, lambda: runtime.seconds)
    assert set(runtime.shapes) == shapes
    assert len(runtime.shapes) == len(shapes) + 1  # one shape ran twice, to compare
