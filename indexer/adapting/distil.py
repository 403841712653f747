"""Make a smaller encoder: a student that learns its teacher's vectors.

It needs no judgments: the texts are titles, sentences and passages of the collection.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.adapting.card import licence_of
from indexer.adapting.pairs import TrainingPair, document_pairs, shuffled_documents
from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, open_folder
from retrieval.encoder.runtime.base import has_bf16
from retrieval.encoder.runtime.quantization import refuse_existing
from retrieval.errors import InputError
from retrieval.search.searcher import open_searcher
from retrieval.training.distillation import Distillation, TaughtBatch, principal_projection, projected
from retrieval.training.encoder_folder import write_encoder
from retrieval.training.loop import CurvePoint, TrainingSettings, set_threads, train
from retrieval.training.optimizer import OptimizerSettings
from retrieval.training.smaller_vocabulary import frequent_tokens, kept_tokens
from retrieval.training.student_folder import StudentShape, check_shape, write_student
from retrieval.training.trainable import TokenIds, TrainableEncoder
from retrieval.types import Vectors
from retrieval.util.temporaries import temporary_folder

KINDS = ("title", "cloze", "crops")  # of pairs; both texts of each are learnt
MIN_TEXTS = 256
HELD_OUT = 200  # texts that measure the student, at most a tenth
MAX_TOKENS = 192  # of a text in training


@dataclass(frozen=True, slots=True)
class DistilSettings:
    """The size of the student, and how it is taught."""

    layers: int = 0  # 0: all
    dimension: int = 0  # 0: the teacher's
    vocabulary: int = 0  # tokens at most; 0: all
    texts: int = 20_000
    epochs: float = 2.0
    batch: int = 32
    rate: float = 2e-4
    budget_s: float = 3_600.0
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class DistilReport:
    """The student that was written, and its likeness to the teacher."""

    encoder: str
    teacher: str
    layers: int
    dimension: int
    vocabulary: int
    weights: int  # numbers in the student
    teacher_weights: int
    texts: int
    before: float  # mean cosine of held-out texts' two vectors, before the training
    after: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TaughtTexts:
    """Texts of a collection as the student's tokens, and the vectors to learn."""

    ids: Sequence[TokenIds]
    targets: Vectors

    def batch(self, chosen: Sequence[int]) -> TaughtBatch:
        return TaughtBatch([self.ids[i] for i in chosen], self.targets[list(chosen)])

    def likeness(self, student: TrainableEncoder) -> float:
        """Return the mean cosine of the student's vectors with the teacher's."""
        return float((student.encode(self.ids) * self.targets).sum(1).mean())


def distil(
    collection: Path, out: Path, settings: DistilSettings, *, base: str = "", watch: Callable[[CurvePoint, int], None]
) -> DistilReport:
    """Teach a student on a collection's texts, and write it to the new folder `out`.

    Raises InputError for a size that the teacher cannot give, and for too few texts.
    """
    refuse_existing(out)
    started = time.monotonic()
    set_threads(settings.threads)
    lesson = _prepare(collection, settings, base)
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out, private=False) as untaught:
        student, targets = _untaught(lesson, settings, untaught)
        learnt, held = _divided(_ids(student, lesson.pairs), targets)
        before = held.likeness(student)
        _train(student, learnt, held, lesson, settings, out, watch)
        after = held.likeness(student)
        record = {
            "teacher": lesson.teacher,
            "texts": len(learnt.ids),
            **asdict(settings),
            "cosine before": before,
            "cosine after": after,
        }
        write_encoder(student, out, _card(out.name, lesson.teacher, record), record)
    _checkpoint(out).unlink(missing_ok=True)
    shape = student.folder.architecture
    assert shape is not None, "the teacher's architecture is known"
    return DistilReport(
        str(out),
        lesson.teacher,
        len(shape.layers),
        student.folder.dimension,
        shape.vocabulary,
        _count(student),
        _count(TrainableEncoder(lesson.folder)),
        len(learnt.ids),
        before,
        after,
        time.monotonic() - started,
    )


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The teacher, the texts, and the tokens that the student keeps."""

    teacher: str
    folder: EncoderFolder
    pairs: Sequence[TrainingPair]
    tokens: Sequence[int]  # () keeps all


def _prepare(collection: Path, settings: DistilSettings, base: str) -> _Lesson:
    """Check the sizes, and draw the texts."""
    with open_searcher(collection) as searcher:
        teacher = base or searcher.encoder.fingerprint.name
        folder = open_folder(locate(teacher))
        if folder.architecture is None:
            raise InputError(f"{teacher}: only encoders of a known architecture can be distilled; give another --base")
        if not (settings.layers or settings.dimension or settings.vocabulary):
            raise InputError("the student would be as large as its teacher; give --layers, --dimension or --vocabulary")
        check_shape(folder, settings.layers, settings.dimension)
        documents = shuffled_documents(searcher.reader, settings.seed)
        pairs = document_pairs(documents, KINDS, settings.texts // (2 * len(KINDS)), settings.seed)
        if 2 * len(pairs) < MIN_TEXTS:
            raise InputError(
                f"{2 * len(pairs)} texts from titles and sentences; at least {MIN_TEXTS} are needed: add documents"
            )
        tokens: Sequence[int] = ()
        if settings.vocabulary:
            every = (f"{each.title} {each.text}" for each in shuffled_documents(searcher.reader, settings.seed))
            tokens = kept_tokens(folder, frequent_tokens(folder, every), settings.vocabulary)
    return _Lesson(teacher, folder, pairs, tokens)


def _untaught(lesson: _Lesson, settings: DistilSettings, out: Path) -> tuple[TrainableEncoder, Vectors]:
    """Write the student to `out`; return it, and the vectors to learn."""
    teacher = TrainableEncoder(lesson.folder)
    targets = teacher.encode(_ids(teacher, lesson.pairs), bf16=has_bf16())
    projection = None
    if settings.dimension:
        projection = principal_projection(targets, settings.dimension)
        targets = projected(targets, projection)
    write_student(lesson.folder, StudentShape(settings.layers, lesson.tokens), projection, out)
    return TrainableEncoder(open_folder(out)), np.asarray(targets, dtype=np.float32)


def _ids(encoder: TrainableEncoder, pairs: Sequence[TrainingPair]) -> list[TokenIds]:
    """Return the tokens of all queries, then of all passages."""
    limit = min(MAX_TOKENS, encoder.folder.max_tokens)
    queries = encoder.query_ids([pair.query for pair in pairs], limit)
    return [*queries, *encoder.passage_ids([pair.passage.text for pair in pairs], limit)]


def _divided(ids: Sequence[TokenIds], targets: Vectors) -> tuple[TaughtTexts, TaughtTexts]:
    """Divide the texts into those learnt and those held out, at equal distances."""
    held = set(range(0, len(ids), max(10, len(ids) // HELD_OUT)))
    parts = [i for i in range(len(ids)) if i not in held], sorted(held)
    learnt, kept = (TaughtTexts([ids[i] for i in part], targets[part]) for part in parts)
    return learnt, kept


def _train(
    student: TrainableEncoder,
    learnt: TaughtTexts,
    held: TaughtTexts,
    lesson: _Lesson,
    settings: DistilSettings,
    out: Path,
    watch: Callable[[CurvePoint, int], None],
) -> None:
    """Teach the student; the weights that are most like the teacher stay."""
    per_epoch = max(1, len(learnt.ids) // settings.batch)
    steps = max(1, round(settings.epochs * per_epoch))

    def batch(step: int) -> TaughtBatch:
        epoch, number = divmod(step, per_epoch)
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(learnt.ids))
        return learnt.batch(order[number * settings.batch : (number + 1) * settings.batch].tolist())

    train(
        student,
        Distillation(student, batch, has_bf16()).take_gradients,
        TrainingSettings(
            steps,
            _digest(lesson, settings),
            settings.seed,
            optimizer=OptimizerSettings(rate=settings.rate, layer_decay=1.0),
        ),
        measure=held.likeness,
        checkpoint=_checkpoint(out),
        budget_s=settings.budget_s,
        watch=lambda point: watch(point, steps),
    )


def _count(encoder: TrainableEncoder) -> int:
    return sum(parameter.numel() for parameter in encoder.parameters())


def _checkpoint(out: Path) -> Path:
    """Return the file with the state of an interrupted run."""
    return out.with_name(f".{out.name}.training.safetensors")


def _digest(lesson: _Lesson, settings: DistilSettings) -> str:
    texts = [(pair.query, pair.passage.text) for pair in lesson.pairs]
    return hashlib.sha256(repr((lesson.teacher, settings, texts)).encode()).hexdigest()


def _card(name: str, teacher: str, record: Mapping[str, Any]) -> str:
    """Return the card as Markdown: teacher, licence, sizes and settings."""
    rows = [f"| {label} | {value} |" for label, value in record.items()]
    told = f"A smaller encoder, taught by `attendex distil` to give the vectors of {teacher}; licence of the teacher:"
    return "\n".join([f"# {name}", "", f"{told} {licence_of(teacher)}.", "", "| | |", "| --- | --- |", *rows, ""])
