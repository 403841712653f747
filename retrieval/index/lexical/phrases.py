"""Parse a query, with or without operators, and find a phrase in passages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from retrieval.bm25_options import Bm25Options
from retrieval.index.lexical.postings import Postings
from retrieval.types import Syntax
from retrieval.util.arrays import is_member

_OPERATOR = re.compile(r'(?P<minus>(?<!\S)-)?"(?P<quoted>[^"]*)"|(?<!\S)-(?P<word>[^\W\d]\S*)')
_POSITION_BITS = 32


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """The parts of a query's text."""

    plain: str  # ranks the passages: with the phrases, without operators and exclusions
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    typos: bool = False  # words that the index lacks stand for the nearest terms
    prefix: bool = False  # the last word is the start of a word
    synonyms: bool = False  # those of the collection stand for its words, too
    bm25: Bm25Options | None = None  # None: the parameters of the collection
    terms: tuple[str, ...] = ()  # further terms that rank, as the index has them


def parse_query(
    text: str,
    syntax: Syntax,
    *,
    typos: bool = False,
    prefix: bool = False,
    synonyms: bool = False,
    bm25: Bm25Options | None = None,
) -> ParsedQuery:
    """Return the whole text in plain syntax, or parse its operators.

    They are "phrases in quotes" and -excluded words or -"phrases".  A quote without its closing quote, curly quotes,
    and a dash without a letter after it are plain text.
    """
    if syntax is Syntax.PLAIN:
        return ParsedQuery(text, typos=typos, prefix=prefix, synonyms=synonyms, bm25=bm25)
    phrases: dict[str, None] = {}
    excluded: dict[str, None] = {}

    def read(match: re.Match[str]) -> str:
        operand = match["quoted"] if match["word"] is None else match["word"]
        if match["word"] is not None or match["minus"]:
            excluded[operand] = None
            return " "
        phrases[operand] = None
        return f" {operand} "

    plain = _OPERATOR.sub(read, text).replace('"', " ")
    return ParsedQuery(" ".join(plain.split()), tuple(phrases), tuple(excluded), typos, prefix, synonyms, bm25=bm25)


def phrase_occurrences(
    postings: Postings, terms: Sequence[tuple[str, int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the passages with a phrase, ascending, and how often each has it: (n,).

    `terms` has each term with its position in the phrase.
    """
    found = {text: postings.find(text) for text, _ in terms}
    if any(number is None for number in found.values()):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    numbers = {text: number for text, number in found.items() if number is not None}
    lists = sorted((postings.passages_of(number) for number in numbers.values()), key=len)
    passages = reduce(lambda some, others: some[is_member(some, others)], lists)
    last = max(position for _, position in terms)
    starts: NDArray[np.int64] | None = None
    for text, position in terms:
        shifted = _packed_positions(postings, numbers[text], passages) + (last - position)
        starts = shifted if starts is None else starts[is_member(starts, shifted)]
    assert starts is not None
    return np.unique(starts >> _POSITION_BITS, return_counts=True)


def _packed_positions(postings: Postings, term: int, passages: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return `passage << _POSITION_BITS | position` of each occurrence, ascending."""
    counts = postings.counts_of(term).astype(np.int64)
    wanted = is_member(postings.passages_of(term), passages)
    positions = postings.positions_of(term)[np.repeat(wanted, counts)].astype(np.int64)
    repeated = np.repeat(postings.passages_of(term)[wanted].astype(np.int64), counts[wanted])
    return (repeated << _POSITION_BITS) + positions
