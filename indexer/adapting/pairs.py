"""Training pairs: from judged queries, from clicks, and from documents.

Each kind is drawn with a seed, so equal collections give equal pairs.  A passage has the key of its document: passages
of one document, and documents with nearly equal vectors, are never each other's negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from retrieval.index.collection.document_store import passage_text
from retrieval.index.collection.index_reader import IndexReader
from retrieval.metrics.logged_topics import read_logged_topics
from retrieval.metrics.tasks import EvaluationTask
from retrieval.types import Document
from retrieval.util.text_boundaries import BoundaryStrength, find_boundaries

MIN_WORDS = 4  # of a query
MIN_PASSAGE_WORDS = 12
CROP_SENTENCES = (1, 3)  # of each of the two crops of a document
LOG_QUERIES = 100_000  # most frequent queries of a log
QUESTION_MARKS = ("?", "？")


@dataclass(frozen=True, slots=True)
class TrainingPassage:
    """A text as the encoder reads it, and the id of its document."""

    document: str
    text: str


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A query and a passage that answers it; `relevant` are the ids that may, too."""

    kind: str
    query: str
    passage: TrainingPassage
    relevant: frozenset[str]
    negatives: tuple[TrainingPassage, ...] = ()


DrawPair = Callable[[Document, np.random.Generator], tuple[str, str] | None]  # → query and passage


def judged_pairs(reader: IndexReader, task: EvaluationTask) -> list[TrainingPair]:
    """Return a pair for each relevant document of each query that the collection has."""
    pairs = []
    for topic in task.topics:
        grades = task.qrels.judgments[topic.id]
        relevant = frozenset(name for name, grade in grades.items() if grade > 0)
        pairs += [
            TrainingPair("judged", topic.text, passage, relevant)
            for name in sorted(relevant)
            for passage in passages_of(reader, name)[:1]
        ]
    return pairs


def clicked_pairs(reader: IndexReader, log: Path) -> list[TrainingPair]:
    """Return a pair for each document that was clicked for a logged query."""
    logged = read_logged_topics(log, LOG_QUERIES)
    pairs = []
    for topic in logged.topics:
        ranked = logged.clicks.rankings.get(topic.id)
        clicked = frozenset(ranked.ids) if ranked else frozenset()
        pairs += [
            TrainingPair("clicks", topic.text, passage, clicked)
            for name in sorted(clicked)
            for passage in passages_of(reader, name)[:1]
        ]
    return pairs


def document_pairs(
    documents: Iterable[Document], kinds: Sequence[str], count: int, seed: int, excluded: frozenset[str] = frozenset()
) -> list[TrainingPair]:
    """Draw up to `count` pairs of each kind in `DOCUMENT_KINDS`.

    A document gives at most one pair of a kind; those with an id in `excluded` give none.
    """
    found: dict[str, list[TrainingPair]] = {kind: [] for kind in kinds}
    for document in documents:
        if document.id in excluded:
            continue
        for kind in kinds:
            if len(found[kind]) < count and (pair := _draw(document, kind, seed)) is not None:
                found[kind].append(pair)
        if all(len(pairs) >= count for pairs in found.values()):
            break
    return [pair for pairs in found.values() for pair in pairs]


def shuffled_documents(reader: IndexReader, seed: int, block: int = 256) -> Iterator[Document]:
    """Yield the live documents of a collection in an order that depends on the seed."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(reader.live_documents))
    for start in range(0, len(rows), block):
        yield from reader.documents(rows[start : start + block])


def _draw(document: Document, kind: str, seed: int) -> TrainingPair | None:
    dice = np.random.default_rng([seed, *document.id.encode()[:64], *kind.encode()])
    drawn = DOCUMENT_KINDS[kind](document, dice)
    if drawn is None:
        return None
    query, text = (" ".join(part.split()) for part in drawn)
    if _words(query) < MIN_WORDS or _words(text) < MIN_PASSAGE_WORDS:
        return None
    return TrainingPair(kind, query, TrainingPassage(document.id, text), frozenset({document.id}))


def _title(document: Document, dice: np.random.Generator) -> tuple[str, str] | None:
    """Return the title, and a part of the text."""
    sentences = _sentences(document.text)
    if not document.title.strip() or not sentences:
        return None
    start = int(dice.integers(max(1, len(sentences) - 4)))
    return document.title, " ".join(sentences[start : start + 8])


def _heading(document: Document, dice: np.random.Generator) -> tuple[str, str] | None:
    """Return a heading path, and the section below it."""
    headed = [section for section in document.sections if section.heading]
    if not headed:
        return None
    section = headed[int(dice.integers(len(headed)))]
    return section.heading, document.text[section.start : section.end][:2_000]


def _cloze(document: Document, dice: np.random.Generator) -> tuple[str, str] | None:
    """Return a sentence, and the text around it (inverse cloze task, Lee et al. 2019)."""
    sentences = _sentences(document.text)
    if len(sentences) < 3:
        return None
    at = int(dice.integers(len(sentences)))
    around = sentences[max(0, at - 4) : at] + sentences[at + 1 : at + 5]
    return sentences[at], passage_text(document.title, "", " ".join(around))


def _crops(document: Document, dice: np.random.Generator) -> tuple[str, str] | None:
    """Return two crops of the text (Contriever, Izacard et al. 2022)."""
    sentences = _sentences(document.text)
    if len(sentences) < 2:
        return None
    first, second = (_crop(sentences, dice) for _ in range(2))
    return (first, second) if first != second else None


def _crop(sentences: Sequence[str], dice: np.random.Generator) -> str:
    length = int(dice.integers(*CROP_SENTENCES, endpoint=True))
    start = int(dice.integers(max(1, len(sentences) - length + 1)))
    return " ".join(sentences[start : start + length])


def _question(document: Document, dice: np.random.Generator) -> tuple[str, str] | None:
    """Return a question in the text, and the sentences that follow it."""
    sentences = _sentences(document.text)
    asked = [i for i, sentence in enumerate(sentences[:-1]) if sentence.rstrip().endswith(QUESTION_MARKS)]
    if not asked:
        return None
    at = asked[int(dice.integers(len(asked)))]
    return sentences[at], " ".join(sentences[at + 1 : at + 6])


DOCUMENT_KINDS: Mapping[str, DrawPair] = {
    "title": _title,
    "heading": _heading,
    "cloze": _cloze,
    "crops": _crops,
    "question": _question,
}


def shortened(pair: TrainingPair, dice: np.random.Generator, share: float) -> TrainingPair:
    """Return the pair with a query that lacks each word with probability `share`.

    A query of fewer than six words stays.
    """
    words = pair.query.split()
    if len(words) < 6:
        return pair
    kept = [word for word, keep in zip(words, dice.random(len(words)) >= share, strict=True) if keep]
    return replace(pair, query=" ".join(kept)) if len(kept) >= MIN_WORDS else pair


def _sentences(text: str) -> list[str]:
    boundaries = find_boundaries(text)
    inner = boundaries.offsets[boundaries.strengths >= BoundaryStrength.SENTENCE].tolist()
    return [part for start, end in pairwise([0, *inner, len(text)]) if (part := text[start:end].strip())]


def passages_of(reader: IndexReader, document_id: str) -> list[TrainingPassage]:
    """Return the passages of a document as the encoder reads them."""
    row = reader.find(document_id)
    if row is None:
        return []
    [document] = reader.documents([row])
    first, last = np.searchsorted(reader.document_of, [row, row + 1])
    return [
        TrainingPassage(
            document_id, passage_text(document.title, passage.heading, document.text[passage.start : passage.end])
        )
        for passage in reader.passages(np.arange(first, last))
    ]


def _words(text: str) -> float:
    """Count words; outside ASCII, as in Chinese, a character counts half a word."""
    return sum(1 if word.isascii() else max(1.0, len(word) / 2) for word in text.split())
