"""Where in a passage its match shows: the words of the query, or the sentence nearest to its meaning."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.reader import LexicalReader
from retrieval.protocols import Encoder
from retrieval.types import Hit

Span: TypeAlias = tuple[int, int]
Spans: TypeAlias = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks what stands in the shown passages of hits.  Without an index of words none are looked for, without an
    encoder no sentences; with both, sentences are for passages without a word of the query."""

    words: LexicalReader | None
    encoder: Encoder | None

    def added(self, query: str, vector: NDArray[np.float32] | None, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """The hits with their highlights."""
        texts = [passage.text for hit in hits for passage in hit.passages]
        marks: list[Spans] = [()] * len(texts)
        if self.words:
            marks = matched_words(self.words.analyzer, self.words.telling_terms(query), texts)
        unmarked = [place for place, each in enumerate(marks) if not each]
        if self.encoder and vector is not None:
            sentences = best_sentences(self.encoder, vector, [texts[place] for place in unmarked])
            for place, sentence in zip(unmarked, sentences, strict=True):
                marks[place] = sentence
        each = iter(marks)
        return tuple(
            replace(hit, passages=tuple(replace(passage, highlights=next(each)) for passage in hit.passages))
            for hit in hits
        )


_SENTENCE = regex.compile(r"\S(?:[^.!?。！？\n]|[.!?](?=\S))*[.!?。！？]*")
_MAX_SENTENCES = 32  # of a passage that are compared


def matched_words(analyzer: Analyzer, wanted: Set[str], texts: Sequence[str]) -> list[Spans]:
    """For each text, the spans of words that have one of the terms; those that touch or overlap are one."""
    known: dict[str, bool] = {}

    def matches(word: str) -> bool:
        if word not in known:
            known[word] = not wanted.isdisjoint(analyzer.form(word).terms)
        return known[word]

    return [_joined([(word.start, word.end) for word in analyzer.locate(text) if matches(word.text)]) for text in texts]


def best_sentences(encoder: Encoder, vector: NDArray[np.float32], texts: Sequence[str]) -> list[Spans]:
    """For each text, the span of the sentence whose vector is nearest to the query's; none for a single sentence."""
    spans = [_sentences(text) for text in texts]
    pieces = [text[start:end] for text, some in zip(texts, spans, strict=True) for start, end in some if len(some) > 1]
    if not pieces:
        return [()] * len(texts)
    scores = iter((encoder.encode_passages(pieces) @ vector).tolist())
    found: list[Spans] = []
    for some in spans:
        if len(some) > 1:
            ranked = [next(scores) for _ in some]
            found.append((some[ranked.index(max(ranked))],))
        else:
            found.append(())
    return found


def _sentences(text: str) -> list[Span]:
    return [match.span() for match in _SENTENCE.finditer(text)][:_MAX_SENTENCES]


def _joined(spans: Sequence[Span]) -> Spans:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
