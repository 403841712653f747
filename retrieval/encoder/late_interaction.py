"""Late interaction: encode queries and passages as a vector for each token.

The score of a passage is the sum, over the tokens of the query, of the largest inner product with a token of the
passage (Khattab and Zaharia 2020, ColBERT, section 3.3).  Converted models run on OpenVINO; folders with other weights
than safetensors are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.fingerprint import compute_fingerprint
from retrieval.encoder.checkpoint.late_interaction_folder import LateInteractionFolder, open_late_interaction
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer, Tokens
from retrieval.encoder.loading import AUTO, check_choice, check_vocabulary
from retrieval.encoder.runtime.base import Precision, RuntimeName, has_bf16
from retrieval.encoder.runtime.batch_threads import run_batches
from retrieval.encoder.runtime.token_batches import TextTokens, plan_batches
from retrieval.encoder.runtime.token_vectors import TokenVectorRuntime
from retrieval.errors import EncoderError, UnsupportedCheckpoint
from retrieval.types import EncoderFingerprint, Vectors
from retrieval.util.work_budget import checkpoint

WINDOW_TEXTS = 256  # tokenised together; between windows, cancelled work ends
ENDS = ("[SEP]", "</s>", "<|endoftext|>", "<eos>")  # tokens that may fill a query of a model without a mask token
MASKS = ("[MASK]", "<mask>")


class LateInteractionEncoder:
    """A loaded late-interaction model.  Safe to call from several threads."""

    def __init__(
        self, folder: LateInteractionFolder, fingerprint: EncoderFingerprint, runtime: TokenVectorRuntime
    ) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.runtime = runtime
        self.dimension = fingerprint.dimension
        self.mean = folder.mean  # a score is the mean over the query's tokens, not the sum
        self._passages = TextTokenizer(folder.encoder)
        self._queries = TextTokenizer(replace(folder.encoder, max_tokens=folder.max_query_tokens))
        check_vocabulary(folder.encoder, self._passages, _vocabulary(folder))
        self._filler = _filler(folder, self._queries)
        self._passage_skips = _token_ids(folder.passage_skips, self._passages)
        self._query_skips = _token_ids(folder.query_skips, self._passages)

    def encode_query(self, text: str) -> Vectors:
        """Return the vectors of a query's scored tokens, added ones included: (t, dim)."""
        tokens = self._query_tokens(text)
        return self.runtime.run([tokens])[0][self._scored(tokens.ids, self._query_skips)]

    def encode_passages(self, texts: Sequence[str], *, save_cpu: bool = False) -> list[Vectors]:
        """Return the vectors of each passage's scored tokens, (t, dimension) float32.

        A vector does not depend on the other texts, but for rounding.  `save_cpu` leaves cores to other work.
        """
        found: list[Vectors] = []
        for start in range(0, len(texts), WINDOW_TEXTS):
            checkpoint()
            found += self._encode_window(self._with_prompt(texts[start : start + WINDOW_TEXTS]), save_cpu)
        return found

    def query_tokens(self, text: str) -> Tokens:
        """Return the tokens of a query whose vectors `encode_query` returns."""
        ids = self._query_tokens(text).ids
        known = self._queries.tokens(self.folder.encoder.query_prompt + text)
        added = len(ids) - len(known.words)
        spans = np.concatenate((known.spans, np.zeros((added, 2), np.int64)))
        words = np.concatenate((known.words, np.full(added, -1, np.int64)))
        scored = self._scored(ids, self._query_skips)
        return Tokens(spans[scored], words[scored])

    def passage_tokens(self, text: str) -> Tokens:
        """Return the tokens of a passage whose vectors `encode_passages` returns."""
        encoding = self._passages.encoding(self.folder.encoder.passage_prompt + text)
        tokens, scored = Tokens.of(encoding), self._scored(encoding.ids, self._passage_skips)
        return Tokens(tokens.spans[scored], tokens.words[scored])

    def _with_prompt(self, texts: Sequence[str]) -> list[str]:
        return [self.folder.encoder.passage_prompt + text for text in texts]

    def _query_tokens(self, text: str) -> TextTokens:
        """Tokenise a query, and fill it up as the model asks for it."""
        ids = self._queries.ids([self.folder.encoder.query_prompt + text])[0]
        expansion = self.folder.expansion
        if expansion is None:
            return TextTokens(ids, len(ids))
        filled = [*ids, *[self._filler] * (expansion.length - len(ids))]
        return TextTokens(filled, len(filled) if expansion.attended else len(ids))

    def _encode_window(self, texts: Sequence[str], save_cpu: bool) -> list[Vectors]:
        tokens = [TextTokens(ids, len(ids)) for ids in self._passages.ids(texts)]
        share = -(-sum(len(text.ids) for text in tokens) // self.runtime.streams)
        longest = max(len(text.ids) for text in tokens)
        batches = plan_batches([len(text.ids) for text in tokens], min(self.runtime.budget_tokens, max(share, longest)))
        found: list[Vectors] = [np.empty((0, self.dimension), np.float32)] * len(texts)
        run = partial(self.runtime.run, save_cpu=save_cpu)
        threads = 1 if save_cpu else self.runtime.streams
        answers = run_batches(run, ([tokens[i] for i in batch] for batch in batches), threads)
        for batch, answer in zip(batches, answers, strict=True):
            for i, vectors in zip(batch, answer, strict=True):
                found[i] = vectors[self._scored(tokens[i].ids, self._passage_skips)]
        return found

    def _scored(self, ids: Sequence[int], skips: NDArray[np.int64]) -> NDArray[np.bool_]:
        return ~np.isin(ids, skips)


def load_late_interaction(
    path: Path, name: str = "", *, runtime: str = AUTO, precision: str = AUTO
) -> LateInteractionEncoder:
    """Load a late-interaction model from its folder; `name` is recorded.

    `runtime` and `precision` are those of `load_encoder`, without int8.  Raises EncoderError.
    """
    check_choice("runtime", runtime, RuntimeName)
    check_choice("precision", precision, Precision)
    if precision == Precision.INT8 or runtime == RuntimeName.NUMPY:
        raise EncoderError(f"{path}: late interaction runs in f32 or bf16 on openvino or torch; choose one of them")
    folder = open_late_interaction(path)
    fingerprint = _fingerprint(folder, name or str(path.absolute()))
    encoder = LateInteractionEncoder(folder, fingerprint, _start(folder, fingerprint, runtime, precision))
    _try_out(encoder, path)
    return encoder


def _fingerprint(folder: LateInteractionFolder, name: str) -> EncoderFingerprint:
    skips = " ".join(folder.passage_skips)
    return replace(compute_fingerprint(folder.encoder, name), pooling=f"tokens without {skips}" if skips else "tokens")


def _start(
    folder: LateInteractionFolder, fingerprint: EncoderFingerprint, runtime: str, precision: str
) -> TokenVectorRuntime:
    from retrieval.encoder.runtime.token_vectors import OpenVINOTokenVectors, TorchTokenVectors

    if runtime == RuntimeName.TORCH:
        return TorchTokenVectors(folder)
    try:
        import openvino as ov

        from retrieval.encoder.runtime.conversion import load_token_graph

        core = ov.Core()
        default = Precision.BF16 if has_bf16() else Precision.F32
        chosen = default if precision == AUTO else Precision(precision)
        return OpenVINOTokenVectors(core, load_token_graph(folder, fingerprint, core), chosen)
    except (ImportError, RuntimeError) as error:
        raise EncoderError(
            f"OpenVINO cannot run {folder.encoder.path} on this machine ({error}); use --runtime torch"
        ) from error


def _vocabulary(folder: LateInteractionFolder) -> int:
    assert folder.encoder.architecture is not None, "open_late_interaction refuses unknown families"
    return folder.encoder.architecture.vocabulary


def _filler(folder: LateInteractionFolder, tokenizer: TextTokenizer) -> int:
    """Return the id of the token that fills queries; 0 if none are filled."""
    if folder.expansion is None:
        return 0
    names = (folder.expansion.token,) if folder.expansion.token else (*MASKS, *ENDS)
    found = (tokenizer.token_id(name) for name in names)
    filler = next((number for number in found if number is not None), None)
    if filler is None:
        raise UnsupportedCheckpoint(
            f"{folder.encoder.path}: the tokenizer has no {' or '.join(names)} to fill queries with; "
            "use the tokenizer of the checkpoint"
        )
    return filler


def _token_ids(words: Sequence[str], tokenizer: TextTokenizer) -> NDArray[np.int64]:
    """Return the ids of the words that are tokens of their own."""
    found = (tokenizer.token_id(word) for word in words)
    return np.array([number for number in found if number is not None], dtype=np.int64)


def _try_out(encoder: LateInteractionEncoder, path: Path) -> None:
    """Encode one text.  Raises UnsupportedCheckpoint unless its vectors can be used."""
    try:
        vectors = encoder.encode_passages(["a text"])[0]
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise UnsupportedCheckpoint(f"{path}: cannot encode a text ({error}); check its files") from error
    if not np.isfinite(vectors).all():
        raise UnsupportedCheckpoint(f"{path}: the vectors of a text are not finite; its weights are damaged")
