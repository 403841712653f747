"""Compare a sentence with each sentence of a context.

The support of a sentence is the mean of two parts, each from 0 to 1:

- the share of its terms, weighted by idf, that the compared sentence has, or its neighbours, or the document's title;
- the cosine of both sentences, scaled so that the mean of unrelated texts is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.search.answers.context import Citation
from retrieval.search.answers.sentences import sentence_spans
from retrieval.search.searcher import Searcher
from retrieval.types import Vectors

MAX_SOURCES = 2_000  # sentences of a context that are compared
MAX_SENTENCE = 1_000  # characters of a sentence that are read
UNRELATED_COSINE = 0.1  # in a collection that is too small to measure it
MIN_WORD = 4  # letters of a term, in a collection without a lexical index


@dataclass(frozen=True, slots=True)
class SourceSentence:
    """A sentence of a citation: `text[start:end]` of its document."""

    citation: Citation
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.citation.text[self.start - self.citation.start : self.end - self.citation.start]


class SourceSentences:
    """The sentences of a context, encoded once.  For one thread at a time."""

    def __init__(self, citations: Sequence[Citation], searcher: Searcher) -> None:
        self._searcher = searcher
        self._lexical = searcher.reader.lexical
        found = [
            SourceSentence(each, each.start + start, each.start + end)
            for each in citations
            for start, end in sentence_spans(each.text)
        ]
        self.sentences = found[:MAX_SOURCES]
        texts = [each.text[:MAX_SENTENCE] for each in self.sentences]
        self.vectors: Vectors = searcher.encoder.encode_passages(texts)
        self._terms = self._with_neighbours([frozenset(self.terms(text)) for text in texts])

    def support(self, text: str, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how much each sentence supports a text: (sentences,), 0 to 1."""
        return (self._shares(text) + self._cosines(vector)) / 2

    def encoded(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a sentence of an answer."""
        vector: NDArray[np.float32] = self._searcher.encoder.encode_passages([text[:MAX_SENTENCE]])[0]
        return vector

    def encoded_question(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question."""
        vector: NDArray[np.float32] = self._searcher.encoder.encode_queries([text])[0]
        return vector

    def terms(self, text: str) -> list[str]:
        """Return the terms of a text that carry meaning."""
        if self._lexical is not None:
            return self._lexical.ranking_terms(text)
        analyzer = Analyzer("none")
        return [term for term in analyzer.terms(analyzer.split(text)) if len(term) >= MIN_WORD]

    def _shares(self, text: str) -> NDArray[np.float64]:
        weights = {term: self._lexical.idf(term) if self._lexical else 1.0 for term in self.terms(text)}
        total = sum(weights.values())
        shared = [sum(weight for term, weight in weights.items() if term in known) for known in self._terms]
        return np.array(shared, np.float64) / total if total else np.zeros(len(self._terms))

    def _cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        background = self._searcher.reader.manifest.background
        zero = background.mean if background is not None else UNRELATED_COSINE
        cosines = (self.vectors @ vector).astype(np.float64)
        return np.clip((cosines - zero) / (1.0 - zero), 0.0, 1.0)

    def _with_neighbours(self, terms: Sequence[frozenset[str]]) -> list[frozenset[str]]:
        """Return the terms of each sentence, its neighbours and the title."""
        joined = []
        titles = {each.citation.id: frozenset(self.terms(each.citation.title)) for each in self.sentences}
        for position, sentence in enumerate(self.sentences):
            around = range(max(0, position - 1), min(len(terms), position + 2))
            own = [terms[other] for other in around if self.sentences[other].citation is sentence.citation]
            joined.append(titles[sentence.citation.id].union(*own))
        return joined
