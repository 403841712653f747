"""Completions of a query that is being typed: words, and titles of documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.errors import BadQuery
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.searched_fields import searched_texts
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.reader import LexicalReader
from retrieval.types import Rows

MAX_SUGGESTIONS = 20  # words, and titles
MAX_SUGGESTED_CHARACTERS = 200  # of a query
_PASSAGES_PER_TITLE = 10  # best passages whose titles are compared, for each title
_READ_CHARACTERS = 2_000  # of a passage, to find a word


@dataclass(frozen=True, slots=True)
class SuggestedTitle:
    """A document whose title has the words of a query."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Words that complete the last word of a query, frequent ones first; and titles."""

    words: tuple[str, ...]
    titles: tuple[SuggestedTitle, ...]


def suggest(reader: IndexReader, text: str, count: int) -> Suggestions:
    """Return up to `count` words and titles for a query.

    The last word of the query is the start of a word, the others are whole.  Raises BadQuery.
    """
    lexical = reader.lexical
    if lexical is None:
        raise BadQuery(f"{reader.name} has no lexical index, so that it has no words to suggest")
    if not 1 <= count <= MAX_SUGGESTIONS:
        raise BadQuery(f"k is {count}; ask for 1 to {MAX_SUGGESTIONS} suggestions")
    if len(text) > MAX_SUGGESTED_CHARACTERS:
        raise BadQuery(f"the query has {len(text):,} characters; at most {MAX_SUGGESTED_CHARACTERS} are completed")
    words = lexical.analyzer.split(text)
    if not words:
        return Suggestions((), ())
    return Suggestions(_words(reader, lexical, words[-1], count), _titles(reader, lexical, words, text, count))


def _words(reader: IndexReader, lexical: LexicalReader, word: str, count: int) -> tuple[str, ...]:
    """Return words of the most frequent terms that begin so, as passages write them."""
    prefix = lexical.analyzer.folded(word)
    terms = lexical.speller.completions(word)[:count]
    rows = {term: row for term in terms if (row := lexical.first_row(term)) is not None}
    searched = lexical.settings.searched_fields
    texts = _texts(reader, np.array(list(rows.values()), np.int64), searched) if rows else []
    found: dict[str, None] = {}
    for term, text in zip(rows, texts, strict=True):
        if written := _written(lexical, term, prefix, text):
            found[written] = None
    return tuple(found) or tuple(near.text for near in lexical.speller.nearest(word))


def _texts(reader: IndexReader, rows: Rows, searched: Sequence[str]) -> list[str]:
    """Return the starts of passages, with their titles and searched fields."""
    documents = reader.documents(reader.document_of[rows])
    fields = [" ".join((document.title, *searched_texts(document, searched))) for document in documents]
    return [
        f"{before} {document.text[passage.start : min(passage.end, passage.start + _READ_CHARACTERS)]}"
        for before, document, passage in zip(fields, documents, reader.passages(rows), strict=True)
    ]


def _written(lexical: LexicalReader, term: str, prefix: str, text: str) -> str:
    """Return the most frequent word of a text with this term; "" if none begins so."""
    analyzer = lexical.analyzer
    words = Counter(analyzer.lower(word) for word in analyzer.split(text))
    possible = [each for each in words if analyzer.folded(each).startswith(prefix) and term in analyzer.terms((each,))]
    return max(possible, key=lambda each: (words[each], each), default="")


def _titles(
    reader: IndexReader, lexical: LexicalReader, words: Sequence[str], text: str, count: int
) -> tuple[SuggestedTitle, ...]:
    expired = reader.expired_documents()
    allowed = None if expired is None else ~expired[reader.document_of]
    ranking = lexical.query(ParsedQuery(text, prefix=True), allowed).rank(_PASSAGES_PER_TITLE * count)
    documents = np.array(list(dict.fromkeys(reader.document_of[ranking.rows].tolist())), np.int64)
    if not len(documents):
        return ()
    *whole, last = words
    terms, prefix = set(lexical.analyzer.terms(whole)), lexical.analyzer.folded(last)
    found: dict[str, int] = {}
    for row, title in zip(documents.tolist(), reader.titles(documents), strict=True):
        of_title = lexical.analyzer.split(title)
        begins = any(lexical.analyzer.folded(word).startswith(prefix) for word in of_title)
        if begins and terms <= set(lexical.analyzer.terms(of_title)):
            found.setdefault(title, row)
    chosen = list(found.items())[:count]
    ids = reader.ids([row for _, row in chosen])
    return tuple(SuggestedTitle(id_, title) for id_, (title, _) in zip(ids, chosen, strict=True))
