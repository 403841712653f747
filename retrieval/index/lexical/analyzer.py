"""Text to terms, the same when a collection is built and when it is asked.

A text is folded (NFKC: half- and full-width forms become one, marks are composed) and split into *words*:

- runs of letters, digits, marks and `_`, with single dots inside (`str.rstrip`, `3.14`) and `++` or `#` behind
  (`C++`, `C#`); a possessive `'s` is dropped, other apostrophes and hyphens separate;
- in scripts written without spaces (Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese) every character and every
  pair of neighbours.

Each word gives terms: itself in lower case, stemmed (Snowball) unless it holds digits or signs; and, when it is
composed as code is, its parts too: `np.matrixNorm` gives `np.matrixnorm`, `np`, `matrixnorm`, `matrix`, `norm`.
There are no stop words: BM25 weighs frequent terms down, and a query of nothing else still has an answer.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from itertools import accumulate

import regex
import Stemmer

from retrieval.index.storage.bounded_cache import Remembered

MAX_TERM = 100  # characters; longer terms are cut

_KNOWN_CHARACTERS = 1 << 17  # of words whose terms are remembered

_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\u30FC\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\w\p{{M}}\u00AD\u200C\u200D]--[{_SPACELESS}]]"
_ASCII_WORD = re.compile(r"\w+(?:\.\w+)*(?:'[sS](?!\w)|\+\+|#(?!\w))?", re.ASCII)
_WORD = regex.compile(
    rf"{_LETTER}+(?:\.{_LETTER}+)*(?:['’][sS](?!{_LETTER})|\+\+|\#(?!{_LETTER}))?|[{_SPACELESS}][{_SPACELESS}\p{{M}}]*",
    regex.V1,
)
# For bytes.translate: the ASCII characters that no word holds, nor looks behind, become spaces.
BREAKS = bytes(32 if chr(c).isascii() and not (chr(c).isalnum() or chr(c) in "_.'+#") else c for c in range(256))
_RUN = regex.compile(rf"[{_SPACELESS}]", regex.V1)
_NATURAL = regex.compile(r"[\p{L}\p{M}]+")  # what a stemmer is made for
_POSSESSIVE = re.compile(r"['’][sS]$")
_INVISIBLE = {0xAD: None, 0x200C: None, 0x200D: None}  # soft hyphen and joiners
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")


@dataclass(frozen=True, slots=True)
class Form:
    """The terms of a word, where each stands from the word's first position on, and how many positions it takes."""

    terms: tuple[str, ...]
    offsets: tuple[int, ...]
    width: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, at `[start, end)` in it."""

    text: str
    start: int
    end: int


class Analyzer:
    """Splits texts into words and words into terms.  Safe to call from several threads."""

    def __init__(self, language: str) -> None:
        self._stemmer = None if language == "none" else Stemmer.Stemmer(language, 0)
        self._lock = threading.Lock()  # a Snowball stemmer works in a buffer of its own
        self._known: Remembered[str, tuple[str, ...]] = Remembered(_KNOWN_CHARACTERS)

    def split(self, text: str) -> list[str]:
        """The words of a text in order; a pair of spaceless characters comes before the first of the two."""
        if text.isascii():
            return _ASCII_WORD.findall(text)
        words: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text))
        return [part for word in words for part in (_pieces(word) if _RUN.match(word) else (word,))]

    def locate(self, text: str) -> list[Word]:
        """The words of `split` with their places in `text` as given."""
        folded, origins = _folded(text)
        words = []
        for match in _WORD.finditer(folded):
            if _RUN.match(match.group()):
                spans = [(at, at + size) for at in range(*match.span()) for size in (2, 1) if at + size <= match.end()]
            else:
                spans = [match.span()]
            words += [Word(folded[start:end], origins[start][0], origins[end - 1][1]) for start, end in spans]
        return words

    def form(self, word: str) -> Form:
        """The terms of one word of `split`."""
        if word.isascii() and word.isalnum() and (word[1:] == word[1:].lower() or word.isupper()):
            return Form((self._term(word),), (0,), 1)  # almost all words
        if _RUN.match(word):
            return Form((word,), (0,), width=2 - len(word))
        body = _POSSESSIVE.sub("", word.translate(_INVISIBLE))
        chunks = [(chunk, _leaves(chunk)) for chunk in body.rstrip("+#").split(".")]
        starts = [0, *accumulate(len(leaves) for _, leaves in chunks)]
        if starts[-1] == 0:
            return Form((), (), 0)
        placed = {(body, 0): None}
        for (chunk, leaves), start in zip(chunks, starts, strict=False):
            if leaves:
                placed |= {(chunk, start): None} | {(leaf, start + i): None for i, leaf in enumerate(leaves)}
        pairs = list(dict.fromkeys((self._term(part), offset) for part, offset in placed))
        return Form(tuple(term for term, _ in pairs), tuple(offset for _, offset in pairs), width=starts[-1])

    def terms(self, text: str) -> list[str]:
        """All the terms of a text, in order; those of words that come again are remembered."""
        return [term for word in self.split(text) for term in self._known_terms(word)]

    def _known_terms(self, word: str) -> tuple[str, ...]:
        terms = self._known.get(word)
        if terms is None:
            terms = self.form(word).terms
            self._known.put(word, terms, len(word))
        return terms

    def _term(self, part: str) -> str:
        lowered = part.lower()[:MAX_TERM]
        if self._stemmer is None or not (lowered.isalpha() or _NATURAL.fullmatch(lowered)):
            return lowered
        with self._lock:
            stemmed: str = self._stemmer.stemWord(lowered)
        return stemmed or lowered


def _pieces(run: str) -> list[str]:
    """A run of a script without spaces as pairs and characters: 甲乙丙 → 甲乙 甲 乙丙 乙 丙."""
    return [piece for i in range(len(run)) for piece in ((run[i : i + 2], run[i]) if i + 1 < len(run) else (run[i],))]


def _leaves(chunk: str) -> list[str]:
    """The smallest parts of a name: around `_` and humps."""
    parts = [part for name in chunk.split("_") for part in _CAMEL.split(name)]
    return [part for part in parts if any(c.isalnum() for c in part)]


def _folded(text: str) -> tuple[str, list[tuple[int, int]]]:
    """A text after NFKC, and for each of its characters the span of the text as given that it comes from."""
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return text, [(i, i + 1) for i in range(len(text))]
    folded: list[str] = []
    origins: list[tuple[int, int]] = []
    for cluster in regex.finditer(r"\X", text):
        start, end = cluster.span()
        piece = unicodedata.normalize("NFKC", text[start:end])
        folded.append(piece)
        same = piece == text[start:end]
        origins += [(i, i + 1) for i in range(start, end)] if same else [(start, end)] * len(piece)
    return "".join(folded), origins
