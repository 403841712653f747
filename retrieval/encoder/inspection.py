"""What the encoder made of one text, token by token: states before pooling, and attention weights.

States are made as the vectors are, on OpenVINO in the same precision, so that they add up to them closely.  Attention
weights, and states where torch makes the vectors, come from the reference in float32, and only they import torch.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from retrieval.encoder.runtime.base import RuntimeName
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.token_states import Tokens, TokenStates

if TYPE_CHECKING:
    from retrieval.encoder.torch_reference import Reference


class _States(Protocol):
    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """(t, width) of each text's t token ids; each text has at least one token."""
        ...


class Inspector:
    """Looks into one encoder.  Safe to call from several threads.  What it looks with is loaded on first use."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        assert encoder.folder.architecture is not None, "the caller asks can_inspect"
        self._encoder = encoder
        self._folder = encoder.folder
        self._shape = encoder.folder.architecture
        self._loading = threading.RLock()
        self._torch: Reference | None = None
        self._fast: _States | None = None

    def states(self, texts: Sequence[str], prompt: str = "") -> list[TokenStates]:
        """Token states of texts; each text has at least one token."""
        encodings = [self._encoder.tokenizer.encoding(prompt + text) for text in texts]
        skip = 0 if self._folder.include_prompt else self._encoder.tokenizer.prompt_tokens(prompt)
        hidden = self._runtime().states([each.ids for each in encodings])
        return [self._states(encoding, one, skip) for encoding, one in zip(encodings, hidden, strict=True)]

    def _states(self, encoding: Encoding, hidden: NDArray[np.float32], skip: int) -> TokenStates:
        weights = (np.arange(len(hidden)) >= skip).astype(np.int64)
        if self._folder.head.poolings == ("weightedmean",):
            weights = weights * np.arange(1, len(hidden) + 1)
        states = hidden[:, : self._folder.head.truncate]
        return TokenStates(Tokens.of(encoding), (weights / max(1, weights.sum())).astype(np.float32), states)

    def attention(self, text: str, prompt: str, layer: int) -> tuple[Tokens, NDArray[np.float32]]:
        """Tokens, and one layer's attention weights (H, t, t): row i says where token i looks, and sums to 1."""
        encoding = self._encoder.tokenizer.encoding(prompt + text)
        return Tokens.of(encoding), self._reference().attention(encoding.ids, layer)

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self._shape.layers)

    @property
    def heads(self) -> int:
        """How many heads a layer has."""
        return self._shape.heads

    def _runtime(self) -> _States:
        with self._loading:
            if self._fast is None:
                openvino = self._encoder.runtime.name is RuntimeName.OPENVINO
                self._fast = _openvino(self._encoder) if openvino else self._reference()
            return self._fast

    def _reference(self) -> Reference:
        with self._loading:
            if self._torch is None:
                from retrieval.encoder.torch_reference import Reference

                self._torch = Reference(self._folder)
            return self._torch


def _openvino(encoder: SentenceEncoder) -> _States:
    import openvino as ov

    from retrieval.encoder.runtime.conversion import Output, converted
    from retrieval.encoder.runtime.openvino_token_states import OpenVINOStates

    known, core = encoder.fingerprint, ov.Core()
    if known.quantized_from:  # an int8 encoder is explained by the weights that it was made from
        known = replace(known, weights_sha256=known.quantized_from, quantized_from="")
    return OpenVINOStates(core, converted(encoder.folder, known, core, Output.STATES), encoder.runtime.precision)
