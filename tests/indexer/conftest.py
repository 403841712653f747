"""Small collections made by hand: texts whose vectors follow from the text alone."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.writer import Writer
from retrieval.index.storage.settings import Canaries, CollectionSettings, LexicalSettings
from retrieval.types import Document, EncoderFingerprint, Passage, Vectors
from retrieval.util.files import Files

DIMENSION = 8


def vector_of(text: str) -> Vectors:
    """Return a unit vector that depends on the text alone: (1, DIMENSION)."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal((1, DIMENSION)).astype(np.float32)
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class Bench:
    """Builds collections under one folder."""

    folder: Path
    settings: CollectionSettings

    @property
    def path(self) -> Path:
        return self.folder / "collection"

    def document(self, name: str, text: str | None = None, **metadata: object) -> Document:
        """Make a document; its text is `text of <name>` unless given."""
        return Document(name, f"text of {name}" if text is None else text, f"title of {name}", metadata)  # type: ignore[arg-type]

    def cut(self, document: Document) -> list[Passage]:
        """Two overlapping halves of a long text, or the whole of a short one."""
        length = len(document.text)
        return [Passage(0, length)] if length < 20 else [Passage(0, length // 2 + 3), Passage(length // 2, length)]

    def vectors(self, documents: Sequence[Document]) -> Vectors:
        texts = [each.text[part.start : part.end] for each in documents for part in self.cut(each)]
        return np.concatenate([vector_of(text) for text in texts]) if texts else np.empty((0, DIMENSION), np.float32)

    def writer(self, *, limits: SegmentLimits | None = None, files: Files | None = None, **options: object) -> Writer:
        return Writer(self.path, create=self.settings, limits=limits, files=files, **options)  # type: ignore[arg-type]

    def put(self, writer: Writer, documents: Sequence[Document]) -> None:
        """Add documents to an open writer."""
        writer.add(documents, [self.cut(each) for each in documents], self.vectors(documents))

    def add(self, *documents: Document, files: Files | None = None) -> int:
        """Add documents in a commit of their own; returns the generation."""
        with self.writer(files=files) as writer:
            self.put(writer, documents)
            return writer.commit()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for thousands of collections, in memory if possible."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="attendex-test-") as name:
        yield Path(name)


def hand_made_settings() -> CollectionSettings:
    """Return the settings of a collection whose encoder is `vector_of`."""
    encoder = EncoderFingerprint("hand-made", "w", "t", "mean", True, "", "", 32, DIMENSION)
    texts = ("one", "two")
    canaries = Canaries(texts, np.concatenate([vector_of(text) for text in texts]))
    return CollectionSettings(encoder, "none", "float32", canaries, lexical=LexicalSettings())


@pytest.fixture
def bench(folder: Path) -> Bench:
    return Bench(folder, hand_made_settings())
