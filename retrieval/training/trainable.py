"""The encoder with gradients: token ids to vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.encoder.checkpoint.weights import load_head, load_transformer
from retrieval.encoder.model.attention import SelfAttention
from retrieval.encoder.model.packing import PackedLayout
from retrieval.encoder.model.transformer import Embeddings, FeedForward
from retrieval.encoder.runtime.torch_runtime import torch_device
from retrieval.errors import EncoderError
from retrieval.types import Vectors

Weights: TypeAlias = dict[str, Tensor]  # by name
TokenIds: TypeAlias = Sequence[int]  # of a text, special tokens included

DROPOUT_PARTS = (Embeddings, SelfAttention, FeedForward)  # each part's output is dropped out, as in BERT


class TrainableEncoder(nn.Module):
    """The attention stack and the head of an encoder folder, in float32."""

    def __init__(self, folder: EncoderFolder, *, dropout: float = 0.1, device: str = "cpu") -> None:
        """Load the folder.  Raises EncoderError for an unknown architecture."""
        super().__init__()
        if folder.architecture is None:
            raise EncoderError(
                f"{folder.path}: only encoders of a known architecture can be trained (BERT, RoBERTa, MPNet, "
                "DistilBERT, ModernBERT and Attendex's own); choose another --base"
            )
        self.folder = folder
        self.dropout = dropout
        self.device = torch_device(device)
        self.tokenizer = TextTokenizer(folder)
        self.transformer = load_transformer(folder)
        self.head = load_head(folder)
        for module in self.transformer.modules():
            if isinstance(module, DROPOUT_PARTS):
                module.register_forward_hook(self._drop_out)
        self.requires_grad_(True).to(self.device)

    def _drop_out(self, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return F.dropout(output, self.dropout, self.training) if self.training and self.dropout else output

    def query_ids(self, texts: Sequence[str], max_tokens: int) -> list[TokenIds]:
        """Tokenise queries with their prompt, cut at `max_tokens`."""
        return self._ids(self.folder.query_prompt, texts, max_tokens)

    def passage_ids(self, texts: Sequence[str], max_tokens: int) -> list[TokenIds]:
        """Tokenise passages with their prompt, cut at `max_tokens`."""
        return self._ids(self.folder.passage_prompt, texts, max_tokens)

    def _ids(self, prompt: str, texts: Sequence[str], max_tokens: int) -> list[TokenIds]:
        """Tokenise; a longer text keeps its last token, which is special."""
        found = self.tokenizer.ids([prompt + text for text in texts])
        return [ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]] for ids in found]

    def states(self, texts: Sequence[TokenIds]) -> tuple[Tensor, PackedLayout]:
        """Run the stack over texts, none empty: (T, width), and their layout."""
        layout = PackedLayout(list(map(len, texts)), self.device)
        ids = torch.tensor([token for text in texts for token in text], device=self.device)
        return self.transformer(ids, layout), layout

    def forward(self, texts: Sequence[TokenIds]) -> Tensor:
        """Encode texts, none empty: (n, dimension), in their order.

        A prompt takes part in pooling unless the folder says otherwise.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # equal lengths lie together, for attention
        hidden, layout = self.states([texts[i] for i in order])
        vectors = self.head(hidden.float(), layout)
        return vectors[torch.tensor(order, device=self.device).argsort()]  # type: ignore[no-any-return]

    def weights(self) -> Weights:
        """Return a copy of all weights."""
        return {name: tensor.detach().clone() for name, tensor in self.state_dict().items()}

    @torch.inference_mode()
    def encode(self, texts: Sequence[TokenIds], *, bf16: bool = False, budget_tokens: int = 4_096) -> Vectors:
        """Encode texts, none empty, without gradients and dropout: (n, dimension) float32."""
        self.eval()
        out = np.zeros((len(texts), self.folder.dimension), dtype=np.float32)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            for batch in micro_batches(texts, budget_tokens):
                out[batch] = self([texts[i] for i in batch]).float().cpu().numpy()
        return out


def micro_batches(texts: Sequence[TokenIds], budget_tokens: int) -> Iterator[list[int]]:
    """Yield the positions of texts in batches of `budget_tokens`, by length.

    Texts lie end to end without padding, so the sum of their lengths counts.
    """
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    batch: list[int] = []
    tokens = 0
    for i in order:
        if batch and tokens + len(texts[i]) > budget_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(i)
        tokens += len(texts[i])
    if batch:
        yield batch
