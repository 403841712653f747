"""The analyzer: split texts and queries into terms by the same rules.

The analyzer normalizes a text (NFKC unifies half-width and full-width forms and composes marks) and splits it into
*words*:

- a run of letters, digits, marks and `_`, with single dots inside (`str.rstrip`, `3.14`) and `++` or `#` at the end
  (`C++`, `C#`).  A possessive `'s` is dropped; other apostrophes and hyphens separate words;
- in scripts without spaces (Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese), every character and every pair of
  neighbours.

Each word has terms.  The first is the word in lower case, stemmed (Snowball) unless it contains digits or signs, with
the letters that `folding.py` makes equal; version 1 of the analysis folds no letters.  A
word that is composed like code has its parts as terms, too: `np.matrixNorm` has `np.matrixnorm`, `np`, `matrixnorm`,
`matrix` and `norm`.  Stop words have terms, too: only queries leave them out (`stop_words.py`).
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import regex
import Stemmer

from retrieval.index.lexical.folding import Folding
from retrieval.index.storage.bounded_cache import BoundedCache
from retrieval.index.storage.settings import ANALYSIS_VERSION

FOLDING_VERSION = 2  # the first version of the analysis that folds letters
MAX_TERM = 100  # characters; longer terms are cut

_MAX_CACHED_CHARACTERS = 1 << 17  # of words whose terms are cached

MAX_MARKS = 30  # combining marks in a row, as in Unicode's stream-safe format (UAX 15); normalizing sorts them

_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\u30FC\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\w\p{{M}}\u00AD\u200C\u200D]--[{_SPACELESS}]]"
_ASCII_WORD = re.compile(r"\w+(?:\.\w+)*+(?:'[sS](?!\w)|\+\+|#(?!\w))?", re.ASCII)
_WORD = regex.compile(
    rf"{_LETTER}+(?:\.{_LETTER}+)*+(?:['’][sS](?!{_LETTER})|\+\+|\#(?!{_LETTER}))?|[{_SPACELESS}][{_SPACELESS}\p{{M}}]*",
    regex.V1,
)
# For bytes.translate: replaces the ASCII characters that are in no word, and decide no end of a word, by spaces.
BREAKS = bytes(32 if chr(c).isascii() and not (chr(c).isalnum() or chr(c) in "_.'+#") else c for c in range(256))
_MANY_MARKS = regex.compile(rf"([^\p{{ccc=0}}]{{{MAX_MARKS}}})[^\p{{ccc=0}}]+")
_SPACELESS_START = regex.compile(rf"[{_SPACELESS}]", regex.V1)
_STEMMABLE = regex.compile(r"[\p{L}\p{M}]+")
_POSSESSIVE = re.compile(r"['’][sS]$")
_INVISIBLE = {0xAD: None, 0x200C: None, 0x200D: None}  # soft hyphen and joiners
_CAMEL_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")


@dataclass(frozen=True, slots=True)
class WordTerms:
    """The terms of a word."""

    terms: tuple[str, ...]
    offsets: tuple[int, ...]  # position of each term, counted from the position of the word
    width: int  # number of positions that the word occupies


@dataclass(frozen=True, slots=True)
class LocatedWord:
    """A word of a text and its span `[start, end)`, in code points."""

    text: str
    start: int
    end: int


class Analyzer:
    """Splits texts into words, and words into terms; thread-safe."""

    def __init__(self, language: str, analysis: int = ANALYSIS_VERSION) -> None:
        self._folding = Folding(language) if analysis >= FOLDING_VERSION else None
        self._stemmer = None if language == "none" else Stemmer.Stemmer(language, 0)
        self._lock = threading.Lock()  # a Snowball stemmer writes to a buffer of its own
        self._cache: BoundedCache[str, tuple[str, ...]] = BoundedCache(_MAX_CACHED_CHARACTERS)

    @property
    def each(self) -> tuple[Analyzer, ...]:
        """The analyzers of each language; a text is analyzed by one of them."""
        return (self,)

    def choose(self, text: str) -> int:  # noqa: ARG002  there is one
        """Return the position in `each` of the analyzer for a text."""
        return 0

    def split(self, text: str) -> list[str]:
        """Split a text into its words, in order; a pair of characters before its first."""
        if text.isascii():
            return _ASCII_WORD.findall(text)
        words: list[str] = _WORD.findall(_normalize(text))
        return [part for word in words for part in (_pieces(word) if _SPACELESS_START.match(word) else (word,))]

    def locate(self, text: str) -> list[LocatedWord]:
        """Return the words of `split` with their spans in the unnormalized `text`."""
        folded, origins = _normalize_with_spans(text)
        words = []
        for match in _WORD.finditer(folded):
            if _SPACELESS_START.match(match.group()):
                spans = [(at, at + size) for at in range(*match.span()) for size in (2, 1) if at + size <= match.end()]
            else:
                spans = [match.span()]
            words += [LocatedWord(folded[start:end], origins[start][0], origins[end - 1][1]) for start, end in spans]
        return words

    def analyze_word(self, word: str) -> WordTerms:
        """Return the terms of one word from `split`."""
        if word.isascii() and word.isalnum() and (word[1:] == word[1:].lower() or word.isupper()):
            return WordTerms((self._term(word),), (0,), 1)  # almost all words
        if _SPACELESS_START.match(word):
            return WordTerms((word,), (0,), width=2 - len(word))
        body = _POSSESSIVE.sub("", word.translate(_INVISIBLE))
        names = [(name, _name_parts(name)) for name in body.rstrip("+#").split(".")]
        starts = [0, *accumulate(len(parts) for _, parts in names)]
        if starts[-1] == 0:
            return WordTerms((), (), 0)
        found = {(body, 0): None}
        for (name, parts), start in zip(names, starts, strict=False):
            if parts:
                found |= {(name, start): None} | {(part, start + i): None for i, part in enumerate(parts)}
        pairs = list(dict.fromkeys((self._term(part), offset) for part, offset in found))
        return WordTerms(tuple(term for term, _ in pairs), tuple(offset for _, offset in pairs), width=starts[-1])

    def lower(self, word: str) -> str:
        """Return a word in lower case, as its language writes it."""
        return word.lower() if self._folding is None else self._folding.lower(word)

    def folded(self, word: str) -> str:
        """Return a word in lower case with its letters folded, without stemming."""
        lowered = self.lower(word)
        return lowered if self._folding is None else self._folding.fold(lowered)

    def has_letters_only(self, word: str) -> bool:
        """Check whether a word from `split` is of letters, in a script with spaces."""
        return word.isalpha() and not _SPACELESS_START.match(word)

    def stems(self, words: Sequence[str]) -> list[str]:
        """Return the term of each word, which is of letters in lower case."""
        if self._stemmer is None:
            stemmed: Sequence[str] = words
        else:
            with self._lock:
                stemmed = self._stemmer.stemWords(words)
        folding = self._folding
        return [term if folding is None else folding.fold(term) for term in stemmed]

    def terms(self, words: Iterable[str]) -> list[str]:
        """Return all terms of words from `split`, in order.  Recent words are cached."""
        return [term for word in words for term in self._cached_terms(word)]

    def _cached_terms(self, word: str) -> tuple[str, ...]:
        terms = self._cache.get(word)
        if terms is None:
            terms = self.analyze_word(word).terms
            self._cache.put(word, terms, len(word))
        return terms

    def _term(self, part: str) -> str:
        folding = self._folding
        lowered = self.lower(part)[:MAX_TERM]
        term = self._stem(lowered) or lowered
        return term if folding is None else folding.fold(term)

    def _stem(self, lowered: str) -> str:
        if self._stemmer is None or not (lowered.isalpha() or _STEMMABLE.fullmatch(lowered)):
            return lowered
        with self._lock:
            stemmed: str = self._stemmer.stemWord(lowered)
        return stemmed


def _pieces(run: str) -> list[str]:
    """Split a spaceless run into pairs and characters: 甲乙丙 → 甲乙 甲 乙丙 乙 丙."""
    return [piece for i in range(len(run)) for piece in ((run[i : i + 2], run[i]) if i + 1 < len(run) else (run[i],))]


def _name_parts(name: str) -> list[str]:
    """Split a name at `_` and before capitals."""
    parts = [part for piece in name.split("_") for part in _CAMEL_BORDER.split(piece)]
    return [part for part in parts if any(c.isalnum() for c in part)]


def _normalize(text: str) -> str:
    """Normalize a text by NFKC in linear time, without marks beyond MAX_MARKS."""
    return unicodedata.normalize("NFKC", _MANY_MARKS.sub(r"\1", text))


def _normalize_with_spans(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Normalize a text by NFKC; return the source span of each new character."""
    if text.isascii() or _normalize(text) == text:
        return text, [(i, i + 1) for i in range(len(text))]
    folded: list[str] = []
    origins: list[tuple[int, int]] = []
    for cluster in regex.finditer(r"\X", text):
        start, end = cluster.span()
        piece = _normalize(text[start:end])
        folded.append(piece)
        unchanged = piece == text[start:end]
        origins += [(i, i + 1) for i in range(start, end)] if unchanged else [(start, end)] * len(piece)
    return "".join(folded), origins
