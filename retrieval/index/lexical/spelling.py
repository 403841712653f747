"""Terms for words that an index lacks: the nearest ones, or those that begin so.

A typing error often spoils the stem of a word: `experiemnts` does not lose its ending.  So each word at a distance of
one edit is stemmed and looked up.  If none is known, the terms near the word's own stem are taken: at one edit, from
eight letters on at two.  Several terms are ordered by how likely the error and how frequent the term is (the noisy
channel of Kernighan, Church and Gale 1990).  Numbers, codes and single letters are never replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.folding import OWN_LETTERS, STEMMER_LETTERS
from retrieval.index.lexical.inexact_terms import InexactTerms
from retrieval.index.lexical.postings import Postings

MIN_LETTERS = (4, 8)  # of a word for one edit, and for two
MAX_NEAREST = 3  # terms for one word
MAX_COMPLETIONS = 20

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_SWAPPED, _ADDED, _REPLACED, _MISSING = 0.2, 0.15, 0.015, 0.01  # how likely one such error is
_TWO_EDITS = 1e-4
_MAX_LETTERS = 40  # of a word; longer ones are codes


@dataclass(frozen=True, slots=True)
class NearTerm:
    """A term that stands for a word, and how the word should be written."""

    term: str
    text: str
    likelihood: float


class Speller:
    """Finds terms of an index for other words.  Safe to call from several threads.

    `count` returns the live passages with a term; a term without any is not found.  The tables are made at the first
    look-up.
    """

    def __init__(
        self,
        segments: Sequence[Postings],
        count: Callable[[str], int],
        analyzer: Analyzer,
        languages: Sequence[str],
    ) -> None:
        self._segments = segments
        self._count = count
        self._analyzer = analyzer
        letters = (OWN_LETTERS.get(each, "") + STEMMER_LETTERS.get(each, "") for each in languages)
        self._alphabet = "".join(dict.fromkeys(_LATIN + "".join(letters)))

    @cached_property
    def _tables(self) -> tuple[InexactTerms, ...]:
        return tuple(map(InexactTerms, self._segments))

    def nearest(self, word: str) -> tuple[NearTerm, ...]:
        """Return the likeliest terms for a word from `Analyzer.split`, best first."""
        if not self._analyzer.has_letters_only(word):
            return ()
        lowered = self._analyzer.lower(word)
        if not MIN_LETTERS[0] <= len(lowered) <= _MAX_LETTERS:
            return ()
        found = self._one_edit(word) or self._near_stems(lowered, 1, _REPLACED)
        if not found and len(lowered) >= MIN_LETTERS[1]:
            found = self._near_stems(lowered, 2, _TWO_EDITS)
        best = sorted(found.values(), key=lambda near: (-near.likelihood, near.term))
        return tuple(best[:MAX_NEAREST])

    def completions(self, word: str) -> tuple[str, ...]:
        """Return the most frequent terms that begin with a word from `Analyzer.split`.

        A stem may be shorter than the start of its word: without such terms, `runni` is completed to `run`.
        """
        if not self._analyzer.has_letters_only(word):
            return ()
        prefix = self._analyzer.folded(word)
        terms = {
            table.text(number)
            for table in self._tables
            for number in table.most_frequent(*table.starting(prefix), MAX_COMPLETIONS)
        }
        passages = {term: count for term in terms if (count := self._count(term))}
        best = sorted(passages, key=lambda term: (-passages[term], term))[:MAX_COMPLETIONS]
        return tuple(best) or self._shorter_stem(prefix)

    def _shorter_stem(self, prefix: str) -> tuple[str, ...]:
        starts = [prefix[:end] for end in range(len(prefix) - 1, max(2, len(prefix) - 5), -1)]
        known = self._known(starts)
        return (starts[min(known)],) if known else ()

    def _one_edit(self, word: str) -> dict[str, NearTerm]:
        """Return the terms of the words at one edit, by term."""
        found: dict[str, NearTerm] = {}
        for analyzer in self._analyzer.each:
            lowered = analyzer.lower(word)
            if not set(lowered) <= set(self._alphabet):
                continue
            edits = _single_edits(lowered, self._alphabet)
            texts = list(edits)
            terms = analyzer.stems(texts)
            for position in self._known(terms):
                term, text = terms[position], texts[position]
                near = NearTerm(term, text, edits[text] * self._count(term))
                if term not in found or near.likelihood > found[term].likelihood:
                    found[term] = near
        return found

    def _near_stems(self, word: str, edits: int, likelihood: float) -> dict[str, NearTerm]:
        """Return the terms near the word's stem, by term."""
        found: dict[str, NearTerm] = {}
        for stem in dict.fromkeys(stem for each in self._analyzer.each for stem in each.stems([word])):
            if len(stem) >= MIN_LETTERS[0]:
                ending = word[len(stem) :] if word.startswith(stem) else ""
                terms = {term for table in self._tables for term, _, _ in table.near(stem, edits) if term.isalpha()}
                for term in terms:
                    if count := self._count(term):
                        found.setdefault(term, NearTerm(term, term + ending, likelihood * count))
        return found

    def _known(self, terms: Sequence[str]) -> list[int]:
        """Return the positions of those terms that the index has, ascending."""
        words = [term.encode() for term in terms]
        found = {position for table in self._tables for position in table.known(words)}
        return sorted(position for position in found if self._count(terms[position]))


def _single_edits(word: str, alphabet: str) -> dict[str, float]:
    """Return the words at one edit, each with the likelihood of the error."""
    splits = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    inserted = [start + letter + end for start, end in splits for letter in alphabet]
    replaced = [start + letter + end[1:] for start, end in splits[:-1] for letter in alphabet]
    deleted = [start + end[1:] for start, end in splits[:-1]]
    swapped = [start + end[1] + end[0] + end[2:] for start, end in splits[:-2]]
    found = dict.fromkeys(inserted, _MISSING)
    found.update(dict.fromkeys(replaced, _REPLACED))
    found.update(dict.fromkeys(deleted, _ADDED))
    found.update(dict.fromkeys(swapped, _SWAPPED))
    found.pop(word, None)
    return found
