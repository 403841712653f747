"""Convert an encoder to int8 and measure the loss in similarity and in nDCG@10."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.readers.opening import open_documents
from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import BadDocument, EncoderError
from retrieval.index.collection.document_store import passage_text
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.runs import RankedDocuments, RetrievalRun
from retrieval.metrics.tasks import EvaluationTask, read_beir
from retrieval.types import Vectors

DEPTH = 100  # documents ranked for each query
QUERY_WORDS = 12  # of a text, to calibrate a cross-encoder


@dataclass(frozen=True, slots=True)
class QuantizationLoss:
    """The loss of int8 against float32, with nDCG@10 if there are judgments."""

    name: str
    texts: int
    cosine_mean: float
    cosine_min: float
    ndcg_f32: float | None = None
    ndcg_int8: float | None = None

    @property
    def summary(self) -> str:
        """The loss as a line of text."""
        ranking = f"; nDCG@10 {self.ndcg_f32:.4f} → {self.ndcg_int8:.4f}" if self.ndcg_f32 is not None else ""
        cosines = f"cosine to float32 mean {self.cosine_mean:.4f}, worst {self.cosine_min:.4f}"
        return f"{self.name}: {cosines} over {self.texts} texts{ranking}"


@dataclass(frozen=True, slots=True)
class RerankerLoss:
    """The loss of an int8 cross-encoder against float32, over pairs."""

    pairs: int
    correlation: float  # of the scores
    mean_difference: float  # of the scores, as a share of their deviation

    @property
    def summary(self) -> str:
        """The loss as a line of text."""
        differences = f"mean difference {self.mean_difference:.3f} deviations"
        return f"held-out pairs: correlation with float32 {self.correlation:.4f}, {differences} over {self.pairs} pairs"


def draw_texts(source: Path, count: int, seed: int) -> list[str]:
    """Draw texts of usable documents with equal probability, by reservoir sampling."""
    rng = np.random.default_rng(seed)
    drawn: list[str] = []
    seen = 0
    for item in open_documents(source):
        text = "" if isinstance(item, BadDocument) else passage_text(item.title, "", item.text)
        if not text:
            continue
        seen += 1
        if len(drawn) < count:
            drawn.append(text)
        elif (index := int(rng.integers(seen))) < count:
            drawn[index] = text
    return [drawn[index] for index in rng.permutation(len(drawn))]


def quantize_folder(encoder: str, texts: Sequence[str], out: Path) -> None:
    """Write the encoder in int8 to the new folder `out`."""
    import openvino as ov

    from retrieval.encoder.checkpoint.fingerprint import compute_fingerprint
    from retrieval.encoder.checkpoint.hub import locate
    from retrieval.encoder.checkpoint.model_folder import open_folder
    from retrieval.encoder.runtime.conversion import load_graph
    from retrieval.encoder.runtime.quantization import quantize, refuse_existing, write_quantized

    refuse_existing(out)
    folder = open_folder(locate(encoder))
    if folder.static_width:
        raise EncoderError(f"{encoder} is a static embedding: it has no matrix products to quantise; use it as it is")
    if folder.architecture is None:
        kind = folder.config.get("model_type")
        raise EncoderError(
            f"{encoder}: model_type {kind!r} runs through transformers only, without int8; use it in f32"
        )
    graph = load_graph(folder, compute_fingerprint(folder, encoder), ov.Core())
    write_quantized(folder, quantize(folder, graph, texts), out)


def quantize_reranker(reranker: Path, texts: Sequence[str], out: Path) -> None:
    """Write the cross-encoder in int8 to the new folder `out`."""
    import openvino as ov

    from retrieval.encoder.checkpoint.cross_encoder_folder import open_cross_encoder
    from retrieval.encoder.checkpoint.fingerprint import compute_fingerprint
    from retrieval.encoder.runtime.conversion import load_pair_graph
    from retrieval.encoder.runtime.quantization import quantize_cross_encoder, refuse_existing, write_quantized

    refuse_existing(out)
    folder = open_cross_encoder(reranker)
    if folder is None:
        raise EncoderError(f"{reranker} runs through transformers only, without int8; use it in f32")
    graph = load_pair_graph(folder, compute_fingerprint(folder, str(reranker)), ov.Core())
    write_quantized(folder, quantize_cross_encoder(folder, graph, pairs_of(texts)), out)


def pairs_of(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Pair the first words of each text with that text and with the next one."""
    queries = [" ".join(text.split()[:QUERY_WORDS]) for text in texts]
    return [pair for i, query in enumerate(queries) for pair in ((query, texts[i]), (query, texts[i - 1]))]


def measure_reranker_loss(reranker: Path, out: Path, held_out: Sequence[str]) -> RerankerLoss:
    """Measure the loss on pairs of held-out texts."""
    f32 = load_cross_encoder(reranker, runtime="openvino", precision="f32")
    int8 = load_cross_encoder(out, precision="int8")
    pairs = pairs_of(held_out)
    exact, rounded = (np.array([each.score(query, [text])[0] for query, text in pairs]) for each in (f32, int8))
    correlation = float(np.corrcoef(exact, rounded)[0, 1])
    return RerankerLoss(len(pairs), correlation, float(np.abs(exact - rounded).mean() / exact.std()))


def measure_loss(
    encoder: str, out: Path, held_out: Sequence[str], judged: Sequence[Path], split: str
) -> tuple[QuantizationLoss, ...]:
    """Measure the loss on held-out texts and on each BEIR folder of `judged`."""
    f32 = load_encoder(encoder, runtime="openvino", precision="f32")
    int8 = load_encoder(out, precision="int8")
    plain = _loss("held-out documents", f32.encode_passages(held_out), int8.encode_passages(held_out))
    return (plain, *(_judged_loss(f32, int8, folder, split) for folder in judged))


def _loss(name: str, f32: Vectors, int8: Vectors) -> QuantizationLoss:
    cosines = (f32 * int8).sum(axis=1) / np.linalg.norm(f32, axis=1) / np.linalg.norm(int8, axis=1)
    return QuantizationLoss(name, len(cosines), float(cosines.mean()), float(cosines.min()))


def _judged_loss(f32: SentenceEncoder, int8: SentenceEncoder, folder: Path, split: str) -> QuantizationLoss:
    task = read_beir(folder, split)
    documents = [item for item in open_documents(folder) if not isinstance(item, BadDocument)]
    ids = [document.id for document in documents]
    texts = [passage_text(document.title, "", document.text) for document in documents]
    vectors = [encoder.encode_passages(texts) for encoder in (f32, int8)]
    ndcg = [_ndcg(encoder, task, ids, found) for encoder, found in zip((f32, int8), vectors, strict=True)]
    loss = _loss(str(folder), *vectors)
    return QuantizationLoss(loss.name, loss.texts, loss.cosine_mean, loss.cosine_min, *ndcg)


def _ndcg(encoder: SentenceEncoder, task: EvaluationTask, ids: Sequence[str], vectors: Vectors) -> float:
    queries = encoder.encode_queries([topic.text for topic in task.topics])
    rankings = {}
    for topic, query in zip(task.topics, queries, strict=True):
        scores = vectors @ query
        nearest = np.argpartition(-scores, min(DEPTH, len(ids) - 1))[:DEPTH]
        best = sorted(nearest, key=lambda row: (-scores[row], ids[row]))
        rankings[topic.id] = RankedDocuments(tuple(ids[row] for row in best), scores[best].astype(np.float64))
    return evaluate(RetrievalRun(str(encoder.runtime.precision), rankings), task.qrels, "nDCG@10").aggregates["nDCG@10"]
