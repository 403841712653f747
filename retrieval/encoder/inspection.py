"""Token states and attention weights of one text, for explanations.

Token states come from the runtime and the precision of the vectors, so that they add up to the vectors closely; those
of a static embedding are its token vectors.  Attention weights come from the same runtime in float32.  Only encoders on
torch import torch.  Both take tens of megabytes, so a service releases them when they are idle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer, Tokens
from retrieval.encoder.runtime.base import Runtime, RuntimeName
from retrieval.encoder.runtime.static_runtime import StaticRuntime
from retrieval.types import EncoderFingerprint

if TYPE_CHECKING:
    from tokenizers import Encoding

    from retrieval.encoder.runtime.torch_runtime import TorchTokenStates

SUM_POOLINGS = frozenset({"mean", "mean_sqrt_len_tokens", "weightedmean"})


@dataclass(frozen=True, slots=True)
class TokenStates:
    """A text's tokens; `weights @ states` has the direction of the text's vector."""

    tokens: Tokens
    weights: NDArray[np.float32]  # (t,), summing to 1, zero for tokens that pooling leaves out
    states: NDArray[np.float32]  # (t, dimension)


class _StatesRuntime(Protocol):
    def states(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return (t, width) for the t token ids of each text."""


class _AttentionRuntime(Protocol):
    def attention(self, ids: Sequence[int], layer: int) -> NDArray[np.float32]:
        """Return one layer's weights, (H, t, t), for t token ids."""


class Inspector:
    """Token states and attention of our model and of static embeddings.

    States and attention are loaded on first use.  Safe to call from several threads.
    """

    def __init__(
        self,
        folder: EncoderFolder,
        tokenizer: TextTokenizer,
        fingerprint: EncoderFingerprint,
        runtime: Runtime,
    ) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._fingerprint = fingerprint
        self._runtime_name = runtime.name
        self._precision = runtime.precision
        self._lock = threading.RLock()
        self._torch: TorchTokenStates | None = None
        self._attention_runtime: _AttentionRuntime | None = None
        self._states_runtime: _StatesRuntime | None = runtime if isinstance(runtime, StaticRuntime) else None
        self._used_at = 0.0  # by the monotonic clock
        self.layers = len(folder.architecture.layers) if folder.architecture else 0  # 0 without attention
        self.num_heads = folder.architecture.num_heads if folder.architecture else 0

    @property
    def sums_tokens(self) -> bool:
        """Whether a vector is a weighted sum of token states, so a cosine one of pairs."""
        head = self._folder.head
        return not head.dense and len(head.poolings) == 1 and head.poolings[0] in SUM_POOLINGS

    def states(self, texts: Sequence[str], prompt: str = "") -> list[TokenStates]:
        """Return the token states of each text."""
        encodings = [self._tokenizer.encoding(prompt + text) for text in texts]
        skip = 0 if self._folder.include_prompt else self._tokenizer.prompt_tokens(prompt)
        hidden = self._runtime().states([encoding.ids for encoding in encodings])
        return [self._weighted(encoding, states, skip) for encoding, states in zip(encodings, hidden, strict=True)]

    def _weighted(self, encoding: Encoding, hidden: NDArray[np.float32], skip: int) -> TokenStates:
        weights = (np.arange(len(hidden)) >= skip).astype(np.int64)
        if self._folder.head.poolings == ("weightedmean",):
            weights = weights * np.arange(1, len(hidden) + 1)
        states = hidden[:, : self._folder.head.truncate]
        return TokenStates(Tokens.of(encoding), (weights / max(1, weights.sum())).astype(np.float32), states)

    def attention(self, text: str, prompt: str, layer: int) -> tuple[Tokens, NDArray[np.float32]]:
        """Return tokens and one layer's weights, (H, t, t): row i has token i's, sum 1."""
        encoding = self._tokenizer.encoding(prompt + text)
        return Tokens.of(encoding), self._attention().attention(encoding.ids, layer)

    def release(self, idle_s: float) -> None:
        """Free the memory of a converted encoder that was idle for so long."""
        with self._lock:
            if self._on_openvino and time.monotonic() - self._used_at > idle_s:
                self._states_runtime = self._attention_runtime = None

    def _runtime(self) -> _StatesRuntime:
        with self._lock:
            self._used_at = time.monotonic()
            if self._states_runtime is None:
                self._states_runtime = self._openvino_states() if self._on_openvino else self._torch_states()
            return self._states_runtime

    def _attention(self) -> _AttentionRuntime:
        with self._lock:
            self._used_at = time.monotonic()
            if self._attention_runtime is None:
                self._attention_runtime = self._openvino_attention() if self._on_openvino else self._torch_states()
            return self._attention_runtime

    @property
    def _on_openvino(self) -> bool:
        return self._runtime_name is RuntimeName.OPENVINO

    def _torch_states(self) -> TorchTokenStates:
        with self._lock:
            if self._torch is None:
                from retrieval.encoder.runtime.torch_runtime import TorchTokenStates

                self._torch = TorchTokenStates(self._folder)
            return self._torch

    def _openvino_states(self) -> _StatesRuntime:
        import openvino as ov

        from retrieval.encoder.runtime.conversion import GraphOutput, load_graph
        from retrieval.encoder.runtime.openvino_runtime import OpenVINOTokenStates

        core = ov.Core()
        graph = load_graph(self._folder, self._float_fingerprint(), core, GraphOutput.STATES)
        return OpenVINOTokenStates(core, graph, self._precision)

    def _openvino_attention(self) -> _AttentionRuntime:
        import openvino as ov

        from retrieval.encoder.runtime.conversion import load_attention_graph
        from retrieval.encoder.runtime.openvino_runtime import OpenVINOAttention

        core = ov.Core()
        return OpenVINOAttention(core, load_attention_graph(self._folder, self._float_fingerprint(), core))

    def _float_fingerprint(self) -> EncoderFingerprint:
        """Return the fingerprint of the float weights, which explain an int8 encoder too."""
        if not self._fingerprint.quantized_from:
            return self._fingerprint
        return replace(self._fingerprint, weights_sha256=self._fingerprint.quantized_from, quantized_from="")
