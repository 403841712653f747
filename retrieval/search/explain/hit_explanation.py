"""Explanations of hits: the best passage of each, its cosine and its BM25 taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import DocumentNotFound
from retrieval.index.collection.index_reader import IndexReader
from retrieval.search.explain.attribution import Attention, Explainer
from retrieval.search.explain.word_alignment import Part
from retrieval.search.plan import asked_text, encoded_text
from retrieval.types import (
    DenseExplanation,
    Document,
    Explanation,
    Hit,
    LexicalExplanation,
    Mode,
    Passage,
    Vectors,
)


@dataclass(frozen=True, slots=True)
class _Explained:
    """A passage row with what was read for it."""

    row: int
    document: Document
    passage: Passage

    @property
    def text(self) -> str:
        return self.document.text[self.passage.start : self.passage.end]

    @property
    def parts(self) -> tuple[Part, ...]:
        return (
            Part("title", self.document.title),
            Part("heading", self.passage.heading),
            Part("text", self.text),
        )


class Reasons:
    """Says of one open generation why a document matched.  Safe to call from several threads."""

    def __init__(self, reader: IndexReader, encoder: SentenceEncoder) -> None:
        self._reader = reader
        self._encoder = encoder
        self._explainer = Explainer(encoder)

    def added(self, query: str, hits: Sequence[Hit], mode: Mode, vector: Vectors | None) -> tuple[Hit, ...]:
        """The hits, each with its explanation; `vector` is the query's, where the mode needs one."""
        chosen = [self._best_of(hit) for hit in hits]
        explained = self._explain(query, chosen, mode, vector)
        return tuple(replace(hit, explanation=each) for hit, each in zip(hits, explained, strict=True))

    def of_document(self, query: str, document_id: str, mode: Mode, *, start: int | None = None) -> Explanation:
        """Why that document has its score, hit or not.

        Told for the passage that begins at `start`, by default the one with the best cosine (words: BM25).  Raises
        BadQuery for what a search refuses.
        """
        text = asked_text(query, mode, self._reader)
        vector = None if mode is Mode.LEXICAL else self._vector(text)
        chosen = self._passage(document_id, start) if start is not None else self._best_for(query, document_id, vector)
        return self._explain(query, [chosen], mode, vector)[0]

    def attention(self, query: str, document_id: str, layer: int, *, of_query: bool) -> Attention:
        """Self-attention over the query, or over the document's best passage for it."""
        if of_query:
            return self._explainer.attention([Part("text", query)], layer, query=True)
        return self._explainer.attention(self._best_for(query, document_id, self._vector(query)).parts, layer)

    def _explain(
        self, query: str, chosen: Sequence[_Explained], mode: Mode, vector: Vectors | None
    ) -> list[Explanation]:
        text = encoded_text(query, mode)
        cosines = [None] * len(chosen) if vector is None else self._cosines(text, vector, chosen)
        return [
            Explanation(each.passage.start, each.passage.end, dense, self._lexical(query, each, mode))
            for each, dense in zip(chosen, cosines, strict=True)
        ]

    def _cosines(self, query: str, vector: Vectors, chosen: Sequence[_Explained]) -> Sequence[DenseExplanation | None]:
        rows = np.array([each.row for each in chosen], dtype=np.int64)
        scores = self._reader.vectors.score(vector, rows)
        return self._explainer.explain(query, [each.parts for each in chosen], scores.tolist())

    def _lexical(self, query: str, each: _Explained, mode: Mode) -> LexicalExplanation | None:
        words = self._reader.lexical
        if mode is Mode.DENSE or words is None:
            return None
        score = float(words.score(query, np.array([each.row], dtype=np.int64))[0])
        places: dict[str, list[tuple[int, int]]] = {}  # of each form
        for word in words.analyzer.locate(each.text):
            places.setdefault(word.text, []).append((word.start, word.end))
        of_term: dict[str, list[tuple[int, int]]] = {}
        for form, found in places.items():
            for term in set(words.analyzer.form(form).terms):
                of_term.setdefault(term, []).extend(found)
        terms = (
            replace(part, words=tuple(sorted(of_term.get(part.term, ()))))
            for part in words.term_parts(query, each.row)
            if part.score
        )
        return LexicalExplanation(score, tuple(sorted(terms, key=lambda term: -term.score)))

    def _best_of(self, hit: Hit) -> _Explained:
        """The passage that the hit shows first."""
        return self._passage(hit.id, hit.passages[0].start if hit.passages else 0)

    def _passage(self, document_id: str, start: int) -> _Explained:
        """The passage that begins at `start`; the first one where none does."""
        rows, document = self._rows_of(document_id)
        passages = self._reader.passages(rows)
        place = next((i for i, passage in enumerate(passages) if passage.start == start), 0)
        return _Explained(int(rows[place]), document, passages[place])

    def _best_for(self, query: str, document_id: str, vector: Vectors | None) -> _Explained:
        """The passage with the best cosine; without a vector, the one with the best words."""
        rows, document = self._rows_of(document_id)
        words = self._reader.lexical
        if vector is None and words is not None:
            scores = words.score(query, rows)
        else:
            scores = self._reader.vectors.score(self._vector(query) if vector is None else vector, rows)
        best = int(np.argmax(scores))
        return _Explained(int(rows[best]), document, self._reader.passages(rows[best : best + 1])[0])

    def _rows_of(self, document_id: str) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Document]:
        number = self._reader.find(document_id)
        if number is None:
            raise DocumentNotFound(f"no document {document_id!r} in {self._reader.name}")
        first, last = np.searchsorted(self._reader.document_of, [number, number + 1])
        return np.arange(first, last, dtype=np.int64), self._reader.documents([number])[0]

    def _vector(self, query: str) -> Vectors:
        vector: Vectors = self._encoder.encode_queries([query])[0]
        return vector
