"""The terms that rank for a query: its own, and those that stand for its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from retrieval.explanations import Replacement
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.spelling import Speller
from retrieval.index.lexical.stop_words import StopWords
from retrieval.index.lexical.synonyms import FoundSynonyms, SynonymIndex

TYPO_WEIGHT = 0.8  # of the likeliest term for a word with an error; others weigh in proportion to their likelihood
COMPLETION_WEIGHT = 0.5
SYNONYM_WEIGHT = 0.8
MAX_LOOKED_UP = 16  # unknown words of a query; each look-up of near terms takes milliseconds


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """The terms of a query, each with the number of times that it counts."""

    counts: Mapping[str, float]
    stop_words: tuple[str, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    limits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of a synonym: the terms that it stands for

    def are_all_in(self, found: set[str]) -> bool:
        """Check whether `found` has each word's term, or one that stands for it."""
        standing = {term for each in self.replacements for term in each.terms}
        return all(term in found for term in self.counts if term not in standing) and all(
            not found.isdisjoint(each.terms) for each in self.replacements
        )


class QueryAnalyzer:
    """Finds the terms of queries for one index.  Safe to call from several threads."""

    def __init__(
        self,
        analyzer: Analyzer,
        stop_words: StopWords,
        speller: Speller,
        synonyms: SynonymIndex | None,
        is_known: Callable[[str], bool],
    ) -> None:
        self._analyzer = analyzer
        self._synonyms = synonyms
        self._stop_words = stop_words
        self._speller = speller
        self._is_known = is_known

    def analyze(self, query: ParsedQuery) -> QueryTerms:
        words = self._stop_words.divide(query)
        analyzer = self._analyzer if words.language is None else self._analyzer.each[words.language]
        counts: dict[str, float] = dict(Counter(analyzer.terms(words.ranking)))
        replacements: list[Replacement] = []
        synonyms: list[FoundSynonyms] = []
        if self._synonyms is not None and query.synonyms:
            synonyms = list(self._synonyms.find(words.ranking, words.language))
        if query.prefix and words.ranking and self._analyzer.split(query.plain)[-1] == words.ranking[-1]:
            replacements += self._complete(words.ranking[-1], counts)
        if query.typos and not all(map(self._is_known, counts)):
            replaced = {each.word for each in replacements}.union(*(each.words for each in synonyms))
            others = (word for word in dict.fromkeys(words.ranking) if word not in replaced)
            for word in islice(filter(self._is_unknown, others), MAX_LOOKED_UP):
                replacements += self._correct(word, counts)
        for term in query.terms:
            counts[term] = counts.get(term, 0.0) + 1.0
        limits = self._expand(synonyms, counts)
        replacements += [_synonym_replacement(each) for each in synonyms]
        return QueryTerms(counts, words.stop_words, tuple(replacements), limits)

    def _expand(self, synonyms: Sequence[FoundSynonyms], counts: dict[str, float]) -> dict[str, tuple[str, ...]]:
        """Add the synonyms to the terms; return the terms that each stands for."""
        own = set(counts)
        limits: dict[str, tuple[str, ...]] = {}
        for found in synonyms:
            for term in found.synonyms:
                if term not in own:
                    counts[term] = SYNONYM_WEIGHT
                    limits[term] = tuple(dict.fromkeys((*limits.get(term, ()), *found.terms)))
        return limits

    def corrected(self, query: ParsedQuery, replacements: tuple[Replacement, ...]) -> str:
        """Return the query's text with the replaced words as they should be written."""
        texts = {each.word: each.text for each in replacements if each.text != each.word}
        text = query.plain
        for word in reversed(self._analyzer.locate(text) if texts else []):
            if word.text in texts:
                text = f"{text[: word.start]}{texts[word.text]}{text[word.end :]}"
        return text

    def _is_unknown(self, word: str) -> bool:
        """Check whether the index lacks the terms of a word that has letters only."""
        return self._analyzer.has_letters_only(word) and not any(map(self._is_known, self._analyzer.terms((word,))))

    def _correct(self, word: str, counts: dict[str, float]) -> list[Replacement]:
        """Replace the term of an unknown word by the nearest terms."""
        nearest = self._speller.nearest(word)
        if not nearest:
            return []
        times = max([counts.pop(term, 0.0) for term in self._analyzer.terms((word,))])
        for near in nearest:
            weight = TYPO_WEIGHT * near.likelihood / nearest[0].likelihood
            counts[near.term] = counts.get(near.term, 0.0) + times * weight
        return [Replacement(word, nearest[0].text, tuple(near.term for near in nearest), "typo")]

    def _complete(self, word: str, counts: dict[str, float]) -> list[Replacement]:
        """Add the terms that begin with the last word; keep its own term, if known."""
        completions = self._speller.completions(word)
        if not completions:
            return []
        for term in self._analyzer.terms((word,)):
            if not self._is_known(term):
                counts.pop(term, None)
        for term in completions:
            counts.setdefault(term, COMPLETION_WEIGHT)
        return [Replacement(word, word, completions, "prefix")]


def _synonym_replacement(found: FoundSynonyms) -> Replacement:
    text = " ".join(found.words)
    return Replacement(text, text, (*found.terms, *found.synonyms), "synonym")
