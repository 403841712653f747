"""SPLADE: a weight for each token of the vocabulary (Formal et al. 2021).

The weights come from the head of a masked language model, so that a text has weights for related words too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from retrieval.encoder.model.model_shape import Architecture, SpladeShape
from retrieval.encoder.model.packing import Layout
from retrieval.encoder.model.transformer import ACTIVATIONS


class SpladeHead(nn.Module):
    """All steps from hidden states to the weights of a text."""

    def __init__(self, encoder: Architecture, shape: SpladeShape) -> None:
        super().__init__()
        self.shape = shape
        self.activation = ACTIVATIONS[shape.activation]
        self.projection = nn.Linear(encoder.width, encoder.width, bias=shape.projection_biased)
        self.norm = nn.LayerNorm(encoder.width, encoder.norm_eps, bias=shape.norm_biased)
        self.output = nn.Linear(encoder.width, encoder.vocabulary)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Pool the weights of hidden states of either layout: → (B, vocabulary), float32."""
        scores = self.output(self.norm(self.activation(self.projection(x.float()))))
        if self.shape.pooling == "sum":
            return layout.sum(self._weights(scores))
        return self._weights(layout.max(scores))  # the weight grows with the score

    def _weights(self, scores: Tensor) -> Tensor:
        weights = torch.log1p(torch.relu(scores))
        return torch.log1p(weights) if self.shape.log_twice else weights
