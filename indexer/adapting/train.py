"""Train a new encoder from documents alone: vocabulary, hidden words, pairs.

It is for teaching, and for scripts that no published encoder reads.  The steps and their sizes stand in a TOML file.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tokenizers import Tokenizer

from indexer.adapting.batches import PairBatches
from indexer.adapting.pairs import DOCUMENT_KINDS, TrainingPair, document_pairs
from indexer.readers.opening import open_documents
from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.runtime.base import has_bf16
from retrieval.encoder.runtime.quantization import refuse_existing
from retrieval.errors import BadDocument, InputError
from retrieval.training.contrastive import ContrastiveTraining
from retrieval.training.encoder_folder import write_encoder
from retrieval.training.loop import CurvePoint, TrainingSettings, set_threads, train
from retrieval.training.masked_words import MaskedWords
from retrieval.training.new_encoder import MASK, SPECIAL, EncoderShape, make_encoder
from retrieval.training.optimizer import OptimizerSettings
from retrieval.training.trainable import TokenIds, TrainableEncoder
from retrieval.types import Document
from retrieval.util.temporaries import temporary_folder

T = TypeVar("T")
HELD_OUT = 200  # pairs, and texts, that measure the training
MIN_PAIRS = 64
MAX_BATCH = 8_192
MAX_DOCUMENTS = 1_000_000  # read into memory at most
Progress = Callable[[str, CurvePoint, int], None]  # takes stage, point and number of steps


@dataclass(frozen=True, slots=True)
class VocabularySettings:
    """The vocabulary of a new encoder."""

    size: int = 8_000


@dataclass(frozen=True, slots=True)
class StageSettings:
    """A stage of the training; no steps leave it out."""

    steps: int
    batch: int = 64
    rate: float = 5e-4
    pairs: tuple[str, ...] = ("title", "heading", "question", "cloze")  # of the contrastive stage


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The whole of a training: tables of a TOML file."""

    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)
    encoder: EncoderShape = field(default_factory=EncoderShape)
    masked_words: StageSettings = field(default_factory=lambda: StageSettings(1_000, rate=1e-3))
    contrastive: StageSettings = field(default_factory=lambda: StageSettings(600))
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The folder written, and the held-out measure before and after."""

    encoder: str
    documents: int
    pairs: int
    before: float  # mean reciprocal rank of held-out passages, among all of them
    after: float
    seconds: float


def read_config(path: Path) -> TrainConfig:
    """Read the TOML file.  Raises InputError for a name or a type that is unknown."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    return _decoded(TrainConfig(), table, str(path))


def _decoded(default: T, table: dict[str, Any], place: str) -> T:
    """Return the defaults with the values of a table."""
    known = {each.name: getattr(default, each.name) for each in fields(default)}  # type: ignore[arg-type]
    for name, value in table.items():
        if name not in known:
            raise InputError(f"{place}: there is no {name!r}; there are {', '.join(known)}")
        old = known[name]
        if hasattr(old, "__dataclass_fields__") and isinstance(value, dict):
            known[name] = _decoded(old, value, f"{place} [{name}]")
            continue
        kind = tuple if isinstance(old, tuple) else int if old is None else type(old)
        converted = tuple(value) if kind is tuple and isinstance(value, list) else value
        if isinstance(converted, bool) or not isinstance(converted, (int, float) if kind is float else kind):
            raise InputError(f"{place}: {name} is {value!r}; give a {kind.__name__}")
        if isinstance(converted, int | float) and converted < 0:
            raise InputError(f"{place}: {name} is {value!r}; give no negative number")
        known[name] = converted
    return type(default)(**known)


def train_encoder(sources: Sequence[Path], config: TrainConfig, out: Path, watch: Progress) -> TrainReport:
    """Train an encoder on documents, and write it to the new folder `out`.

    Raises InputError for too few documents.
    """
    refuse_existing(out)
    _check_stages(config)
    started = time.monotonic()
    set_threads(config.threads)
    documents = _documents(sources)
    order = np.random.default_rng(config.seed).permutation(len(documents))
    documents = [documents[i] for i in order]
    pairs = document_pairs(documents, config.contrastive.pairs, len(documents), config.seed)
    if len(pairs) < MIN_PAIRS:
        raise InputError(f"{len(pairs)} pairs; at least {MIN_PAIRS} are needed: give more documents")
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out, private=False) as folder:
        texts = [f"{document.title} {document.text}".strip() for document in documents]
        make_encoder(folder, texts, config.vocabulary.size, config.encoder, config.seed)
        encoder = TrainableEncoder(open_folder(folder))
        held, used = _divided(pairs)
        measure = _rank_measure(held)
        before = measure(encoder)
        states = [out.with_name(f".{out.name}.{stage}.safetensors") for stage in ("words", "pairs")]
        _guess_words(encoder, texts, config, states[0], watch)
        _match_pairs(encoder, used, config, measure, states[1], watch)
        after = measure(encoder)
        record = {"documents": len(documents), "pairs": len(used), "before": before, "after": after}
        write_encoder(encoder, out, _card(out.name, record), record)
        for state in states:
            state.unlink(missing_ok=True)
    return TrainReport(str(out), len(documents), len(used), before, after, time.monotonic() - started)


def _check_stages(config: TrainConfig) -> None:
    config.encoder.architecture(config.vocabulary.size)  # it refuses wrong sizes
    for name, stage in (("masked_words", config.masked_words), ("contrastive", config.contrastive)):
        if not 2 <= stage.batch <= MAX_BATCH:
            raise InputError(f"[{name}]: batch is {stage.batch}; give 2 to {MAX_BATCH:,}")
    unknown = set(config.contrastive.pairs) - set(DOCUMENT_KINDS)
    if unknown:
        raise InputError(f"there is no kind {min(unknown)!r} of pairs; kinds: {', '.join(DOCUMENT_KINDS)}")


def _documents(sources: Sequence[Path]) -> list[Document]:
    """Return the documents that can be read, at most MAX_DOCUMENTS."""
    found: list[Document] = []
    for source in sources:
        for item in open_documents(source):
            if not isinstance(item, BadDocument) and item.text.strip():
                found.append(item)
            if len(found) > MAX_DOCUMENTS:
                raise InputError(f"more than {MAX_DOCUMENTS:,} documents; give a part of them")
    return found


def _divided(pairs: Sequence[TrainingPair]) -> tuple[list[TrainingPair], list[TrainingPair]]:
    """Divide pairs into those held out and those used: no document gives both."""
    names = list(dict.fromkeys(pair.passage.document for pair in pairs))
    held = set(names[: min(HELD_OUT, len(names) // 5)])
    kept: tuple[list[TrainingPair], list[TrainingPair]] = ([], [])
    for pair in pairs:
        kept[pair.passage.document not in held].append(pair)
    return kept


def _rank_measure(pairs: Sequence[TrainingPair]) -> Callable[[TrainableEncoder], float]:
    """Return a function that measures the mean reciprocal rank of passages."""

    def measure(encoder: TrainableEncoder) -> float:
        limit = encoder.folder.max_tokens
        queries = encoder.encode(encoder.query_ids([pair.query for pair in pairs], limit))
        passages = encoder.encode(encoder.passage_ids([pair.passage.text for pair in pairs], limit))
        scores = queries @ passages.T
        ranks = (scores >= scores.diagonal()[:, None]).sum(1)
        return float((1.0 / ranks).mean())

    return measure


def _guess_words(
    encoder: TrainableEncoder, texts: Sequence[str], config: TrainConfig, state: Path, watch: Progress
) -> None:
    """Train on hidden words; a part of the texts measures it."""
    stage = config.masked_words
    if not stage.steps:
        return
    tokenizer = Tokenizer.from_file(str(encoder.folder.path / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    special = {name: vocabulary[name] for name in SPECIAL}
    ids = [each for each in encoder.passage_ids(texts, encoder.folder.max_tokens) if len(each) > len(SPECIAL)]
    held, used = ids[: min(HELD_OUT, len(ids) // 5)], ids[min(HELD_OUT, len(ids) // 5) :]

    def texts_of(step: int) -> list[TokenIds]:
        dice = np.random.default_rng([config.seed, step])
        return [used[i] for i in dice.integers(len(used), size=stage.batch)]

    words = MaskedWords(encoder, texts_of, special[MASK], frozenset(special.values()), has_bf16())
    _train(encoder, words.take_gradients, stage, config, lambda _: -words.held_out_loss(held), state, "words", watch)


def _match_pairs(
    encoder: TrainableEncoder,
    pairs: Sequence[TrainingPair],
    config: TrainConfig,
    measure: Callable[[TrainableEncoder], float],
    state: Path,
    watch: Progress,
) -> None:
    """Train on pairs from the documents."""
    stage = config.contrastive
    if not stage.steps:
        return
    limit = encoder.folder.max_tokens
    batches = PairBatches(
        pairs, encoder, size=stage.batch, negatives=0, seed=config.seed, max_tokens=(limit, limit), groups={}
    )
    contrastive = ContrastiveTraining(encoder, batches, bf16=has_bf16())
    _train(encoder, contrastive.take_gradients, stage, config, measure, state, "pairs", watch)


def _train(
    encoder: TrainableEncoder,
    take_gradients: Callable[[int], float],
    stage: StageSettings,
    config: TrainConfig,
    measure: Callable[[TrainableEncoder], float],
    state: Path,
    name: str,
    watch: Progress,
) -> None:
    settings = TrainingSettings(
        stage.steps,
        repr(config),
        config.seed,
        optimizer=OptimizerSettings(rate=stage.rate, layer_decay=1.0),
    )
    train(
        encoder,
        take_gradients,
        settings,
        measure=measure,
        checkpoint=state,
        watch=lambda point: watch(name, point, stage.steps),
    )


def _card(name: str, record: dict[str, Any]) -> str:
    lines = [f"# {name}", "", "An encoder made by `attendex train` from documents alone.", "", "| | |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {label} | {value} |" for label, value in record.items()), ""])
