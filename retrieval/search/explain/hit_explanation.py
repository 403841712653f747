"""Explanations of hits: shares of words in the cosine and of terms in the BM25."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.explanations import (
    DenseExplanation,
    Explanation,
    LexicalExplanation,
    SparseExplanation,
    WindowExplanation,
)
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.searched_fields import searched_texts
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.sparse_reader import SparseReader
from retrieval.results import Hit
from retrieval.search.explain.attribution import CosineExplainer, TextAttention
from retrieval.search.explain.word_alignment import TextPart
from retrieval.types import Document, Mode, Passage, Rows, TermWeights, Vectors


@dataclass(frozen=True, slots=True)
class ExplainedPassage:
    """A passage to explain."""

    row: int
    document: Document
    passage: Passage

    @property
    def text(self) -> str:
        return self.document.text[self.passage.start : self.passage.end]

    @property
    def parts(self) -> tuple[TextPart, ...]:
        return (
            TextPart("title", self.document.title),
            TextPart("heading", self.passage.heading),
            TextPart("text", self.text),
        )


class HitExplainer:
    """Explains scores in one open generation.  Safe to call from several threads.

    Explanations take the parsed query, `text`, the part of it that the encoder reads, `vector`, (dimension,), the
    embedding of that text, and its `weights` by the sparse encoder.  Each of the last two is None where the mode needs
    none.
    """

    def __init__(self, reader: IndexReader, encoder: SentenceEncoder) -> None:
        self._reader = reader
        self._encoder = encoder
        self._cosines = CosineExplainer(encoder)

    def explain_hits(
        self,
        query: ParsedQuery,
        text: str,
        hits: Sequence[Hit],
        mode: Mode,
        vector: Vectors | None,
        weights: TermWeights | None = None,
        window_share: float = 0.0,
    ) -> tuple[Hit, ...]:
        """Return the hits, each with the explanation of the passage that it shows first."""
        chosen = self.shown_passages(hits)
        explanations = self._explain(query, text, chosen, mode, vector, weights)
        if window_share and vector is not None:
            explanations = [
                replace(each, window=self._window(passage.row, vector, window_share))
                for each, passage in zip(explanations, chosen, strict=True)
            ]
        return tuple(replace(hit, explanation=each) for hit, each in zip(hits, explanations, strict=True))

    def shown_passages(self, hits: Sequence[Hit]) -> list[ExplainedPassage]:
        """Return the passage that each hit shows first."""
        return [self._passage(hit.id, hit.passages[0].start if hit.passages else 0) for hit in hits]

    def explain_document(
        self,
        query: ParsedQuery,
        text: str,
        document_id: str,
        mode: Mode,
        weights: TermWeights | None = None,
        *,
        start: int | None = None,
    ) -> Explanation:
        """Explain the passage at `start`, else the best.  Raises DocumentNotFound."""
        vector = None if mode in (Mode.LEXICAL, Mode.SPARSE) else self._vector(text)
        if start is None:
            chosen = self._best_passage(query, document_id, vector, weights)
        else:
            chosen = self._passage(document_id, start)
        return self._explain(query, text, [chosen], mode, vector, weights)[0]

    def attention(
        self, query: str, document_id: str, layer: int, *, heads: Sequence[int] | None = None, of_query: bool
    ) -> TextAttention:
        """Return the self-attention over the query or the document's best passage."""
        if of_query:
            return self._cosines.attention([TextPart("text", query)], layer, heads=heads, query=True)
        best = self._best_passage(ParsedQuery(query), document_id, self._vector(query))
        return self._cosines.attention(best.parts, layer, heads=heads)

    def _explain(
        self,
        query: ParsedQuery,
        text: str,
        chosen: Sequence[ExplainedPassage],
        mode: Mode,
        vector: Vectors | None,
        weights: TermWeights | None,
    ) -> list[Explanation]:
        dense = [None] * len(chosen) if vector is None else self._dense(text, vector, chosen)
        lexical = self._reader.lexical if mode in (Mode.LEXICAL, Mode.HYBRID) else None
        sparse = self._reader.sparse
        return [
            Explanation(
                each.passage.start,
                each.passage.end,
                cosine,
                None if lexical is None else _explain_bm25(lexical, query, each),
                None if sparse is None or weights is None else _explain_sparse(sparse, weights, each.row),
            )
            for each, cosine in zip(chosen, dense, strict=True)
        ]

    def _dense(
        self, text: str, vector: Vectors, chosen: Sequence[ExplainedPassage]
    ) -> Sequence[DenseExplanation | None]:
        rows = np.array([each.row for each in chosen], dtype=np.int64)
        scores = self._reader.vectors.score(vector, rows)
        return self._cosines.explain(text, [each.parts for each in chosen], scores.tolist())

    def _window(self, row: int, vector: Vectors, share: float) -> WindowExplanation | None:
        """Return the best window of a passage; None if it has none."""
        windows = self._reader.windows(row)
        if windows is None or not len(windows.spans):
            return None
        scores = windows.vectors @ vector
        best = int(np.argmax(scores))
        start, end = windows.spans[best].tolist()
        return WindowExplanation(start, end, float(scores[best]), share)

    def _passage(self, document_id: str, start: int) -> ExplainedPassage:
        """Return the passage that begins at `start`; by default the first passage."""
        rows, document = self._rows(document_id)
        passages = self._reader.passages(rows)
        position = next((i for i, passage in enumerate(passages) if passage.start == start), 0)
        return ExplainedPassage(int(rows[position]), document, passages[position])

    def _best_passage(
        self, query: ParsedQuery, document_id: str, vector: Vectors | None, weights: TermWeights | None = None
    ) -> ExplainedPassage:
        """Return the passage with the best cosine; without one, sparse score or BM25."""
        rows, document = self._rows(document_id)
        lexical, sparse = self._reader.lexical, self._reader.sparse
        if vector is None and weights is not None and sparse is not None:
            scores = sparse.query(weights).score(rows)
        elif vector is None and lexical is not None:
            scores = lexical.score(query, rows)
        else:
            scores = self._reader.vectors.score(self._vector(query.plain) if vector is None else vector, rows)
        best = int(np.argmax(scores))
        return ExplainedPassage(int(rows[best]), document, self._reader.passages(rows[best : best + 1])[0])

    def _rows(self, document_id: str) -> tuple[Rows, Document]:
        number = self._reader.document_row(document_id)
        first, last = np.searchsorted(self._reader.document_of, [number, number + 1])
        return np.arange(first, last, dtype=np.int64), self._reader.documents([number])[0]

    def _vector(self, query: str) -> Vectors:
        vector: Vectors = self._encoder.encode_queries([query])[0]
        return vector


def _explain_sparse(sparse: SparseReader, weights: TermWeights, row: int) -> SparseExplanation:
    """Split a passage's sparse score into its terms' scores, greatest first."""
    terms = sparse.weighted_terms(weights, row)
    score = float(sparse.query(weights).score(np.array([row], dtype=np.int64))[0])
    return SparseExplanation(score, tuple(sorted(terms, key=lambda term: -term.score)))


def _explain_bm25(lexical: LexicalReader, query: ParsedQuery, explained: ExplainedPassage) -> LexicalExplanation:
    """Split a passage's BM25 into its terms' scores and their words, greatest first."""
    offsets_of_form: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for word in lexical.analyzer.locate(explained.text):
        offsets_of_form[word.text].append((word.start, word.end))
    offsets_of_term: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for form, offsets in offsets_of_form.items():
        for term in set(lexical.analyzer.analyze_word(form).terms):
            offsets_of_term[term] += offsets
    searched = lexical.settings.searched_fields
    texts = zip(searched, searched_texts(explained.document, searched), strict=True)
    found = {field: set(lexical.analyzer.terms(lexical.analyzer.split(text))) for field, text in texts}
    terms = (
        replace(
            part,
            words=tuple(sorted(offsets_of_term[part.term])),
            fields=tuple(field for field, terms in found.items() if part.term in terms),
        )
        for part in lexical.term_parts(query, explained.row)
        if part.score
    )
    score = float(lexical.score(query, np.array([explained.row], dtype=np.int64))[0])
    ordered = tuple(sorted(terms, key=lambda term: -term.score))
    read = lexical.terms_of(query)
    return LexicalExplanation(score, ordered, read.stop_words, read.replacements)
