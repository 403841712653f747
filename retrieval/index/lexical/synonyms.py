"""Synonyms at search time: the terms that stand for the words of a query.

A rule applies where its words stand together in a query, stop words aside; of several rules, the one with the most
words applies.  A synonym of several words is a phrase, which counts where its words stand together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrase_terms import phrase_positions, phrase_term
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.stop_words import StopWords
from retrieval.index.storage.synonyms import SynonymRule

_Key: TypeAlias = tuple[tuple[str, ...], ...]  # the terms of each word


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a query and its terms."""

    text: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundSynonyms:
    """Words of a query that stand together, and the terms that stand for them."""

    words: tuple[str, ...]
    terms: tuple[str, ...]  # of the words themselves
    synonyms: tuple[str, ...]


class SynonymIndex:
    """Finds the synonyms of a collection.  Safe to call from several threads."""

    def __init__(self, rules: Sequence[SynonymRule], analyzer: Analyzer, stop_words: StopWords) -> None:
        self._rules = rules
        self._analyzer = analyzer
        self._stop_words = stop_words

    def find(self, words: Sequence[str], language: int | None) -> Iterator[FoundSynonyms]:
        """Yield the synonyms of a query's ranking words, from left to right.

        language: position of the query's language, None for all of the collection.
        """
        languages = range(len(self._analyzer.each)) if language is None else (language,)
        readings = {each: self._read(words, self._analyzer.each[each]) for each in languages}
        position, end = 0, len(readings[languages[0]])
        while position < end:
            phrases, size = self._at(readings, position)
            if phrases:
                parts = [reading[position : position + size] for reading in readings.values()]
                terms = dict.fromkeys(term for part in parts for word in part for term in word.terms)
                own = tuple(word.text for word in parts[0])
                yield FoundSynonyms(own, tuple(terms), tuple(self._synonym_terms(phrases, languages)))
            position += size

    def _at(self, readings: Mapping[int, Sequence[_Word]], position: int) -> tuple[Sequence[str], int]:
        """Return the synonyms of the longest entry at a position, and its size."""
        for size in self._sizes:
            for language, reading in readings.items():
                key = tuple(word.terms for word in reading[position : position + size])
                if len(key) == size and (found := self._entries[language].get(key)):
                    return found, size
        return (), 1

    def _synonym_terms(self, phrases: Sequence[str], languages: Sequence[int]) -> Iterator[str]:
        """Yield each phrase as a term in each language."""
        analyzers = [self._analyzer.each[language] for language in languages]
        terms = (phrase_term(phrase_positions(phrase, each)) for phrase in phrases for each in analyzers)
        yield from filter(None, dict.fromkeys(terms))

    def _read(self, words: Sequence[str], analyzer: Analyzer) -> list[_Word]:
        """Return the words with their terms; of scripts without spaces, the characters."""
        forms = ((word, analyzer.analyze_word(word)) for word in words)
        return [_Word(word, form.terms) for word, form in forms if form.width]

    @cached_property
    def _entries(self) -> list[dict[_Key, list[str]]]:
        """The synonyms of each phrase by the terms of its words, in each language."""
        return [self._entries_in(analyzer) for analyzer in self._analyzer.each]

    def _entries_in(self, analyzer: Analyzer) -> dict[_Key, list[str]]:
        entries: defaultdict[_Key, dict[str, None]] = defaultdict(dict)
        for rule in self._rules:
            for phrase in rule.words:
                words = self._stop_words.divide(ParsedQuery(phrase)).ranking
                others = rule.synonyms or [each for each in rule.words if each != phrase]
                if key := tuple(word.terms for word in self._read(words, analyzer)):
                    entries[key].update(dict.fromkeys(others))
        return {key: list(found) for key, found in entries.items()}

    @cached_property
    def _sizes(self) -> list[int]:
        return sorted({len(key) for entries in self._entries for key in entries}, reverse=True)
