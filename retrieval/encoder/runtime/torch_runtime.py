"""Runtimes on torch: our model, and transformers' own models.

`TorchRuntime` is the reference for all other runtimes.  `AutoModelRuntime` runs the architectures that
`checkpoint/architectures.py` does not list.  `TorchTokenStates` shows token states and attention weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from retrieval.encoder.checkpoint.foreign_model import load_foreign_model
from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.weights import load_head, load_transformer
from retrieval.encoder.model.packing import PackedLayout, RowLayout
from retrieval.encoder.runtime.base import Precision, RuntimeName
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.types import Vectors

# The encoder halves of encoder-decoder families.  AutoModel would make a decoder that such a folder need not have.
ENCODER_CLASSES = {
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "longt5": "LongT5EncoderModel",
    "switch_transformers": "SwitchTransformersEncoderModel",
    "t5gemma": "T5GemmaEncoderModel",
}
CPU_BUDGET_TOKENS = 4_096  # a larger batch is not faster and leaves the processor's caches
CUDA_BUDGET_TOKENS = 65_536


def torch_device(name: str) -> torch.device:
    """Return the device.  On CUDA, switch off cuDNN's attention for the whole process.

    cuDNN plans each shape that is new to a thread for 50 ms, and batches come in many shapes from many threads.  With
    it an H200 encoded 1,400 short texts a second in bfloat16, without it 45,000, with equally exact vectors.
    """
    device = torch.device(name)
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
    return device


class TorchRuntime:
    """Our model on one device, in float32 or bfloat16."""

    name = RuntimeName.TORCH
    streams = 1

    def __init__(
        self, folder: EncoderFolder, head: nn.Module | None = None, *, precision: Precision, device: str = "cpu"
    ) -> None:
        """Load the folder; `head` takes the place of its pooling and projections."""
        self.precision = precision
        self.device = torch_device(device)
        self.budget_tokens = CUDA_BUDGET_TOKENS if self.device.type == "cuda" else CPU_BUDGET_TOKENS
        dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
        self._transformer = load_transformer(folder).to(self.device, dtype)
        self._head = (head or load_head(folder)).to(self.device)  # pooling and projections stay in float32

    @torch.inference_mode()
    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:  # noqa: ARG002
        """Encode a batch: (B, dimension) float32, in the batch's order."""
        layout = PackedLayout(batch.lengths, self.device, skip=batch.skip)
        hidden = self._transformer(torch.from_numpy(batch.ids).to(self.device, torch.long), layout)
        return self._head(hidden.float(), layout).cpu().numpy()  # type: ignore[no-any-return]

    def background(self) -> TorchRuntime:
        """Return this runtime: torch divides the cores among its callers."""
        return self


class AutoModelRuntime:
    """An architecture that only transformers knows: padded batches through AutoModel."""

    name = RuntimeName.TORCH
    streams = 1
    budget_tokens = CPU_BUDGET_TOKENS

    def __init__(self, folder: EncoderFolder, *, precision: Precision = Precision.F32, device: str = "cpu") -> None:
        self.precision = precision
        self.device = torch_device(device)
        dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
        self._model = _load_auto_model(folder).to(self.device, dtype).eval()
        self._head = load_head(folder).to(self.device)

    @torch.inference_mode()
    def run(self, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:  # noqa: ARG002
        """Encode a batch: (B, dimension) float32, in the batch's order."""
        inputs = batch.rows(max(batch.lengths)).inputs()
        ids, texts, positions, spans, _ = (torch.from_numpy(array).to(self.device, torch.long) for array in inputs)
        layout = RowLayout(texts, positions, spans, skip=batch.skip)
        hidden = self._model(input_ids=ids, attention_mask=(texts >= 0).long()).last_hidden_state
        return self._head(hidden.float(), layout).cpu().numpy()  # type: ignore[no-any-return]

    def background(self) -> AutoModelRuntime:
        """Return this runtime: torch divides the cores among its callers."""
        return self


def _load_auto_model(folder: EncoderFolder) -> Any:
    """Load the model, or only its encoder.  Raises UnsupportedCheckpoint."""
    import transformers

    half = ENCODER_CLASSES.get(str(folder.config.get("model_type")))
    changes = {"is_encoder_decoder": False} if half else {}
    model_class = getattr(transformers, half or "AutoModel")
    model = load_foreign_model(folder.transformer, model_class, unused=("pooler.",), **changes)
    return model.get_encoder() if hasattr(model, "decoder") else model


class TorchTokenStates:
    """Token states and attention in float32.  Safe to call from several threads."""

    def __init__(self, folder: EncoderFolder) -> None:
        self._transformer = load_transformer(folder)

    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return (t, width) for the t ids of each text, in one batch; no text is empty."""
        hidden = self._run(texts, None)
        return [states.numpy() for states in torch.split(hidden, list(map(len, texts)))]

    def attention(self, ids: Sequence[int], layer: int) -> NDArray[np.float32]:
        """Return one layer's weights, (H, t, t): row i has those of token i, sum 1."""
        weights: list[list[torch.Tensor]] = []
        self._run([ids], weights)
        return weights[layer][0].numpy()

    @torch.inference_mode()
    def _run(self, texts: Sequence[Sequence[int]], weights: list[list[torch.Tensor]] | None) -> torch.Tensor:
        ids = torch.tensor([token for text in texts for token in text])
        return self._transformer(ids, PackedLayout(list(map(len, texts))), weights=weights)  # type: ignore[no-any-return]
