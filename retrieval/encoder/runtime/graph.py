"""The whole encoder as one torch module over rows of tokens: what is exported."""

from __future__ import annotations

from torch import Tensor, nn

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.weights import load_head, load_transformer
from retrieval.encoder.model.attention import RowsAttention
from retrieval.encoder.model.packing import Rows
from retrieval.encoder.model.transformer import Transformer


def for_rows(transformer: Transformer) -> Transformer:
    """The same stack, changed to run over rows."""
    for layer in transformer.layers:
        layer.attention = RowsAttention(layer.attention)  # type: ignore[arg-type]
    return transformer


class EncoderGraph(nn.Module):
    """Token ids to finished vectors."""

    def __init__(self, folder: EncoderFolder) -> None:
        super().__init__()
        self.transformer = for_rows(load_transformer(folder))
        self.head = load_head(folder)

    def forward(self, ids: Tensor, texts: Tensor, positions: Tensor, spans: Tensor, skip: Tensor) -> Tensor:
        """ids, texts, positions: (B, L), spans: (S, 2), as `Rows` has them; skip: () prompt tokens not to be pooled."""
        layout = Rows(texts, positions, spans, skip=skip)
        return self.head(self.transformer(ids, layout), layout)  # type: ignore[no-any-return]


class OpenGraph(EncoderGraph):
    """The same, which also shows the token states before pooling, for those who explain."""

    def forward(  # type: ignore[override]
        self, ids: Tensor, texts: Tensor, positions: Tensor, spans: Tensor, skip: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As above → vectors (S, dimension) and states (B, L, width)."""
        layout = Rows(texts, positions, spans, skip=skip)
        states = self.transformer(ids, layout)
        return self.head(states, layout), states
