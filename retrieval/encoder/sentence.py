"""Texts to vectors: prompts, tokens, batches of similar lengths, a runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from retrieval.encoder.batching import TokenBatch, plan
from retrieval.encoder.folder import EncoderFolder
from retrieval.encoder.runtime import Runtime
from retrieval.encoder.tokenizer import TextTokenizer
from retrieval.types import EncoderFingerprint, Vectors

WINDOW_TEXTS = 2_048  # texts that are sorted by length together


class SentenceEncoder:
    """The encoder that the rest of Attendex sees.  Safe to call from several threads."""

    def __init__(
        self, folder: EncoderFolder, tokenizer: TextTokenizer, runtime: Runtime, fingerprint: EncoderFingerprint
    ) -> None:
        self.folder = folder
        self.tokenizer = tokenizer
        self.runtime = runtime
        self.fingerprint = fingerprint
        self.dimension = fingerprint.dimension
        self._include_prompt = folder.include_prompt

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, dimension) float32, in the order of `texts`."""
        return self._encode(texts, self.fingerprint.query_prompt)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """(n, dimension) float32, in the order of `texts`."""
        return self._encode(texts, self.fingerprint.passage_prompt)

    def encode_stream(self, blocks: Iterable[Sequence[str]]) -> Iterator[Vectors]:
        """Passages block by block: the vectors of each block, in order."""
        for texts in blocks:
            yield self.encode_passages(texts)

    def _encode(self, texts: Sequence[str], prompt: str) -> Vectors:
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), WINDOW_TEXTS):
            self._encode_window(texts[start : start + WINDOW_TEXTS], prompt, out[start : start + WINDOW_TEXTS])
        return out

    def _encode_window(self, texts: Sequence[str], prompt: str, out: Vectors) -> None:
        """Fill `out`.  A text without any token (no special tokens, nothing written) keeps its zeros."""
        ids = self.tokenizer.ids([prompt + text for text in texts] if prompt else texts)
        skip = 0 if self._include_prompt else self.tokenizer.prompt_tokens(prompt)
        places = [place for place, one in enumerate(ids) if one]
        for batch in plan([len(ids[place]) for place in places], self.runtime.budget_tokens):
            chosen = [places[i] for i in batch]
            out[chosen] = self.runtime.run(TokenBatch.of([ids[place] for place in chosen], skip))
