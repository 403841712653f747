"""Tokens joined to words, and where in a query or a passage each word stands."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.token_states import Tokens

SPECIAL = "special"


@dataclass(frozen=True, slots=True)
class Part:
    """A named stretch of what the encoder reads."""

    place: str  # "prompt", "title", "heading", "text"
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its offsets within its part; special tokens together are one word without text."""

    text: str
    place: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Words:
    """The words of an input, and which one each token belongs to, (t,)."""

    words: tuple[Word, ...]
    of_token: NDArray[np.int64]

    def sums(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """(t, …) → (words, …), the sum over each word's tokens; each word has one at least."""
        order = np.argsort(self.of_token, kind="stable")
        starts = np.searchsorted(self.of_token[order], np.arange(len(self.words)))
        return np.add.reduceat(tokens[order], starts, axis=0, dtype=np.float64)


def joined(prompt: str, parts: Sequence[Part]) -> str:
    """What the encoder reads: the prompt, then the non-empty parts with one space between them."""
    return prompt + " ".join(part.text for part in parts if part.text)


def words_of(tokens: Tokens, prompt: str, parts: Sequence[Part]) -> Words:
    """Pieces that the tokenizer took from one word become that word again."""
    stretches = _stretches(prompt, parts)
    whole = joined(prompt, parts)
    numbers: dict[tuple[str, int], int] = {}
    bounds: list[tuple[str, int, int]] = []
    of_token = np.zeros(len(tokens.words), dtype=np.int64)
    for place, (number, (start, end)) in enumerate(zip(tokens.words.tolist(), tokens.spans.tolist(), strict=True)):
        start, end = _trimmed(whole, start, end)
        name, base = (SPECIAL, 0) if number < 0 else _stretch_at(stretches, start)
        key = (name, number)
        if key not in numbers:
            numbers[key] = len(bounds)
            bounds.append((name, start - base, end - base))
        else:
            known = bounds[numbers[key]]
            bounds[numbers[key]] = (name, min(known[1], start - base), max(known[2], end - base))
        of_token[place] = numbers[key]
    texts = {"prompt": prompt, SPECIAL: "", **{part.place: part.text for part in parts}}
    return Words(tuple(Word(texts[name][a:b], name, a, b) for name, a, b in bounds), of_token)


def _stretches(prompt: str, parts: Sequence[Part]) -> list[tuple[int, str]]:
    """Where each part begins in the joined text, in order."""
    begins = [(0, "prompt")] if prompt else []
    place = len(prompt)
    for part in parts:
        if part.text:
            begins.append((place, part.place))
            place += len(part.text) + 1
    return begins


def _stretch_at(stretches: Sequence[tuple[int, str]], place: int) -> tuple[str, int]:
    begin, name = stretches[max(0, bisect_right(stretches, place, key=itemgetter(0)) - 1)]
    return name, begin


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Some tokenizers count the space before a word to the word."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
