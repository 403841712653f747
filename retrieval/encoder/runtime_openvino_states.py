"""Token states on OpenVINO: the converted graph once more, for one text at a time on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.runtime import Precision, cores
from retrieval.encoder.runtime_openvino import floats, rounded

if TYPE_CHECKING:
    import openvino as ov

LONG_TOKENS = 64  # texts above this length get a length that few others have
LONG_STEP = 32


class OpenVINOStates:
    """A graph compiled for who waits for one answer.  Safe to call from several threads, which take turns."""

    def __init__(self, core: ov.Core, graph: ov.Model, precision: Precision) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": floats(precision),
            "INFERENCE_NUM_THREADS": cores(),
            "ENABLE_CPU_PINNING": False,  # other processes use the machine too
        }
        self._request = core.compile_model(graph, "CPU", settings).create_infer_request()
        self._turn = Lock()

    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """(t, width) of each text's t token ids; each text has at least one token."""
        with self._turn:
            return [self._one(ids) for ids in texts]

    def _one(self, ids: Sequence[int]) -> NDArray[np.float32]:
        length = len(ids)
        padded = np.zeros((1, _padded(length)), np.int32)
        padded[0, :length] = ids
        inputs = {"ids": padded, "sizes": np.array([length], np.int32)}
        return np.array(self._request.infer(inputs, share_inputs=True)[0][0, :length], dtype=np.float32)


def _padded(length: int) -> int:
    """Few lengths, so that what was compiled for one text soon serves the next."""
    return rounded(length) if length <= LONG_TOKENS else -(-length // LONG_STEP) * LONG_STEP
