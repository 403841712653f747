"""Answer a question by the best sentences of a context, without a model."""

from __future__ import annotations

import numpy as np

from retrieval.search.answers.answer import AnswerSentence, Support
from retrieval.search.answers.sources import SourceSentences

CLOSE_SHARE = 0.6  # of the best sentence's score; sentences below are left out
SAME_COSINE = 0.9  # of two sentences that say the same
MIN_WORDS = 4
MAX_CHARACTERS = 600


def best_sentences(question: str, sources: SourceSentences, count: int) -> list[AnswerSentence]:
    """Return up to `count` sentences that answer the question best, the best first."""
    if not sources.sentences:
        return []
    scores = sources.support(question, sources.encoded_question(question))
    usable = np.array([_is_usable(each.text) for each in sources.sentences])
    if usable.any():
        scores = np.where(usable, scores, 0.0)
    chosen: list[int] = []
    for position in np.argsort(-scores, kind="stable").tolist():
        if len(chosen) == count or (chosen and scores[position] < CLOSE_SHARE * scores[chosen[0]]):
            break
        if all(sources.vectors[position] @ sources.vectors[other] < SAME_COSINE for other in chosen):
            chosen.append(position)
    return [_sentence(sources, position, float(scores[position])) for position in chosen]


def _is_usable(text: str) -> bool:
    return (len(text) <= MAX_CHARACTERS and len(text.split()) >= MIN_WORDS) or not text.isascii()


def _sentence(sources: SourceSentences, position: int, score: float) -> AnswerSentence:
    support = Support.of(sources.sentences[position], score)
    return AnswerSentence(" ".join(support.text.split()), (support,), supported=True)
