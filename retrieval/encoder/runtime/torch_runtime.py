"""The reference runtime: our module in torch, over packed sequences; on a CUDA device in bfloat16."""

from __future__ import annotations

import torch

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.weights import load_head, load_transformer
from retrieval.encoder.model.packing import Packed
from retrieval.encoder.runtime.base import Precision, RuntimeName
from retrieval.encoder.token_batches import TokenBatch
from retrieval.types import Vectors

CPU_BUDGET_TOKENS = 4_096  # more gains nothing and leaves the caches
CUDA_BUDGET_TOKENS = 65_536


def torch_device(name: str) -> torch.device:
    """The device.  On CUDA, cuDNN's attention is switched off, for the whole process.

    It takes 50 ms to plan each shape that is new to a thread, and batches come in many shapes from many threads: with
    it an H200 encoded 1,400 short texts a second in bfloat16, without it 45,000, with vectors as exact.
    """
    device = torch.device(name)
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
    return device


class TorchRuntime:
    """Runs the packed module on one device."""

    name = RuntimeName.TORCH
    streams = 1

    def __init__(self, folder: EncoderFolder, *, precision: Precision, device: str = "cpu") -> None:
        self.precision = precision
        self.device = torch_device(device)
        self.budget_tokens = CUDA_BUDGET_TOKENS if self.device.type == "cuda" else CPU_BUDGET_TOKENS
        dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
        self._transformer = load_transformer(folder).to(self.device, dtype)
        self._head = load_head(folder).to(self.device)  # pooling and projections stay in float32

    @torch.inference_mode()
    def run(self, batch: TokenBatch, *, thrifty: bool = False) -> Vectors:  # noqa: ARG002
        """(B, dimension) float32, in the batch's order."""
        layout = Packed(batch.lengths, self.device, skip=batch.skip)
        hidden = self._transformer(torch.from_numpy(batch.ids).to(self.device, torch.long), layout)
        return self._head(hidden.float(), layout).cpu().numpy()  # type: ignore[no-any-return]

    def background(self) -> TorchRuntime:
        """Itself: torch divides the cores among its callers."""
        return self
