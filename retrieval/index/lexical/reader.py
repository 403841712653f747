"""The lexical index of an open generation: ranks, phrases and score parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from retrieval.bm25_options import Bm25Options
from retrieval.errors import BadQuery
from retrieval.explanations import TermPart
from retrieval.index.lexical.bm25 import Bm25Weighting, CollectionStatistics, LengthNorms
from retrieval.index.lexical.multilingual import make_analyzer
from retrieval.index.lexical.phrase_terms import phrase_positions, term_or_phrase_postings, terms_of_phrase
from retrieval.index.lexical.phrases import ParsedQuery, phrase_occurrences
from retrieval.index.lexical.postings import TITLES, LiveRows
from retrieval.index.lexical.query_terms import QueryAnalyzer, QueryTerms
from retrieval.index.lexical.scorers import PostingsQuery
from retrieval.index.lexical.spelling import Speller
from retrieval.index.lexical.stop_words import StopWords
from retrieval.index.lexical.synonyms import SynonymIndex
from retrieval.index.lexical.term_index import IndexedTerm, TermIndex
from retrieval.index.lexical.term_scores import TermScores
from retrieval.index.lexical.title_weights import TitleWeight, title_length
from retrieval.index.storage.bounded_cache import BoundedCache
from retrieval.index.storage.settings import LexicalSettings
from retrieval.index.storage.synonyms import SynonymRule
from retrieval.types import Bitmap, Ranking, Rows, Scores

MAX_CONDITIONS = 64  # phrases and exclusions of one query; each of them costs a search

_ALWAYS_TELLING = 100  # a term in so few passages is worth showing
_MAX_CACHED_ROWS = 1 << 21  # of terms whose scores of all rows are kept from query to query: 32 MB
_ROWS_PER_TERM = 1 << 8  # memory of a cached term besides its rows, expressed in rows
_MAX_CACHED_NORMS = 3  # 12 bytes a row: of this index, of the collection that it is a shard of, of other parameters
_MAX_CACHED_CHARACTERS = 1 << 18  # of queries whose terms are kept, because a search reads them several times: 2 MB
_CHARACTERS_PER_TERM = 32  # memory of a term of such a query, expressed in characters


class LexicalReader:
    """The lexical index of an open generation.  Safe to call from several threads."""

    def __init__(self, rows: LiveRows, settings: LexicalSettings, synonyms: Sequence[SynonymRule] = ()) -> None:
        self.settings = settings
        self.analyzer = make_analyzer(settings)
        self.stop_words = StopWords(settings, self.analyzer)
        self._index = TermIndex(rows, term_or_phrase_postings)
        self.live_rows = rows
        self._total_length = float(self.live_rows.lengths.sum())
        self._norms: BoundedCache[tuple[float, Bm25Options | None], LengthNorms] = BoundedCache(_MAX_CACHED_NORMS)
        self._term_scores: BoundedCache[tuple[object, ...], TermScores] = BoundedCache(_MAX_CACHED_ROWS)
        self._norms_for(self._statistics({}).average_length, None)  # now, not in the first query
        segments = [each.postings for each in rows.segments]
        self.speller = Speller(segments, self._live_passages, self.analyzer, settings.languages)
        self._analyzed: BoundedCache[ParsedQuery, QueryTerms] = BoundedCache(_MAX_CACHED_CHARACTERS)
        self._queries = QueryAnalyzer(
            self.analyzer,
            self.stop_words,
            self.speller,
            SynonymIndex(synonyms, self.analyzer, self.stop_words) if synonyms else None,
            lambda term: self._live_passages(term) > 0,
        )

    def _live_passages(self, term: str) -> int:
        """Return the number of live passages with a term."""
        return self._index.term(term).doc_freq

    def statistics(self, query: ParsedQuery) -> CollectionStatistics:
        """Count the live passages, and those that contain each term of a query."""
        read = self.terms_of(query)
        texts = (*read.counts, *(text for limit in read.limits.values() for text in limit))
        return self._statistics({text: self._index.term(text) for text in texts}, query.bm25)

    def terms_of(self, query: ParsedQuery) -> QueryTerms:
        """Return the terms that rank for a query."""
        found = self._analyzed.get(query)
        if found is None:
            found = self._queries.analyze(query)
            self._analyzed.put(query, found, len(query.plain) + _CHARACTERS_PER_TERM * (1 + len(found.counts)))
        return found

    def corrected(self, query: ParsedQuery) -> str:
        """Return the text of a query, with errors in its words corrected."""
        replacements = self.terms_of(query).replacements
        return self._queries.corrected(query, replacements) if replacements else query.plain

    def query(
        self,
        query: ParsedQuery,
        allowed: Bitmap | None = None,
        document_of: Rows | None = None,
        statistics: CollectionStatistics | None = None,
    ) -> PostingsQuery:
        """Analyze a query once, to rank and score it.

        allowed: (rows,), the rows that a filter leaves.  document_of: (rows,), ascending; if given, an excluded word
        removes all rows of each document that contains it.  statistics: of the collection, for each term of the
        query; without them, the index counts its own passages.  Raises BadQuery for more than MAX_CONDITIONS phrases
        and exclusions.
        """
        terms = self._terms(query, statistics)
        return PostingsQuery(terms, self.live_rows, self._allowed(query, allowed, document_of))

    def weighted_query(
        self,
        terms: Sequence[tuple[str, float]],
        average_length: float,
        bm25: Bm25Options | None,
        allowed: Bitmap | None = None,
    ) -> PostingsQuery:
        """Open a query by terms with their weights, in its order.

        The weights, as in `TermScores.weight`, and the average length may count more passages than this index has.
        """
        norms = self._norms_for(average_length, bm25)
        found = (self._weighted_term(text, weight, norms, bm25) for text, weight in terms)
        return PostingsQuery([term for term in found if term is not None], self.live_rows, allowed)

    def search(self, query: ParsedQuery, k: int, *, allowed: Bitmap | None = None) -> Ranking:
        """Return the k best rows, as `PostingsQuery.rank` does."""
        return self.query(query, allowed).rank(k)

    def score(self, query: ParsedQuery, rows: Rows) -> Scores:
        """Return the BM25 score of each of `rows`; phrases and exclusions do not matter."""
        return PostingsQuery(self._terms(query), self.live_rows, None).score(rows)

    def matches(self, query: ParsedQuery, allowed: Bitmap | None = None) -> Bitmap:
        """Return the rows that `search` returns for an unlimited k: (rows,)."""
        return self.query(query, allowed).matches()

    def ranking_terms(self, text: str) -> list[str]:
        """Return the terms of a text, in order, without those of stop words."""
        return self.analyzer.terms(self.stop_words.divide(ParsedQuery(text)).ranking)

    def idf(self, term: str) -> float:
        """Return the inverse document frequency of a term."""
        return self._statistics({term: self._index.term(term)}).idf(term)

    def first_row(self, term: str) -> int | None:
        """Return the first live row with a term; None for a term without rows."""
        rows = (part.live_rows(None)[0] for part in self._index.term(term).postings)
        return next((int(found[0]) for found in rows if len(found)), None)

    def term_parts(self, query: ParsedQuery, row: int) -> tuple[TermPart, ...]:
        """Split the score of a row by the terms of the query, in their order."""
        rows = np.array([row], np.int64)
        terms = self._terms(query)
        return tuple(TermPart(term.text, float(term.score(rows)[0])) for term in terms)

    def has_all_terms(self, query: ParsedQuery, row: int) -> bool:
        """Check whether a row has every term of the query, and the query has terms."""
        found = {part.term for part in self.term_parts(query, row) if part.score}
        return bool(found) and self.terms_of(query).are_all_in(found)

    def telling_terms(self, query: ParsedQuery) -> frozenset[str]:
        """Return the terms of a query that are worth highlighting.

        They exclude terms in over a quarter of the passages, and single characters of a pair in scripts without spaces.
        If no term remains, they are all terms.
        """
        words = self.stop_words.divide(query).ranking
        paired = {character for word in words if self.analyzer.analyze_word(word).width == 0 for character in word}
        terms = self._terms(query)
        limit = max(_ALWAYS_TELLING, self._index.num_live // 4)
        telling = {term.text for term in terms if term.num_postings <= limit and term.text not in paired}
        chosen = telling or {term.text for term in terms}
        return frozenset(part for text in chosen for part, _ in terms_of_phrase(text))

    def _norms_for(self, average_length: float, bm25: Bm25Options | None) -> LengthNorms:
        norms = self._norms.get((average_length, bm25))
        if norms is None:
            settings = self.settings if bm25 is None else self.settings.with_bm25(bm25)
            title = self._title_weight(bm25)
            lengths = title.lengths(self.live_rows) if title else self.live_rows.lengths
            norms = LengthNorms(lengths, settings, average_length)
            self._norms.put((average_length, bm25), norms, 1)
        return norms

    def _title_weight(self, bm25: Bm25Options | None) -> TitleWeight | None:
        """Return the weight that a search chooses, if it is not that of the index."""
        weight = bm25.title_weight if bm25 else None
        recorded = self.settings.title_weight
        return None if weight is None or weight == recorded else TitleWeight(weight, recorded)

    @property
    def knows_titles(self) -> bool:
        """Whether a search can choose the weight of the title."""
        return all(TITLES in each.postings.arrays for each in self.live_rows.segments)

    @cached_property
    def _title_length(self) -> float:
        """The number of terms in all titles, without weights."""
        return title_length(self.live_rows)

    def _statistics(self, terms: Mapping[str, IndexedTerm], bm25: Bm25Options | None = None) -> CollectionStatistics:
        doc_freq = {text: term.doc_freq for text, term in terms.items()}
        title = self._title_weight(bm25)
        length = self._total_length + (title.difference * self._title_length if title else 0.0)
        return CollectionStatistics(self._index.num_live, length, doc_freq)

    def _terms(self, query: ParsedQuery, statistics: CollectionStatistics | None = None) -> list[TermScores]:
        """Return the distinct terms of a query that the index contains, in its order."""
        read = self.terms_of(query)
        found = (
            self._score_term(text, times, read.limits.get(text, ()), statistics, query.bm25)
            for text, times in read.counts.items()
        )
        return [term for term in found if term is not None]

    def _score_term(
        self,
        text: str,
        times: float,
        limit: tuple[str, ...],
        statistics: CollectionStatistics | None,
        bm25: Bm25Options | None,
    ) -> TermScores | None:
        """Return the scores of a term, whose idf is at most the sum of those of `limit`."""
        key: tuple[object, ...] = (text, times, limit, bm25)
        if statistics is not None:
            counted = (statistics.doc_freq.get(each) for each in (text, *limit))
            key += (*counted, statistics.num_passages, statistics.total_length)
        term = self._term_scores.get(key)
        if term is None and (indexed := self._index.term(text)).postings:
            terms = {text: indexed, **{each: self._index.term(each) for each in limit}}
            statistics = statistics or self._statistics(terms, bm25)
            idf = statistics.idf(text)
            if limit:
                idf = min(idf, sum(map(statistics.idf, limit)))
            norms = self._norms_for(statistics.average_length, bm25)
            term = self._new_term(key, indexed, Bm25Weighting(times * idf * (norms.k1 + 1.0), norms), bm25)
        return term

    def _weighted_term(
        self, text: str, weight: float, norms: LengthNorms, bm25: Bm25Options | None
    ) -> TermScores | None:
        """Return the scores of a term with a weight; None for a term without rows."""
        key = (text, weight, norms.average_length, bm25)
        term = self._term_scores.get(key)
        if term is None and (indexed := self._index.term(text)).postings:
            term = self._new_term(key, indexed, Bm25Weighting(weight, norms), bm25)
        return term

    def _new_term(
        self, key: tuple[object, ...], indexed: IndexedTerm, weighting: Bm25Weighting, bm25: Bm25Options | None
    ) -> TermScores:
        """Make the scores of a term, and keep them under a key that begins with its text."""
        text, title = str(key[0]), self._title_weight(bm25)
        postings = title.postings(text, indexed.postings) if title else indexed.postings
        term = TermScores(text, weighting, self.live_rows, postings)
        own_rows = term.num_postings if title else 0  # the frequencies are then in memory
        self._term_scores.put(key, term, _ROWS_PER_TERM + term.max_cached_rows + own_rows)
        return term

    def _allowed(self, query: ParsedQuery, allowed: Bitmap | None, document_of: Rows | None) -> Bitmap | None:
        """Restrict `allowed` by the phrases and the exclusions of a query."""
        conditions = len(query.phrases) + len(query.excluded)
        if conditions > MAX_CONDITIONS:
            raise BadQuery(f"the query has {conditions} phrases and excluded words; use at most {MAX_CONDITIONS}")
        for remaining in self._remaining_rows(query, document_of):
            allowed = remaining if allowed is None else allowed & remaining
        return allowed

    def _remaining_rows(self, query: ParsedQuery, document_of: Rows | None) -> Iterator[Bitmap]:
        """Yield the rows that each phrase and each exclusion leaves."""
        for phrase in query.phrases:
            if (found := self._phrase_rows(phrase)) is not None:
                yield found
        for phrase in query.excluded:
            if (found := self._phrase_rows(phrase)) is not None:
                yield ~(found if document_of is None else _rows_of_documents(found, document_of))

    def _phrase_rows(self, phrase: str) -> Bitmap | None:
        """Return the rows with a phrase in title or text; None for a phrase without words."""
        readings = [phrase_positions(phrase, each) for each in self.analyzer.each]  # one for each language
        if not readings[0]:
            return None
        found = np.zeros(len(self.live_rows), np.bool_)
        for segment in self.live_rows.segments:
            for terms in readings:
                rows = segment.rows[phrase_occurrences(segment.postings, terms)[0]]
                found[rows[rows >= 0]] = True
        return found


def _rows_of_documents(rows: Bitmap, document_of: Rows) -> Bitmap:
    """Return all rows of the documents that have at least one of `rows`."""
    matching = np.zeros(len(document_of) and int(document_of[-1]) + 1, np.bool_)
    matching[document_of[rows]] = True
    return matching[document_of]
