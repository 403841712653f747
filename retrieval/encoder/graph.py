"""The whole encoder as one torch module over padded batches: what is exported."""

from __future__ import annotations

from torch import Tensor, nn

from retrieval.encoder.folder import EncoderFolder
from retrieval.encoder.layout import Padded
from retrieval.encoder.weights import load_head, load_transformer


class EncoderGraph(nn.Module):
    """Token ids to finished vectors."""

    def __init__(self, folder: EncoderFolder) -> None:
        super().__init__()
        self.transformer = load_transformer(folder)
        self.head = load_head(folder)

    def forward(self, ids: Tensor, sizes: Tensor, skip: Tensor) -> Tensor:
        """ids: (B, L) padded on the right, sizes: (B,), skip: () prompt tokens that pooling leaves out."""
        layout = Padded(ids, sizes, skip=skip)
        return self.head(self.transformer(ids, layout), layout)  # type: ignore[no-any-return]


class OpenGraph(EncoderGraph):
    """The same, which also shows the token states before pooling, for those who explain."""

    def forward(self, ids: Tensor, sizes: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """As above → vectors (B, dimension) and states (B, L, width)."""
        layout = Padded(ids, sizes, skip=skip)
        states = self.transformer(ids, layout)
        return self.head(states, layout), states
