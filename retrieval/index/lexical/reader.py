"""The lexical index of an open generation: passages ranked by their words, phrases found, scores taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadQuery
from retrieval.index.lexical.analyzer import Analyzer, LexicalSettings
from retrieval.index.lexical.bm25 import Collection, Part, PartOfTerm, Scorer, TermScores, scorer
from retrieval.index.lexical.phrases import phrase_members
from retrieval.index.lexical.postings import Postings
from retrieval.index.lexical.query_parser import QueryWords, parse_query
from retrieval.index.storage.bounded_cache import Remembered
from retrieval.types import Bitmap, Ranking, Rows, Scores, TermPart
from retrieval.util.arrays import find_sorted

MAX_CONDITIONS = 64  # phrases and exclusions of one query, each of which is looked for by itself

_SAFE = 1.0 + 1e-6  # bounds are kept in single precision
_FEW = 100  # passages with a term that are never too many to show it
_KNOWN_ROWS = 1 << 21  # of terms that are kept from query to query, where every row is scored: 32 MB
_TERM_ROWS = 1 << 8  # what a term takes by itself, in rows


class WordQuery:
    """An analysed query: its terms that some live passage has, and the rows that its filter, phrases and exclusions
    leave (`within`; None: all the live ones).  `score` looks at any row, the others at these.

    What was found is remembered; for one thread.
    """

    def __init__(self, terms: Sequence[TermScores], collection: Collection, within: Bitmap | None) -> None:
        self.within = within
        self._terms = terms
        self._collection = collection
        self._asked = 0
        self._found = Ranking(np.empty(0, np.int64), np.empty(0, np.float32))

    def search(self, k: int) -> Ranking:
        """As WordIndex.search."""
        if k > self._asked:
            self._asked, self._found = k, self._scorer.best(k, self.within)
        return Ranking(self._found.rows[:k], self._found.scores[:k])

    def score(self, rows: Rows) -> Scores:
        """As WordIndex.score."""
        return self._scorer.score(np.asarray(rows, np.int64))

    def matches(self) -> Bitmap:
        """As WordIndex.matches."""
        found = np.zeros(len(self._collection.norms), np.bool_)
        for term in self._terms:
            rows, _ = term.everywhere(self.within)
            found[rows] = True
        return found

    @cached_property
    def _scorer(self) -> Scorer:
        return scorer(self._terms, self._collection)


class WordIndex:
    """BM25 over live passages; a LexicalIndex (see protocols.py).  Safe to call from several threads.

    `keys`, (rows,): the permanent key of each row, ascending; `live` says which rows count.
    """

    def __init__(
        self, segments: Sequence[Postings], settings: LexicalSettings, keys: NDArray[np.uint64], live: Bitmap
    ) -> None:
        self.settings = settings
        self.analyzer = Analyzer(settings.language)
        self._rows = len(keys)
        self._parts = [_placed(each, keys, live) for each in segments]
        self._collection = _collection(self._parts, settings, self._rows)
        self._known: Remembered[tuple[str, int], TermScores] = Remembered(_KNOWN_ROWS)

    @property
    def missing(self) -> Bitmap:
        """Rows that no segment holds, (rows,); none of the live ones in a sound collection."""
        return self._collection.part_of < 0

    def asked(self, query: str, allowed: Bitmap | None = None, document_of: Rows | None = None) -> WordQuery:
        """A query analysed once, to be asked several things; see WordQuery and `within`.  Raises BadQuery."""
        return WordQuery(self._terms(query), self._collection, self.within(query, allowed, document_of))

    def search(self, query: str, k: int, *, allowed: Bitmap | None = None) -> Ranking:
        """The k best rows by (score descending, row ascending); fewer where fewer have a word of the query."""
        return self.asked(query, allowed).search(k)

    def score(self, query: str, rows: Rows) -> Scores:
        """Exact BM25 of each of `rows`, 0.0 where no word matches."""
        return WordQuery(self._terms(query), self._collection, None).score(rows)

    def parts(self, query: str, row: int) -> tuple[TermPart, ...]:
        """The score of a row taken apart by the terms of the query, in their order and without their places."""
        rows = np.array([row], np.int64)
        return tuple(TermPart(term.text, float(term.at(rows)[0])) for term in self._terms(query))

    def matches(self, query: str, allowed: Bitmap | None = None) -> Bitmap:
        """All the rows that `search` would return for a k without bounds."""
        return self.asked(query, allowed).matches()

    def telling_terms(self, query: str) -> frozenset[str]:
        """The terms worth showing: not those that every fourth passage has, and of scripts without spaces no single
        characters where pairs say more; all the terms when nothing else is left."""
        words = self.analyzer.split(parse_query(query).plain)
        paired = {character for word in words if self.analyzer.form(word).width == 0 for character in word}
        terms = self._terms(query)
        many = max(_FEW, self._collection.live // 4)
        telling = {term.text for term in terms if term.size <= many and term.text not in paired}
        return frozenset(telling or {term.text for term in terms})

    def within(self, query: str, allowed: Bitmap | None = None, document_of: Rows | None = None) -> Bitmap | None:
        """`allowed`, and of these the rows that have the query's phrases and none of its excluded words.

        With `document_of`, (rows,), ascending, an excluded word takes all rows of each document that has it.
        Raises BadQuery for more than MAX_CONDITIONS of them.
        """
        words = parse_query(query)
        conditions = len(words.phrases) + len(words.excluded)
        if conditions > MAX_CONDITIONS:
            raise BadQuery(
                f"the query has {conditions} quoted phrases and excluded words; the most is {MAX_CONDITIONS}"
            )
        for left in self._left(words, document_of):
            allowed = left if allowed is None else allowed & left
        return allowed

    def _left(self, words: QueryWords, document_of: Rows | None) -> Iterator[Bitmap]:
        """The rows that each phrase and each excluded word leaves."""
        for phrase in words.phrases:
            if (found := self._phrase(phrase)) is not None:
                yield found
        for phrase in words.excluded:
            if (found := self._phrase(phrase)) is not None:
                yield ~(found if document_of is None else _whole_documents(found, document_of))

    def _terms(self, query: str) -> list[TermScores]:
        """The terms of a query that some passage has, in the order of the query, each once."""
        counts = Counter(self.analyzer.terms(parse_query(query).plain))
        return [term for text, times in counts.items() if (term := self._term(text, times)) is not None]

    def _term(self, text: str, times: int) -> TermScores | None:
        """A term that a query has so many times; None where no passage has it."""
        term = self._known.get((text, times))
        if term is None and (parts := self._occurrences(text)):
            term = self._scores(text, times, parts)
            self._known.put((text, times), term, _TERM_ROWS + term.kept)
        return term

    def _occurrences(self, text: str) -> list[PartOfTerm]:
        numbered = ((number, part, part.postings.find(text)) for number, part in enumerate(self._parts))
        return [
            PartOfTerm(number, part, term, part.postings.members_of(term), part.postings.frequencies_of(term))
            for number, part, term in numbered
            if term is not None
        ]

    def _scores(self, text: str, times: int, parts: Sequence[PartOfTerm]) -> TermScores:
        frequency = sum(map(_document_frequency, parts))
        idf = float(np.log1p((self._collection.live - frequency + 0.5) / (frequency + 0.5)))
        weight = times * idf * (self.settings.k1 + 1.0)
        return TermScores(text, weight, weight * max(map(self._most, parts)) * _SAFE, self._collection, parts)

    def _most(self, each: PartOfTerm) -> float:
        """Greatest f / (f + norm) that a term's postings in a part can have."""
        bounds = each.part.postings.lexicon[each.term]
        k1, b = self.settings.k1, self._collection.b
        flat = k1 * (1.0 - b) / float(bounds["most"])
        return 1.0 / (1.0 + flat + k1 * b * float(bounds["sparsest"]) / self._collection.average)

    def _phrase(self, phrase: str) -> Bitmap | None:
        """The rows that have a phrase in title or text; None for one without words."""
        placed = self._positions(phrase)
        if not placed:
            return None
        found = np.zeros(self._rows, np.bool_)
        for part in self._parts:
            rows = part.rows[phrase_members(part.postings, placed)]
            found[rows[rows >= 0]] = True
        return found

    def _positions(self, phrase: str) -> list[tuple[str, int]]:
        """The terms of a phrase and their positions in it."""
        placed, position = [], 0
        for word in self.analyzer.split(phrase):
            form = self.analyzer.form(word)
            placed += [(term, position + offset) for term, offset in zip(form.terms, form.offsets, strict=True)]
            position += form.width
        return placed


def _whole_documents(rows: Bitmap, document_of: Rows) -> Bitmap:
    """All rows of the documents that have one of `rows`."""
    having = np.zeros(len(document_of) and int(document_of[-1]) + 1, np.bool_)
    having[document_of[rows]] = True
    whole: Bitmap = having[document_of]
    return whole


def _document_frequency(each: PartOfTerm) -> int:
    """How many live passages have the term, counted where some have died."""
    return len(each.members) if each.part.all_live else int(np.count_nonzero(each.part.rows[each.members] >= 0))


def _placed(postings: Postings, keys: NDArray[np.uint64], live: Bitmap) -> Part:
    """Where the passages of a segment stand among the rows."""
    mine = postings.passages["key"]
    places, there = find_sorted(mine, keys)
    rows = np.where(there & live[places] if len(keys) else there, places, -1).astype(np.int64)
    in_a_run = len(rows) > 0 and rows[0] >= 0 and bool(np.all(np.diff(rows) == 1))
    return Part(postings, rows, int(rows[0]) if in_a_run else None)


def _collection(parts: Sequence[Part], settings: LexicalSettings, rows: int) -> Collection:
    """What scoring knows of all rows."""
    lengths = np.zeros(rows, np.float64)
    part_of = np.full(rows, -1, np.int32)
    place_of = np.zeros(rows, np.uint32)
    for number, part in enumerate(parts):
        places = np.flatnonzero(part.rows >= 0)
        mine = part.rows[places]
        lengths[mine], part_of[mine], place_of[mine] = part.postings.passages["length"][places], number, places
    live = int(np.count_nonzero(part_of >= 0))
    average = float(lengths.sum()) / live if live and lengths.any() else 1.0
    b = settings.b_at(average)
    norms = settings.k1 * (1.0 - b + b * lengths / average)
    return Collection(len(parts), live, average, b, norms, norms.astype(np.float32), part_of, place_of)
