"""Which share of a text the encoder can read, and what that means for its weight.

A tokenizer maps every text to tokens, also one in a language that it was not made for: to unknown ones, or to single
characters or bytes that it never learnt to compose.  Vectors of such text say little, so words have to decide.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
import regex
from numpy.typing import NDArray

from retrieval.types import Document

MAX_CHARACTERS = 2_000  # of a text that are looked at
UNKNOWN = ("[UNK]", "<unk>", "<UNK>", "UNK")
_COMPOSED, _SPELT = 0.5, 0.75  # tokens per letter: up to the first a script is read, from the second on only spelt
_NEGLIGIBLE = 0.005  # an unreadable share that changes nothing
_CHARACTER_LEVEL = (
    0.6  # a tokenizer with more tokens per letter of English than this spells everything, and may read so
)
_SAMPLE = "the language of this sentence is read without any difficulty by people who understand English words"
_KANA = r"\p{Hiragana}\p{Katakana}\u30FC"
_RUN = regex.compile(rf"\p{{Han}}+|[{_KANA}]+|[[\p{{L}}\p{{M}}]--[\p{{Han}}{_KANA}]]+", regex.V1)
_FOREIGN = regex.compile(r"[[\p{L}\p{M}]--[a-zA-Z]]", regex.V1)
_WORD = regex.compile(r"[a-zA-Z0-9]")  # what every encoder knows some token for
_TELLING = regex.compile(r"[\p{L}\p{N}\p{S}]")  # neither punctuation nor control
_SYLLABLES = frozenset({"CJK", "HANGUL"})  # a letter of these is as much as a word's part, and may well be a token
_SHORT = 2  # letters; symbols and initials are spelt by every tokenizer


class Encoded(Protocol):
    """Tokens of one text, as the tokenizers library gives them."""

    @property
    def ids(self) -> list[int]: ...

    @property
    def offsets(self) -> list[tuple[int, int]]: ...


class WholeTokenizer(Protocol):
    """What is asked of the encoder's tokenizer."""

    def whole_encoding(self, text: str) -> Encoded: ...

    def token_id(self, token: str) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Weight:
    """The dense share of a fused score, and why it is that."""

    value: float
    reason: str


@dataclass(slots=True)
class _Counts:
    """Letters of words with an unknown token, of short words and of the others; and the tokens of these."""

    unknown: int = 0
    short: int = 0
    known: int = 0
    tokens: int = 0


class Readability:
    """Reads with the eyes of one tokenizer.  Safe to call from several threads."""

    def __init__(self, tokenizer: WholeTokenizer) -> None:
        self._tokenizer = tokenizer

    def sees(self, text: str) -> bool:
        """Whether any token of a text tells something: a known one with a letter, a digit or a symbol."""
        if _WORD.search(text):
            return True
        encoded = self._tokenizer.whole_encoding(text[:MAX_CHARACTERS])
        return any(
            number not in self._unknown and _TELLING.search(text, start, end)
            for number, (start, end) in zip(encoded.ids, encoded.offsets, strict=True)
        )

    def unreadable_share(self, text: str) -> float:
        """Share of the letters of a text that cannot be read, from 0 to 1; 0 for text without letters.

        Per script: all letters of words that hold an unknown token; of the others none where tokens are clearly
        longer than letters, all where they are not, and a part in between.
        """
        text = text[:MAX_CHARACTERS]
        if text.isascii() or not _FOREIGN.search(text):
            return 0.0
        counts = self._counted(text)
        spelt = sum(each.known * self._spelt(script, each) for script, each in counts.items())
        total = sum(each.unknown + each.known + each.short for each in counts.values())
        return (sum(each.unknown for each in counts.values()) + spelt) / total if total else 0.0

    def unreadable_shares(self, documents: Sequence[Document]) -> NDArray[np.float32]:
        """Of the title and the beginning of each document, (documents,)."""
        texts = (f"{each.title} {each.text[:MAX_CHARACTERS]}" for each in documents)
        return np.array([self.unreadable_share(text) for text in texts], dtype=np.float32)

    def _spelt(self, script: str, counts: _Counts) -> float:
        """How surely a script's letters are spelt one by one, from 0 to 1."""
        if not counts.known:
            return 0.0
        density = counts.tokens / counts.known
        if script in _SYLLABLES:
            return float(density > 1.0)
        if self._is_character_level:
            return 0.0
        return float(np.clip((density - _COMPOSED) / (_SPELT - _COMPOSED), 0.0, 1.0))

    def _counted(self, text: str) -> dict[str, _Counts]:
        """What the tokens of a text say of its words, by script."""
        encoded = self._tokenizer.whole_encoding(text)
        spans = np.array(encoded.offsets, np.int64).reshape(-1, 2)
        real = spans[:, 0] < spans[:, 1]
        unknown = np.isin(encoded.ids, self._unknown)
        words = np.array([run.span() for run in _RUN.finditer(text)], np.int64).reshape(-1, 2)
        tokens = _within(spans[real, 0], words)
        unreadable = _within(spans[real & unknown, 0], words) > 0
        counts: dict[str, _Counts] = defaultdict(_Counts)
        lengths = words[:, 1] - words[:, 0]
        columns = (each.tolist() for each in (words[:, 0], lengths, tokens, unreadable))
        for start, length, found, foreign in zip(*columns, strict=True):
            here = counts[_script(text[start])]
            if foreign:
                here.unknown += length
            elif length <= _SHORT:
                here.short += length
            else:
                here.known += length
                here.tokens += found
        return counts

    @cached_property
    def _unknown(self) -> list[int]:
        ids = (self._tokenizer.token_id(token) for token in UNKNOWN)
        return [number for number in ids if number is not None]

    @cached_property
    def _is_character_level(self) -> bool:
        encoded = self._tokenizer.whole_encoding(_SAMPLE)
        return len(encoded.ids) / len(_SAMPLE) > _CHARACTER_LEVEL


def _within(starts: NDArray[np.int64], spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of `starts`, ascending, lie in each span, (spans,)."""
    return np.diff(np.searchsorted(starts, spans), axis=1)[:, 0]


@lru_cache(maxsize=4_096)
def _script(letter: str) -> str:
    """The first word of a letter's name: LATIN, CYRILLIC, CJK, ..."""
    return unicodedata.name(letter, "OTHER").partition(" ")[0].partition("-")[0]


def dense_weight(
    asked: float | None, tuned: float | None, default: float, query: float, collection: float | None
) -> Weight:
    """The weight that was asked for; else the collection's own or the default, lowered by what cannot be read.

    query, collection: unreadable shares.
    """
    if asked is not None:
        return Weight(asked, "as requested")
    full = default if tuned is None else tuned
    base = f"the default of {full}" if tuned is None else f"tuned for this collection, {full}"
    unreadable = 1.0 - (1.0 - query) * (1.0 - (collection or 0.0))
    if unreadable < _NEGLIGIBLE:
        return Weight(full, base)
    shares = {"query": query, "collection": collection or 0.0}
    what = " and ".join(f"{share:.0%} of the {name}" for name, share in shares.items() if share >= _NEGLIGIBLE)
    return Weight(round(full * (1.0 - unreadable), 4), f"{base}, lowered: the encoder cannot read {what}")
