"""Highlights: matching words of a passage, or the sentence with the best cosine."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.reader import LexicalReader
from retrieval.protocols import Encoder
from retrieval.results import Hit

Offsets: TypeAlias = tuple[int, int]  # [start, end) in code points
Highlights: TypeAlias = tuple[Offsets, ...]

_SENTENCE = regex.compile(r"\S(?:[^.!?。！？\n]|[.!?](?=\S))*+[.!?。！？]*")
_MAX_SENTENCES = 32  # sentences of a passage that are compared


@dataclass(frozen=True, slots=True)
class Highlighter:
    """Highlights the shown passages of hits.

    `lexical` highlights words.  `encoder` highlights a sentence; with both, only in passages without a matching word.
    """

    lexical: LexicalReader | None
    encoder: Encoder | None

    def highlight(self, query: ParsedQuery, vector: NDArray[np.float32] | None, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        texts = [passage.text for hit in hits for passage in hit.passages]
        found: list[Highlights] = [()] * len(texts)
        if self.lexical:
            found = matched_words(self.lexical.analyzer, self.lexical.telling_terms(query), texts)
        unmatched = [position for position, highlights in enumerate(found) if not highlights]
        if self.encoder and vector is not None:
            sentences = nearest_sentences(self.encoder, vector, [texts[position] for position in unmatched])
            for position, sentence in zip(unmatched, sentences, strict=True):
                found[position] = sentence
        in_order = iter(found)
        return tuple(
            replace(hit, passages=tuple(replace(passage, highlights=next(in_order)) for passage in hit.passages))
            for hit in hits
        )


def matched_words(analyzer: Analyzer, terms: Set[str], texts: Sequence[str]) -> list[Highlights]:
    """Return the words of each text that have one of the terms; join adjacent ones."""
    known: dict[str, bool] = {}

    def matches(word: str) -> bool:
        if word not in known:
            known[word] = not terms.isdisjoint(analyzer.analyze_word(word).terms)
        return known[word]

    return [_joined([(word.start, word.end) for word in analyzer.locate(text) if matches(word.text)]) for text in texts]


def nearest_sentences(encoder: Encoder, vector: NDArray[np.float32], texts: Sequence[str]) -> list[Highlights]:
    """Return each text's sentence nearest to `vector`; none if it has only one."""
    sentences = [[found.span() for found in _SENTENCE.finditer(text)][:_MAX_SENTENCES] for text in texts]
    several = [(text, spans) for text, spans in zip(texts, sentences, strict=True) if len(spans) > 1]
    compared = [text[start:end] for text, spans in several for start, end in spans]
    if not compared:
        return [()] * len(texts)
    scores = iter((encoder.encode_passages(compared) @ vector).tolist())
    found: list[Highlights] = []
    for offsets in sentences:
        cosines = [next(scores) for _ in offsets] if len(offsets) > 1 else []
        found.append((offsets[cosines.index(max(cosines))],) if cosines else ())
    return found


def _joined(words: Sequence[Offsets]) -> Highlights:
    joined: list[Offsets] = []
    for start, end in sorted(words):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
