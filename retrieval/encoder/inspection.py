"""What the encoder made of one text, token by token: states before pooling, and attention weights.

Always the reference path in torch and float32, whatever runtime makes the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding

from retrieval.encoder.layout import Packed
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.tokens import Tokens, TokenStates
from retrieval.encoder.weights import load_transformer


class Inspector:
    """Looks into one encoder.  Safe to call from several threads."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._folder = encoder.folder
        self._transformer = load_transformer(encoder.folder)

    def states(self, texts: Sequence[str], prompt: str = "") -> list[TokenStates]:
        """Token states of texts, all run at once; each text has at least one token."""
        encodings = [self._encoder.tokenizer.encoding(prompt + text) for text in texts]
        skip = 0 if self._folder.include_prompt else self._encoder.tokenizer.prompt_tokens(prompt)
        hidden = torch.split(self._run(encodings, None), [len(each.ids) for each in encodings])
        return [self._states(encoding, one, skip) for encoding, one in zip(encodings, hidden, strict=True)]

    def _states(self, encoding: Encoding, hidden: torch.Tensor, skip: int) -> TokenStates:
        weights = (np.arange(len(hidden)) >= skip).astype(np.int64)
        if self._folder.head.poolings == ("weightedmean",):
            weights = weights * np.arange(1, len(hidden) + 1)
        states = hidden[:, : self._folder.head.truncate].numpy()
        return TokenStates(Tokens.of(encoding), (weights / max(1, weights.sum())).astype(np.float32), states)

    def attention(self, text: str, prompt: str, layer: int) -> tuple[Tokens, NDArray[np.float32]]:
        """Tokens, and one layer's attention weights (H, t, t): row i says where token i looks, and sums to 1."""
        encoding = self._encoder.tokenizer.encoding(prompt + text)
        weights: list[list[torch.Tensor]] = []
        self._run([encoding], weights)
        return Tokens.of(encoding), weights[layer][0].numpy()

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self._transformer.layers)

    @property
    def heads(self) -> int:
        """How many heads a layer has."""
        return self._transformer.shape.heads

    @torch.inference_mode()
    def _run(self, encodings: Sequence[Encoding], weights: list[list[torch.Tensor]] | None) -> torch.Tensor:
        ids = torch.tensor([token for each in encodings for token in each.ids])
        layout = Packed([len(each.ids) for each in encodings])
        return self._transformer(ids, layout, weights=weights)  # type: ignore[no-any-return]
