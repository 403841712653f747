"""Any other encoder that transformers itself knows, run plainly: padded batches through AutoModel, float32."""

from __future__ import annotations

from typing import Any

import torch

from retrieval.encoder.checkpoint.model_folder import EncoderFolder, weight_files
from retrieval.encoder.checkpoint.weights import load_head
from retrieval.encoder.model.packing import Rows
from retrieval.encoder.runtime.base import Precision, RuntimeName
from retrieval.encoder.runtime.torch_runtime import torch_device
from retrieval.encoder.token_batches import TokenBatch
from retrieval.errors import UnsupportedCheckpoint
from retrieval.types import Vectors

BUDGET_TOKENS = 4_096


class AutoModelRuntime:
    """An architecture outside our table."""

    name = RuntimeName.TORCH
    streams = 1
    budget_tokens = BUDGET_TOKENS

    def __init__(self, folder: EncoderFolder, *, precision: Precision = Precision.F32, device: str = "cpu") -> None:
        weight_files(folder.transformer)  # refuses pickles before transformers looks at the folder
        self.precision = precision
        self.device = torch_device(device)
        dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
        self._model = _load(folder).to(self.device, dtype).eval()
        self._head = load_head(folder).to(self.device)

    @torch.inference_mode()
    def run(self, batch: TokenBatch, *, thrifty: bool = False) -> Vectors:  # noqa: ARG002
        """(B, dimension) float32, in the batch's order."""
        rows = batch.rows(max(batch.lengths)).inputs()
        ids, texts, positions, spans, _ = (torch.from_numpy(each).to(self.device, torch.long) for each in rows)
        layout = Rows(texts, positions, spans, skip=batch.skip)
        hidden = self._model(input_ids=ids, attention_mask=(texts >= 0).long()).last_hidden_state
        return self._head(hidden.float(), layout).cpu().numpy()  # type: ignore[no-any-return]

    def background(self) -> AutoModelRuntime:
        """Itself: torch divides the cores among its callers."""
        return self


def _load(folder: EncoderFolder) -> Any:
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(
            str(folder.transformer), local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        kind = folder.config.get("model_type")
        raise UnsupportedCheckpoint(
            f"{folder.transformer}: transformers cannot load model_type {kind!r}: {error}"
        ) from error
    return model.get_encoder() if model.config.is_encoder_decoder else model
