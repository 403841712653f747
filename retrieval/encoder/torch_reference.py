"""A look inside the reference: states of tokens and attention weights, by our module in torch and float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.weights import load_transformer
from retrieval.encoder.model.packing import Packed


class Reference:
    """The attention stack of one encoder.  Safe to call from several threads."""

    def __init__(self, folder: EncoderFolder) -> None:
        self._transformer = load_transformer(folder)

    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """(t, width) of each text's t token ids, all run at once; each text has at least one token."""
        hidden = self._run(texts, None)
        return [each.numpy() for each in torch.split(hidden, list(map(len, texts)))]

    def attention(self, ids: Sequence[int], layer: int) -> NDArray[np.float32]:
        """One layer's attention weights (H, t, t): row i says where token i looks, and sums to 1."""
        weights: list[list[torch.Tensor]] = []
        self._run([ids], weights)
        return weights[layer][0].numpy()

    @torch.inference_mode()
    def _run(self, texts: Sequence[Sequence[int]], weights: list[list[torch.Tensor]] | None) -> torch.Tensor:
        ids = torch.tensor([token for text in texts for token in text])
        return self._transformer(ids, Packed(list(map(len, texts))), weights=weights)  # type: ignore[no-any-return]
