"""Adapt an encoder to a collection, and keep it only if it is better.

The steps: pairs → training → average of base and trained weights → guard.  The guard compares both encoders on queries
that took no part in the steps before.
"""

from __future__ import annotations

import hashlib
import resource
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from indexer.adapting.batches import PairBatches
from indexer.adapting.card import training_card
from indexer.adapting.foreign import foreign_pool
from indexer.adapting.guard import Verdict, judge
from indexer.adapting.held_out import PassagePool, development_pool, draw_held_out, split_task
from indexer.adapting.nearest import with_nearest_passages
from indexer.adapting.negatives import with_hard_negatives
from indexer.adapting.pairs import TrainingPair, clicked_pairs, document_pairs, judged_pairs, shuffled_documents
from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.base import has_bf16
from retrieval.errors import InputError
from retrieval.index.collection.duplicates import find_duplicates
from retrieval.metrics.tasks import EvaluationTask
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.training.averaging import SHARES, take_average
from retrieval.training.contrastive import ContrastiveTraining
from retrieval.training.encoder_folder import write_encoder
from retrieval.training.loop import CurvePoint, TrainingRun, TrainingSettings, set_threads, train
from retrieval.training.optimizer import OptimizerSettings
from retrieval.training.trainable import TrainableEncoder, Weights
from retrieval.util.temporaries import temporary_folder

MIN_PAIRS = 64
MIN_HELD_OUT = 20  # queries that choose, and that judge
MEASUREMENTS = 2  # of the held-out measure during the run; each takes as long as some steps
NEAR_DUPLICATE = 0.9  # share of common word groups
MAX_QUERY_TOKENS, MAX_PASSAGE_TOKENS = 64, 192  # in training; longer texts are cut
FOREIGN_LOSS = 0.01  # of the measure of the foreign task that an average may lose


@dataclass(frozen=True, slots=True)
class AdaptSettings:
    """How to adapt; the defaults were chosen on training queries and documents."""

    kinds: tuple[str, ...] = ("title", "heading", "question")  # of pairs from documents
    document_pairs: int = 2_000  # of each kind
    batch: int = 16
    negatives: int = 1  # hard ones of each pair
    epochs: float = 4.0
    rate: float = 4e-5
    layer_decay: float = 1.0  # factor of the rate for each layer further down
    dropout: float = 0.1
    dimensions: tuple[int, ...] = ()
    budget_s: float = 3_600.0
    seed: int = 0
    threads: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class AdaptPlan:
    """The pairs, the held-out queries and the steps of a run."""

    base: str
    pairs: Mapping[str, int]  # by kind
    development_queries: int
    test_queries: int
    known_items: bool  # whether the held-out queries are made from documents
    steps: int
    batch: int


@dataclass(frozen=True, slots=True)
class AdaptEstimate:
    """The cost of a run, from one batch that was tried."""

    seconds: float  # of training, without the measurements
    memory_mb: int  # peak of this process so far


@dataclass(frozen=True, slots=True)
class AdaptReport:
    """The result of a run; `encoder` is the folder written, or the base."""

    plan: AdaptPlan
    written: bool
    encoder: str
    reason: str
    share: float  # of the trained weights
    development: Mapping[str, float]  # measure by share
    foreign: Mapping[str, float]
    verdict: Verdict | None
    curve: Sequence[CurvePoint] = field(default_factory=tuple)
    seconds: float = 0.0


def ignore(*_: object) -> None:
    """Do nothing with the progress."""


@dataclass(slots=True)
class Watch:
    """Functions that are told about the progress."""

    stage: Callable[[str], None] = ignore
    point: Callable[[CurvePoint, int], None] = ignore  # takes a point of the curve and the number of steps


class Adaptation:
    """An adaptation that is prepared: its pairs and its held-out queries."""

    def __init__(
        self,
        collection: Path,
        settings: AdaptSettings,
        *,
        base: str = "",
        task: EvaluationTask | None = None,
        log: Path | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Read the collection, make the pairs and hold queries out."""
        self.collection = collection
        self.settings = settings
        self.watch = watch or Watch()
        self.watch.stage("making pairs")
        with open_searcher(collection) as searcher:
            self.base = base or searcher.encoder.fingerprint.name
            self.folder = open_folder(locate(self.base))
            self._check_dimensions()
            self.held_out = split_task(task) if task else draw_held_out(searcher.reader, settings.seed)
            self.pairs = self._pairs(searcher, log)
            self.groups = {
                document.id: group.documents[0].id
                for group in find_duplicates(searcher.reader, NEAR_DUPLICATE)
                for document in group.documents
            }

    @property
    def problem(self) -> str:
        """The reason why nothing can be learnt or judged; "" if there is none."""
        if len(self.pairs) < MIN_PAIRS:
            return (
                f"{len(self.pairs)} training pairs; at least {MIN_PAIRS} are needed: add judged queries, or documents "
                "with titles, headings or questions"
            )
        parts = self.held_out.parts
        if min(len(part.topics) for part in parts) < MIN_HELD_OUT:
            found = " and ".join(str(len(part.topics)) for part in parts)
            return f"{found} held-out queries to choose and to judge; at least {MIN_HELD_OUT} each are needed"
        return ""

    def _check_dimensions(self) -> None:
        for wanted in self.settings.dimensions:
            if not 1 <= wanted < self.folder.dimension:
                raise InputError(
                    f"--dimension {wanted}: {self.base} has vectors of {self.folder.dimension} numbers; "
                    f"choose 1 to {self.folder.dimension - 1}"
                )

    def _pairs(self, searcher: Searcher, log: Path | None) -> list[TrainingPair]:
        settings, reader = self.settings, searcher.reader
        pairs = judged_pairs(reader, self.held_out.train) if self.held_out.train else []
        pairs += clicked_pairs(reader, log) if log else []
        tests = {topic.text for part in self.held_out.parts for topic in part.topics}
        pairs = with_nearest_passages([pair for pair in pairs if pair.query not in tests], reader, searcher.encoder)
        return pairs + document_pairs(
            shuffled_documents(reader, settings.seed),
            settings.kinds,
            settings.document_pairs,
            settings.seed,
            self.held_out.documents,
        )

    @property
    def plan(self) -> AdaptPlan:
        held_out = self.held_out
        return AdaptPlan(
            self.base,
            dict(Counter(pair.kind for pair in self.pairs)),
            len(held_out.development.topics),
            len(held_out.test.topics),
            bool(held_out.items),
            self.steps,
            min(self.settings.batch, len(self.pairs)),
        )

    @property
    def steps(self) -> int:
        """The number of batches, each of which changes the weights once."""
        return max(1, round(self.settings.epochs * max(1, len(self.pairs) // self.settings.batch)))

    def estimate(self) -> AdaptEstimate:
        """Try one batch, and return the time and the memory of a run."""
        set_threads(self.settings.threads)
        encoder = TrainableEncoder(self.folder)
        seconds = self._contrastive(self.pairs, encoder, has_bf16()).time_step()
        return AdaptEstimate(seconds * self.steps, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)

    def run(self, out: Path) -> AdaptReport:
        """Train, choose an average, judge it, and write it to `out` if it is better."""
        started = time.monotonic()
        if self.problem:
            return self._report(out, None, self.problem, 0.0, {}, {}, (), started)
        out.parent.mkdir(parents=True, exist_ok=True)  # the state of the run is beside `out`
        set_threads(self.settings.threads)
        bf16 = has_bf16()
        with ExitStack() as stack:
            copy = stack.enter_context(self.held_out.copy_of(self.collection))
            pools, pairs = self._prepared(copy, bf16)
            encoder = TrainableEncoder(self.folder, dropout=self.settings.dropout)
            base_weights = encoder.weights()
            trained = self._train(encoder, pairs, pools[0], out, bf16)
            curve = trained.curve
            share, development, foreign = self._choose(encoder, base_weights, trained, pools)
            if share == 0.0:
                reason = "no average of base and trained weights was better on the development queries"
                return self._report(out, None, reason, share, development, foreign, curve, started)
            self.watch.stage("comparing on the test queries")
            candidate = stack.enter_context(temporary_folder(out, private=False)) / out.name
            record = {
                "plan": asdict(self.plan),
                "settings": asdict(self.settings),
                "share": share,
                "curve": [asdict(point) for point in curve],
            }
            write_encoder(encoder, candidate, training_card(out.name, self.base, record, curve), record)
            verdict = judge(copy, load_encoder(self.base), load_encoder(candidate), self.held_out.test)
            written = verdict.better or (self.settings.force and not verdict.worse)
            if written:
                candidate.rename(out)
            return self._report(
                out, verdict, verdict.reason, share, development, foreign, curve, started, written=written
            )

    def _prepared(self, copy: Path, bf16: bool) -> tuple[tuple[PassagePool, PassagePool], list[TrainingPair]]:
        """Return the two pools of queries, and the pairs with hard negatives."""
        self.watch.stage("finding hard negatives")
        with open_searcher(copy) as searcher:
            development = development_pool(searcher, self.held_out.development, self.settings.seed, bf16=bf16)
            pairs = with_hard_negatives(self.pairs, searcher) if self.settings.negatives else self.pairs
        return (development, foreign_pool(bf16=bf16)), pairs

    def _train(
        self, encoder: TrainableEncoder, pairs: Sequence[TrainingPair], pool: PassagePool, out: Path, bf16: bool
    ) -> TrainingRun:
        self.watch.stage("training")
        settings = self.settings
        training = TrainingSettings(
            self.steps,
            _digest(pairs),
            settings.seed,
            MEASUREMENTS,
            optimizer=OptimizerSettings(rate=settings.rate, layer_decay=settings.layer_decay),
        )
        return train(
            encoder,
            self._contrastive(pairs, encoder, bf16).take_gradients,
            training,
            measure=pool.measure,
            checkpoint=_checkpoint(out),
            budget_s=settings.budget_s,
            watch=lambda point: self.watch.point(point, self.steps),
        )

    def _contrastive(self, pairs: Sequence[TrainingPair], encoder: TrainableEncoder, bf16: bool) -> ContrastiveTraining:
        batches = PairBatches(
            pairs,
            encoder,
            size=self.settings.batch,
            negatives=self.settings.negatives,
            seed=self.settings.seed,
            max_tokens=(MAX_QUERY_TOKENS, min(MAX_PASSAGE_TOKENS, self.folder.max_tokens)),
            groups=self.groups,
        )
        return ContrastiveTraining(encoder, batches, dimensions=self.settings.dimensions, bf16=bf16)

    def _choose(
        self, encoder: TrainableEncoder, base: Weights, run: TrainingRun, pools: tuple[PassagePool, PassagePool]
    ) -> tuple[float, dict[str, float], dict[str, float]]:
        """Give the encoder the average that ranks best and forgets little."""
        self.watch.stage("averaging the weights of base and trained encoder")
        trained = encoder.weights()
        known = {0.0: run.curve[0].held_out, 1.0: run.best_value}  # the run has measured both ends
        development, foreign = [], []
        for share in SHARES:
            take_average(encoder, base, trained, share)
            foreign.append(pools[1].measure(encoder))
            value = known.get(share)
            development.append(pools[0].measure(encoder) if value is None else value)
        allowed = [i for i, value in enumerate(foreign) if value >= foreign[0] - FOREIGN_LOSS]
        best = max(allowed, key=lambda i: (development[i], -i))
        take_average(encoder, base, trained, SHARES[best])
        names = [f"{share:g}" for share in SHARES]
        return (
            SHARES[best],
            dict(zip(names, development, strict=True)),
            dict(zip(names, foreign, strict=True)),
        )

    def _report(
        self,
        out: Path,
        verdict: Verdict | None,
        reason: str,
        share: float,
        development: Mapping[str, float],
        foreign: Mapping[str, float],
        curve: Sequence[CurvePoint],
        started: float,
        *,
        written: bool = False,
    ) -> AdaptReport:
        _checkpoint(out).unlink(missing_ok=True)
        encoder = str(out) if written else self.base
        seconds = time.monotonic() - started
        return AdaptReport(self.plan, written, encoder, reason, share, development, foreign, verdict, curve, seconds)


def _checkpoint(out: Path) -> Path:
    """Return the file with the state of an interrupted run."""
    return out.with_name(f".{out.name}.training.safetensors")


def _digest(pairs: Sequence[TrainingPair]) -> str:
    texts = [(pair.kind, pair.query, pair.passage, sorted(pair.relevant), pair.negatives) for pair in pairs]
    return hashlib.sha256(repr(texts).encode()).hexdigest()
