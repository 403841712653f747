"""Cross-encoders: score a query and a text together (Nogueira and Cho 2019).

A known family runs converted, on OpenVINO; any other through transformers.  Only folders with safetensors weights are
read; code in a folder is never run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.encoder.checkpoint.cross_encoder_folder import open_cross_encoder
from retrieval.encoder.checkpoint.fingerprint import compute_fingerprint
from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.pair_tokenizer import PairTokenizer, TokenPair
from retrieval.encoder.loading import AUTO, check_choice, check_vocabulary, choose_precision, has_cuda
from retrieval.encoder.runtime.base import Precision, Runtime, RuntimeName, has_bf16
from retrieval.encoder.runtime.batch_threads import run_batches
from retrieval.encoder.runtime.token_batches import TokenBatch, plan_batches
from retrieval.errors import EncoderError, UnsupportedCheckpoint
from retrieval.protocols import Reranker
from retrieval.types import Scores
from retrieval.util.work_budget import checkpoint

logger = logging.getLogger(__name__)

BATCH_TOKENS = 1_024  # of one batch: pairs of similar length, so that little is padding
WINDOW_TEXTS = 128  # tokenised together; between windows, cancelled work ends
WARM_UP_TOKENS = (48, 80, 112, 144, 176)  # of pairs: the first batch of a shape takes several times as long


class CrossEncoder:
    """A converted cross-encoder.  Safe to call from several threads."""

    def __init__(self, tokenizer: PairTokenizer, runtime: Runtime) -> None:
        self._tokenizer = tokenizer
        self.runtime = runtime

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """Return the score of the query with each text, (n,): the model's logits.

        The longer of query and text is truncated.  A score does not depend on the other texts, but for rounding.
        """
        scores = np.zeros(len(texts), dtype=np.float32)
        for start in range(0, len(texts), WINDOW_TEXTS):
            checkpoint()
            window = slice(start, start + WINDOW_TEXTS)
            scores[window] = self._score_pairs(self._tokenizer.pairs(query, texts[window]))
        return scores

    def _score_pairs(self, pairs: Sequence[TokenPair]) -> Scores:
        lengths = [len(pair.ids) for pair in pairs]
        share = -(-sum(lengths) // self.runtime.streams)
        batches = plan_batches(lengths, min(BATCH_TOKENS, max(share, *lengths)))
        scores = np.zeros(len(pairs), dtype=np.float32)
        answers = run_batches(self._run, ([pairs[i] for i in batch] for batch in batches), self.runtime.streams)
        for batch, answer in zip(batches, answers, strict=True):
            scores[batch] = answer
        return scores

    def _run(self, pairs: Sequence[TokenPair]) -> Scores:
        batch = TokenBatch.of([pair.ids for pair in pairs], types=[pair.types for pair in pairs])
        scores: Scores = self.runtime.run(batch)[:, 0]
        return scores

    def warm_up(self) -> None:
        """Run usual shapes."""
        for length in WARM_UP_TOKENS:
            pair = TokenPair([0] * length, [0] * length)
            self._run([pair] * (BATCH_TOKENS // length))


def load_cross_encoder(path: Path, *, runtime: str = AUTO, precision: str = AUTO) -> Reranker:
    """Load the cross-encoder of a transformers or sentence-transformers folder.

    `runtime` and `precision` are those of `load_encoder`.  Raises EncoderError.
    """
    check_choice("runtime", runtime, RuntimeName)
    check_choice("precision", precision, Precision)
    folder = open_cross_encoder(path)
    if folder is None or runtime == RuntimeName.TORCH or (runtime == AUTO and has_cuda()):
        return _load_foreign(path)
    precision = choose_precision(folder, precision)
    tokenizer = PairTokenizer(folder)
    assert folder.architecture is not None, "open_cross_encoder gives None for unknown families"
    check_vocabulary(folder, tokenizer, folder.architecture.vocabulary)
    try:
        reranker = CrossEncoder(tokenizer, _start_openvino(folder, precision))
    except (ImportError, RuntimeError) as error:
        if runtime == RuntimeName.OPENVINO or precision == Precision.INT8:
            raise EncoderError(f"OpenVINO cannot run {path} on this machine ({error}); use --runtime torch") from error
        logger.warning("OpenVINO cannot run %s on this machine (%s); using torch, which is slower", path, error)
        return _load_foreign(path)
    _try_out(reranker, path)
    reranker.warm_up()
    return reranker


def _start_openvino(folder: EncoderFolder, precision: str) -> Runtime:
    import openvino as ov

    from retrieval.encoder.runtime.conversion import load_pair_graph, read_quantized
    from retrieval.encoder.runtime.openvino_runtime import OpenVINORuntime

    core = ov.Core()
    default = Precision.BF16 if has_bf16() else Precision.F32
    chosen = default if precision == AUTO else Precision(precision)
    int8_graph = folder.int8_graph if chosen is Precision.INT8 else None
    fingerprint = compute_fingerprint(folder, str(folder.path))
    graph = read_quantized(int8_graph, core) if int8_graph else load_pair_graph(folder, fingerprint, core)
    assert folder.architecture is not None
    return OpenVINORuntime(core, graph, chosen, folder.architecture, bulk=True)


def _load_foreign(path: Path) -> Reranker:
    from retrieval.encoder.foreign_cross_encoder import load_foreign_cross_encoder

    reranker = load_foreign_cross_encoder(path)
    _try_out(reranker, path)
    return reranker


def _try_out(reranker: Reranker, path: Path) -> None:
    """Score one pair.  Raises UnsupportedCheckpoint unless the score can be used."""
    try:
        [score] = reranker.score("a query", ["a text"])
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise UnsupportedCheckpoint(f"{path}: cannot score a pair ({error}); check its files") from error
    if not np.isfinite(score):
        raise UnsupportedCheckpoint(f"{path}: the score of a pair is {score}; its weights are damaged")
