"""Sparse encoders: weights of terms for a text (learned sparse retrieval).

A score is the dot product of the weights of a query and of a passage.  SPLADE models run converted, on OpenVINO.  The
queries of an inference-free model need a tokenizer and a table of weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from retrieval.encoder.checkpoint.fingerprint import compute_sparse_fingerprint
from retrieval.encoder.checkpoint.hub import locate_sparse_encoder, recorded_name
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, weight_files
from retrieval.encoder.checkpoint.sparse_folder import SparseFolder, open_sparse_folder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.encoder.loading import AUTO, check_choice, check_vocabulary
from retrieval.encoder.runtime.base import Precision, Runtime, RuntimeName, has_bf16
from retrieval.encoder.runtime.batch_threads import run_batches
from retrieval.encoder.runtime.token_batches import TokenBatch, plan_batches
from retrieval.errors import EncoderError, UnsupportedCheckpoint
from retrieval.types import EncoderFingerprint, SparseVector, TermWeights
from retrieval.util.work_budget import checkpoint

SCORES_BYTES = 64 << 20  # of the scores of all tokens of the vocabulary, in one batch
MIN_BATCH_TOKENS = 64
WINDOW_TEXTS = 256  # tokenised together; between windows, cancelled work ends
TRIAL_TEXT = "a text"


class SparseModel(Protocol):
    """Gives the weights of terms for texts.  Safe to call from several threads."""

    def encode(self, texts: Sequence[str]) -> list[SparseVector]: ...


class SparseEncoder:
    """A loaded sparse encoder.  Safe to call from several threads."""

    def __init__(self, folder: SparseFolder, fingerprint: EncoderFingerprint, *, runtime: str, precision: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._choice = (runtime, precision)
        self._static = StaticWeights(folder.static_queries, folder.vocabulary) if folder.static_queries else None

    @cached_property
    def splade(self) -> SpladeWeights:
        """The model, loaded on first use: queries of an inference-free one do without it."""
        return _load_splade(self.folder, self.fingerprint, *self._choice)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The text of each term of the vocabulary, by its number; all differ."""
        texts = [f"\N{REPLACEMENT CHARACTER}{number}" for number in range(self.folder.vocabulary)]  # without a token
        for token, number in TextTokenizer(self.folder.passages).vocabulary().items():
            if number < len(texts):
                texts[number] = token
        return tuple(texts)

    @property
    def infers_queries(self) -> bool:
        """Whether a query runs through the model."""
        return self._static is None

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return the weights of each query."""
        queries: SparseModel = self._static or self.splade
        return queries.encode(_prompted(self.fingerprint.query_prompt, texts))

    def weigh_queries(self, texts: Sequence[str]) -> list[TermWeights]:
        """Return the weights of each query by the texts of its terms."""
        return [
            {self.tokens[term]: weight for term, weight in zip(each.terms.tolist(), each.weights.tolist(), strict=True)}
            for each in self.encode_queries(texts)
        ]

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return the weights of each passage."""
        return self.splade.encode(_prompted(self.fingerprint.passage_prompt, texts))


class StaticWeights:
    """The weight of each distinct token of a text, from a table."""

    def __init__(self, folder: EncoderFolder, vocabulary: int) -> None:
        self._tokenizer = TextTokenizer(folder)
        self._table = _read_table(folder.transformer)
        check_vocabulary(folder, self._tokenizer, len(self._table))
        if len(self._table) > vocabulary:
            raise UnsupportedCheckpoint(
                f"{folder.transformer}: has weights for {len(self._table):,} tokens, and passages for {vocabulary:,}; "
                "fetch the folder again"
            )

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return the weights of the terms of each text."""
        return [self._weights(np.unique(np.array(ids, np.int32))) for ids in self._tokenizer.ids(texts)]

    def _weights(self, terms: NDArray[np.int32]) -> SparseVector:
        weights = self._table[terms]
        kept = weights > 0.0
        return SparseVector(terms[kept], weights[kept])


class SpladeWeights:
    """A SPLADE model: its weights are those of the whole vocabulary, most of them 0."""

    def __init__(self, folder: SparseFolder, runtime: Runtime) -> None:
        self.runtime = runtime
        self._tokenizer = TextTokenizer(folder.passages)
        self._batch_tokens = max(MIN_BATCH_TOKENS, SCORES_BYTES // (4 * folder.vocabulary))
        check_vocabulary(folder.passages, self._tokenizer, folder.vocabulary)

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        """Return the weights of the terms of each text."""
        found: list[SparseVector] = []
        for start in range(0, len(texts), WINDOW_TEXTS):
            checkpoint()
            found += self._encode_window(self._tokenizer.ids(texts[start : start + WINDOW_TEXTS]))
        return found

    def _encode_window(self, ids: Sequence[Sequence[int]]) -> list[SparseVector]:
        batches = plan_batches([len(text) for text in ids], self._batch_tokens)
        found = [SparseVector(np.empty(0, np.int32), np.empty(0, np.float32))] * len(ids)
        answers = run_batches(self._run, ([ids[i] for i in batch] for batch in batches), self.runtime.streams)
        for batch, answer in zip(batches, answers, strict=True):
            for position, vector in zip(batch, answer, strict=True):
                found[position] = vector
        return found

    def _run(self, ids: Sequence[Sequence[int]]) -> list[SparseVector]:
        return [_nonzero(weights) for weights in self.runtime.run(TokenBatch.of(ids))]


def load_sparse_encoder(name: str | Path, *, runtime: str = AUTO, precision: str = AUTO) -> SparseEncoder:
    """Load the SparseEncoder of a folder, a preset, or a hub name.

    `runtime` is "auto", "torch" or "openvino"; `precision` is "auto", "f32" or "bf16".  Raises EncoderError.
    """
    check_choice("runtime", runtime, RuntimeName)
    check_choice("precision", precision, Precision)
    if precision == Precision.INT8:
        raise EncoderError(f"{name}: sparse encoders run in f32 or bf16; choose one of them")
    folder = open_sparse_folder(locate_sparse_encoder(name))
    fingerprint = compute_sparse_fingerprint(folder, recorded_name(name))
    encoder = SparseEncoder(folder, fingerprint, runtime=runtime, precision=precision)
    if encoder.infers_queries:
        _ = encoder.splade  # now, not in the first query
    return encoder


def _load_splade(folder: SparseFolder, fingerprint: EncoderFingerprint, runtime: str, precision: str) -> SpladeWeights:
    default = Precision.BF16 if has_bf16() else Precision.F32
    chosen = default if precision == AUTO else Precision(precision)
    if runtime == RuntimeName.TORCH:
        model = SpladeWeights(folder, _start_torch(folder, chosen))
    else:
        model = SpladeWeights(folder, _start_openvino(folder, fingerprint, chosen))
    _try_out(model, folder.path)
    return model


def _start_torch(folder: SparseFolder, precision: Precision) -> Runtime:
    from retrieval.encoder.checkpoint.weights import load_splade_head
    from retrieval.encoder.runtime.torch_runtime import TorchRuntime

    return TorchRuntime(folder.passages, load_splade_head(folder), precision=precision)


def _start_openvino(folder: SparseFolder, fingerprint: EncoderFingerprint, precision: Precision) -> Runtime:
    assert folder.passages.architecture is not None
    try:
        import openvino as ov

        from retrieval.encoder.runtime.conversion import load_splade_graph
        from retrieval.encoder.runtime.openvino_runtime import OpenVINORuntime

        core = ov.Core()
        graph = load_splade_graph(folder, fingerprint, core)
        return OpenVINORuntime(core, graph, precision, folder.passages.architecture, bulk=True)
    except (ImportError, RuntimeError) as error:
        raise EncoderError(
            f"OpenVINO cannot run {folder.path} on this machine ({error}); use --runtime torch"
        ) from error


def _try_out(model: SpladeWeights, path: Path) -> None:
    """Encode one text.  Raises UnsupportedCheckpoint unless its weights can be used."""
    try:
        [vector] = model.encode([TRIAL_TEXT])
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise UnsupportedCheckpoint(f"{path}: cannot encode a text ({error}); check its files") from error
    if not np.isfinite(vector.weights).all():
        raise UnsupportedCheckpoint(f"{path}: the weights of a text are not finite; the folder is damaged")


def _read_table(folder: Path) -> NDArray[np.float32]:
    """Read the weight of each token, (vocabulary,).  Raises UnsupportedCheckpoint."""
    [file, *_] = weight_files(folder)
    try:
        with safe_open(file, "numpy") as opened:
            table = np.asarray(opened.get_tensor("weight")).astype(np.float32)
    except (SafetensorError, OSError, TypeError) as error:
        raise UnsupportedCheckpoint(f"{file}: unreadable table of weights ({error}); fetch it again") from error
    if table.ndim != 1 or not np.isfinite(table).all() or (table < 0).any():
        raise UnsupportedCheckpoint(
            f"{file}: the table must have one weight of at least 0 for each token; fetch the folder again"
        )
    return table


def _nonzero(weights: NDArray[np.float32]) -> SparseVector:
    terms = np.flatnonzero(weights > 0.0)
    return SparseVector(terms.astype(np.int32), weights[terms])


def _prompted(prompt: str, texts: Sequence[str]) -> Sequence[str]:
    return [prompt + text for text in texts] if prompt else texts
