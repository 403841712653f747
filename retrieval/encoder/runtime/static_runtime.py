"""Static embeddings: the average of a vector for each token, without attention.

Folders of sentence-transformers' StaticEmbedding and of model2vec.  With model2vec's optional tensors, token t has the
vector `embeddings[mapping[t]] * weights[t]`.  The runtime needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from retrieval.encoder.checkpoint.model_folder import STATIC_TABLES, EncoderFolder, weight_files
from retrieval.encoder.runtime.base import Precision, RuntimeName
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.errors import UnsupportedCheckpoint
from retrieval.types import Vectors

DIMENSIONS = {**dict.fromkeys(STATIC_TABLES, 2), "weights": 1, "mapping": 1}  # of each tensor
BUDGET_TOKENS = 4_096  # of one batch: some megabytes of vectors


class StaticRuntime:
    """A table of token vectors, in the number format of the folder; sums are float32."""

    name = RuntimeName.NUMPY
    precision = Precision.F32
    budget_tokens = BUDGET_TOKENS
    streams = 1

    def __init__(self, folder: EncoderFolder) -> None:
        tensors = _read_tensors(folder.transformer)
        self._table = next(tensors[name] for name in STATIC_TABLES if name in tensors)  # (rows, width)
        self._weights = tensors.get("weights")  # (tokens,)
        mapping = tensors.get("mapping")
        self._rows = None if mapping is None else mapping.astype(np.int64)  # (tokens,): the row of each token
        self._head = folder.head
        per_token = [len(each) for each in (self._weights, self._rows) if each is not None]
        self.vocabulary = min(per_token, default=len(self._table))  # ids from 0 that have a vector
        if self._rows is not None and not ((self._rows >= 0) & (self._rows < len(self._table))).all():
            raise UnsupportedCheckpoint(f"{folder.transformer}: `mapping` leads out of the table; fetch it again")

    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:  # noqa: ARG002
        """Encode a batch: (B, dimension) float32, in the batch's order."""
        means = np.stack([states.mean(axis=0) for states in self._split(batch)])[:, : self._head.truncate]
        if not self._head.normalize:
            return means
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        return np.asarray(means / np.maximum(lengths, np.finfo(np.float32).tiny))

    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return the vectors of the t tokens of each text: (t, width) each."""
        return self._split(TokenBatch.of(texts))

    def background(self) -> StaticRuntime:
        """Return this runtime, which uses one core."""
        return self

    def _split(self, batch: TokenBatch) -> list[NDArray[np.float32]]:
        rows = batch.ids if self._rows is None else self._rows[batch.ids]
        vectors: Vectors = self._table[rows].astype(np.float32, copy=False)
        if self._weights is not None:
            vectors = vectors * self._weights[batch.ids, np.newaxis].astype(np.float32)
        return np.split(vectors, [*accumulate(batch.lengths)][:-1])


def _read_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    """Read and check the tensors.  Raises UnsupportedCheckpoint."""
    tensors: dict[str, NDArray[Any]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, "numpy") as file:
                tensors |= {name: _read(path, file, name) for name in DIMENSIONS.keys() & set(file.keys())}
        except (SafetensorError, OSError, TypeError) as error:
            raise UnsupportedCheckpoint(f"{path}: unreadable safetensors ({error}); fetch the folder again") from error
    for name, tensor in tensors.items():
        if tensor.ndim != DIMENSIONS[name] or tensor.size == 0 or not np.isfinite(tensor).all():
            raise UnsupportedCheckpoint(
                f"{folder}: {name} has the shape {tensor.shape}, or values that are not finite; fetch the folder again"
            )
    return tensors


def _read(path: Path, file: Any, name: str) -> NDArray[Any]:
    """Read a tensor; only torch can read bfloat16."""
    if file.get_slice(name).get_dtype() != "BF16":
        return np.asarray(file.get_tensor(name))
    with safe_open(path, "pt") as by_torch:
        return np.asarray(by_torch.get_tensor(name).float().numpy())
