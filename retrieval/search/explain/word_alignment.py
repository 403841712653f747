"""Word alignment: the word of each token, and the offsets of each word."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.tokenizer import Tokens

SPECIAL = "special"


@dataclass(frozen=True, slots=True)
class TextPart:
    """A named part of the text that the encoder reads."""

    place: str  # "prompt", "title", "heading", "text"
    text: str


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word with its offsets within its part; special tokens are one empty word."""

    text: str
    place: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class AlignedWords:
    """The words of a text, and the number of each token's word, (tokens,)."""

    words: tuple[AlignedWord, ...]
    of_token: NDArray[np.int64]

    def sums(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sum over each word's tokens: (tokens, …) → (words, …)."""
        order = np.argsort(self.of_token, kind="stable")
        starts = np.searchsorted(self.of_token[order], np.arange(len(self.words)))
        return np.add.reduceat(tokens[order], starts, axis=0, dtype=np.float64)


def joined(prompt: str, parts: Sequence[TextPart]) -> str:
    """Return the text that the encoder reads: the prompt and the non-empty parts."""
    return prompt + " ".join(part.text for part in parts if part.text)


def align_words(tokens: Tokens, prompt: str, parts: Sequence[TextPart]) -> AlignedWords:
    """Join the word pieces of the tokenizer to words again."""
    starts = _part_starts(prompt, parts)
    whole = joined(prompt, parts)
    numbers: dict[tuple[str, int], int] = {}
    bounds: list[tuple[str, int, int]] = []
    of_token = np.zeros(len(tokens.words), dtype=np.int64)
    for position, (number, (start, end)) in enumerate(zip(tokens.words.tolist(), tokens.spans.tolist(), strict=True)):
        start, end = _trimmed(whole, start, end)
        name, base = (SPECIAL, 0) if number < 0 else _part_at(starts, start)
        key = (name, number)
        if key not in numbers:
            numbers[key] = len(bounds)
            bounds.append((name, start - base, end - base))
        of_token[position] = word = numbers[key]
        _, first, last = bounds[word]
        bounds[word] = (name, min(first, start - base), max(last, end - base))
    texts = {"prompt": prompt, SPECIAL: "", **{part.place: part.text for part in parts}}
    return AlignedWords(tuple(AlignedWord(texts[name][a:b], name, a, b) for name, a, b in bounds), of_token)


def _part_starts(prompt: str, parts: Sequence[TextPart]) -> list[tuple[int, str]]:
    """Return the offset of each part in the joined text, and its name, in order."""
    starts = [(0, "prompt")] if prompt else []
    offset = len(prompt)
    for part in parts:
        if part.text:
            starts.append((offset, part.place))
            offset += len(part.text) + 1
    return starts


def _part_at(starts: Sequence[tuple[int, str]], offset: int) -> tuple[str, int]:
    start, name = starts[max(0, bisect_right(starts, offset, key=itemgetter(0)) - 1)]
    return name, start


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out the space before a word that some tokenizers count to the word."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
