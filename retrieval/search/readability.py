"""Readability: the share of a text that the encoder can read, and a dense weight.

A tokenizer maps every text to tokens, also text in a language that it was not made for: to unknown tokens, or to single
characters or bytes that it never learnt to compose.  Vectors of such text say little, so BM25 has to decide.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import regex
from numpy.typing import NDArray

from retrieval.types import Document

if TYPE_CHECKING:
    from tokenizers import Encoding

MAX_CHARACTERS = 2_000  # read of a text
UNKNOWN = ("[UNK]", "<unk>", "<UNK>", "UNK")
_COMPOSED, _SPELT = 0.5, 0.75  # tokens per letter: up to the first a script is read, from the second on it is spelt
_NEGLIGIBLE = 0.005  # an unreadable share that changes nothing
_CHARACTER_LEVEL = 0.6  # tokens per letter of English; a tokenizer with more spells every script, and may read so
_SAMPLE = "the language of this sentence is read without any difficulty by people who understand English words"
_KANA = r"\p{Hiragana}\p{Katakana}\u30FC"
_RUN = regex.compile(rf"\p{{Han}}+|[{_KANA}]+|[[\p{{L}}\p{{M}}]--[\p{{Han}}{_KANA}]]+", regex.V1)
_FOREIGN = regex.compile(r"[[\p{L}\p{M}]--[a-zA-Z]]", regex.V1)
_WORD = regex.compile(r"[a-zA-Z0-9]")  # every encoder knows some token for these
_MEANINGFUL = regex.compile(r"[\p{L}\p{N}\p{S}]")  # neither punctuation nor control
_SYLLABLES = frozenset({"CJK", "HANGUL"})  # a letter of these is a syllable or more, and may well be a token
_SHORT = 2  # letters; every tokenizer spells symbols and initials


class WholeTokenizer(Protocol):
    """The part of the encoder's tokenizer that readability needs."""

    @property
    def is_estimated(self) -> bool: ...

    def whole_encoding(self, text: str) -> Encoding: ...

    def token_id(self, token: str) -> int | None: ...


@dataclass(frozen=True, slots=True)
class DenseWeight:
    """The dense share of a fused score, and the reason for it."""

    value: float
    reason: str


@dataclass(slots=True)
class _LetterCounts:
    unknown: int = 0  # letters of words with an unknown token
    short: int = 0  # letters of short words
    known: int = 0  # letters of all other words
    tokens: int = 0  # tokens of these other words


class Readability:
    """Measures how well a tokenizer reads a text.  Safe to call from several threads."""

    def __init__(self, tokenizer: WholeTokenizer) -> None:
        self._tokenizer = tokenizer

    def can_encode(self, text: str) -> bool:
        """Check whether the tokenizer knows a letter, digit or symbol of the text."""
        if _WORD.search(text):
            return True
        encoding = self._tokenizer.whole_encoding(text[:MAX_CHARACTERS])
        return any(
            token not in self._unknown and _MEANINGFUL.search(text, start, end)
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        )

    def unreadable_share(self, text: str) -> float:
        """Return the share of letters that the encoder cannot read, from 0 to 1.

        A word with an unknown token counts with all its letters.  Of the other words of a script, no letters count when
        tokens are clearly longer than letters, all when they are not, and a part of them in between.  A text without
        letters has a share of 0.
        """
        text = text[:MAX_CHARACTERS]
        if text.isascii() or not _FOREIGN.search(text) or self._tokenizer.is_estimated:
            return 0.0
        counts = self._counts_by_script(text)
        spelt = sum(each.known * self._spelt_share(script, each) for script, each in counts.items())
        total = sum(each.unknown + each.known + each.short for each in counts.values())
        return (sum(each.unknown for each in counts.values()) + spelt) / total if total else 0.0

    def unreadable_shares(self, documents: Sequence[Document]) -> NDArray[np.float32]:
        """Return the unreadable share of each document's title and start, (documents,)."""
        texts = (f"{each.title} {each.text[:MAX_CHARACTERS]}" for each in documents)
        return np.array([self.unreadable_share(text) for text in texts], dtype=np.float32)

    def _spelt_share(self, script: str, counts: _LetterCounts) -> float:
        """Return how surely the tokenizer spells a script letter by letter, from 0 to 1."""
        if not counts.known:
            return 0.0
        density = counts.tokens / counts.known
        if script in _SYLLABLES:
            return float(density > 1.0)
        if self._is_character_level:
            return 0.0
        return float(np.clip((density - _COMPOSED) / (_SPELT - _COMPOSED), 0.0, 1.0))

    def _counts_by_script(self, text: str) -> dict[str, _LetterCounts]:
        encoding = self._tokenizer.whole_encoding(text)
        spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        real = spans[:, 0] < spans[:, 1]
        unknown = np.isin(encoding.ids, self._unknown)
        words = np.array([run.span() for run in _RUN.finditer(text)], np.int64).reshape(-1, 2)
        tokens = _count_within(spans[real, 0], words)
        has_unknown = _count_within(spans[real & unknown, 0], words) > 0
        counts: dict[str, _LetterCounts] = defaultdict(_LetterCounts)
        lengths = words[:, 1] - words[:, 0]
        columns = (each.tolist() for each in (words[:, 0], lengths, tokens, has_unknown))
        for start, length, num_tokens, is_unknown in zip(*columns, strict=True):
            script = counts[_script(text[start])]
            if is_unknown:
                script.unknown += length
            elif length <= _SHORT:
                script.short += length
            else:
                script.known += length
                script.tokens += num_tokens
        return counts

    @cached_property
    def _unknown(self) -> list[int]:
        ids = (self._tokenizer.token_id(token) for token in UNKNOWN)
        return [token for token in ids if token is not None]

    @cached_property
    def _is_character_level(self) -> bool:
        return len(self._tokenizer.whole_encoding(_SAMPLE).ids) / len(_SAMPLE) > _CHARACTER_LEVEL


def _count_within(starts: NDArray[np.int64], spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the `starts`, which are in ascending order, within each span, (spans,)."""
    return np.diff(np.searchsorted(starts, spans), axis=1)[:, 0]


@lru_cache(maxsize=4_096)
def _script(letter: str) -> str:
    """Return the first word of a letter's Unicode name, such as LATIN or CJK."""
    return unicodedata.name(letter, "OTHER").partition(" ")[0].partition("-")[0]


def dense_weight(
    requested: float | None, tuned: float | None, default: float, query: float, collection: float | None
) -> DenseWeight:
    """Return the requested weight; else the tuned or default one, lowered.

    `query` and `collection` are the unreadable shares, from 0 to 1, that lower it.
    """
    if requested is not None:
        return DenseWeight(requested, "as requested")
    full = default if tuned is None else tuned
    base = f"the default of {full}" if tuned is None else f"tuned for this collection, {full}"
    unreadable = 1.0 - (1.0 - query) * (1.0 - (collection or 0.0))
    if unreadable < _NEGLIGIBLE:
        return DenseWeight(full, base)
    shares = {"query": query, "collection": collection or 0.0}
    parts = " and ".join(f"{share:.0%} of the {name}" for name, share in shares.items() if share >= _NEGLIGIBLE)
    return DenseWeight(round(full * (1.0 - unreadable), 4), f"{base}, lowered: the encoder cannot read {parts}")
