"""Token states on OpenVINO: the converted graph once more, for one text at a time on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.runtime.base import Precision
from retrieval.encoder.runtime.openvino_runtime import Requests, rounded
from retrieval.encoder.token_batches import TokenBatch
from retrieval.util.cores import cores

if TYPE_CHECKING:
    import openvino as ov

LONG_TOKENS = 64  # texts above this length get a length that few others have
LONG_STEP = 32


class OpenVINOStates:
    """A graph compiled for who waits for one answer.  Safe to call from several threads, which take turns."""

    def __init__(self, core: ov.Core, graph: ov.Model, precision: Precision) -> None:
        self._requests = Requests(core, graph, precision, cores())

    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """(t, width) of each text's t token ids; each text has at least one token."""
        return [self._one(ids) for ids in texts]

    def _one(self, ids: Sequence[int]) -> NDArray[np.float32]:
        rows = TokenBatch.of([ids]).rows(_padded(len(ids)))
        return self._requests.answer(rows)[0, : len(ids)]


def _padded(length: int) -> int:
    """Few lengths, so that what was compiled for one text soon serves the next."""
    return rounded(length) if length <= LONG_TOKENS else -(-length // LONG_STEP) * LONG_STEP
