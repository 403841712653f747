"""Hits: ranked documents with their metadata, best passages and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from sys import getsizeof

import numpy as np

from retrieval.index.collection.document_store import document_bytes
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.given import shown_metadata
from retrieval.results import Hit, PassageHit
from retrieval.search.fusion import PassageRanker, RowScores
from retrieval.search.located_passages import LocatedPassage, locate_passages
from retrieval.search.ranking import DocumentRanking
from retrieval.types import Bitmap, Detail, Document, Mode, Rows, Scores, SearchRequest
from retrieval.util.work_budget import spend_answer_bytes

_SHORT_TEXT = 2_000  # characters; the exact size of shorter texts is not worth its computation


@dataclass(frozen=True, slots=True)
class ChosenPassages:
    """The allowed passages of documents, their scores, and the best positions."""

    rows: Rows  # (passages,), those of one document after the other
    scores: RowScores
    shown: list[Rows]  # positions in `rows` of each document's best matching passages, best first

    def rows_shown(self) -> list[Rows]:
        """Return the rows of each document's best matching passages, best first."""
        return [self.rows[positions] for positions in self.shown]


def choose_passages(documents: Rows, ranker: PassageRanker, reader: IndexReader, count: int) -> ChosenPassages:
    """Return the `count` best matching passages of each document; there is a document.

    A document without a matching passage, which is pinned, has its first one.
    """
    rows = _allowed_rows(documents, ranker, reader)
    joined = np.concatenate(rows)
    scores = ranker.score(joined)
    shown = _best_positions(scores.score, [len(each) for each in rows], count)
    if scores.matching is not None:
        shown = [_matching_first(positions, scores.matching) for positions in shown]
    return ChosenPassages(joined, scores, shown)


def rows_of_hits(ranked: DocumentRanking, count: int, ranker: PassageRanker, reader: IndexReader) -> Rows:
    """Return the row of the best passage of each of the first `count` (> 0) hits."""
    if ranked.rows is not None:
        return ranked.rows[:count]
    return np.concatenate(choose_passages(ranked.documents[:count], ranker, reader, 1).rows_shown())


def _matching_first(positions: Rows, matching: Bitmap) -> Rows:
    kept = positions[matching[positions]]
    return kept if len(kept) else positions[:1]


def _each_alone(rows: Rows, ranker: PassageRanker) -> ChosenPassages:
    """Return passages that are hits of their own."""
    return ChosenPassages(rows, ranker.score(rows), list(np.arange(len(rows), dtype=np.int64)[:, np.newaxis]))


def fetch_hits(
    request: SearchRequest, ranked: DocumentRanking, ranker: PassageRanker, reader: IndexReader
) -> tuple[Hit, ...]:
    """Return the hits of the requested page, as `_fetched`, and their collections."""
    hits = _fetched(request, ranked, ranker, reader)
    if not reader.parts:
        return hits
    first = [part.first for part in reader.parts]
    owners = np.searchsorted(first, ranked.documents[request.offset :][: len(hits)], side="right") - 1
    names = (reader.parts[owner].name for owner in owners.tolist())
    return tuple(replace(hit, collection=name) for hit, name in zip(hits, names, strict=True))


def _fetched(
    request: SearchRequest, ranked: DocumentRanking, ranker: PassageRanker, reader: IndexReader
) -> tuple[Hit, ...]:
    """Return the hits of the requested page.

    A hit shows the best of its matching passages, at most `passages_per_document`; ranks count from 1.  Raises TooLarge
    if the documents do not fit into the answer of the running request.
    """
    page = slice(request.offset, request.offset + request.k)
    documents = ranked.documents[page]
    if not len(documents):
        return ()
    if request.detail is Detail.IDS:
        return _bare_hits(reader.ids(documents), ranked.scores[page], request.offset + 1)
    if ranked.rows is None:
        chosen = choose_passages(documents, ranker, reader, request.passages_per_document)
        found = reader.documents(documents)
    else:
        chosen = _each_alone(ranked.rows[page], ranker)
        found = _read_once(documents, reader)
    located = locate_passages(np.concatenate(chosen.rows_shown()), reader, request.neighbours)
    passages = [[(position, next(located)) for position in positions.tolist()] for positions in chosen.shown]
    spend_answer_bytes(sum(_answer_bytes(*each, request) for each in zip(found, passages, strict=True)))
    return tuple(
        _hit(rank, document, float(score), shown, chosen.scores, request)
        for rank, (document, score, shown) in enumerate(
            zip(found, ranked.scores[page], passages, strict=True), start=request.offset + 1
        )
    )


def _bare_hits(ids: Sequence[str], scores: Scores, first_rank: int) -> tuple[Hit, ...]:
    return tuple(
        Hit(rank, id_, score, "", "", {}, ())
        for rank, (id_, score) in enumerate(zip(ids, scores.tolist(), strict=True), start=first_rank)
    )


def _read_once(documents: Rows, reader: IndexReader) -> list[Document]:
    """Read documents that may occur several times."""
    distinct, positions = np.unique(documents, return_inverse=True)
    found = reader.documents(distinct)
    return [found[position] for position in positions.tolist()]


def _answer_bytes(document: Document, passages: Sequence[tuple[int, LocatedPassage]], request: SearchRequest) -> int:
    """Estimate the size of a hit in an answer; a short text counts in any case."""
    whole = len(document.text) <= _SHORT_TEXT or request.has_whole_texts
    if whole and not request.neighbours:
        return document_bytes(document)
    text_bytes = getsizeof(document.text)
    shown = sum(each.end - each.start for _, each in passages) / max(1, len(document.text))
    return document_bytes(document) - (0 if whole else text_bytes) + round(shown * text_bytes)


def _allowed_rows(documents: Rows, ranker: PassageRanker, reader: IndexReader) -> list[Rows]:
    ends = np.searchsorted(reader.document_of, [documents, documents + 1]).T.tolist()
    rows = [np.arange(first, last, dtype=np.int64) for first, last in ends]
    return rows if ranker.allowed is None else [each[ranker.allowed[each]] for each in rows]


def _best_positions(scores: Scores, sizes: Sequence[int], count: int) -> list[Rows]:
    """Return the positions of each document's `count` best passages, best first.

    `scores` holds the passages of all documents one after the other; `sizes` says how many each document has.
    """
    order = np.lexsort((-scores, np.repeat(np.arange(len(sizes)), sizes)))
    starts = accumulate(sizes, initial=0)
    return [order[start : start + min(size, count)] for start, size in zip(starts, sizes, strict=False)]


def _hit(
    rank: int,
    document: Document,
    score: float,
    passages: Sequence[tuple[int, LocatedPassage]],
    scores: RowScores,
    request: SearchRequest,
) -> Hit:
    return Hit(
        rank=rank,
        id=document.id,
        score=score,
        title=document.title,
        text=document.text if request.has_whole_texts else "",
        metadata=shown_metadata(document, request.fields),
        passages=tuple(_passage_hit(document.text, each, float(scores.score[i])) for i, each in passages),
        scores=_named_scores(scores, passages[0][0]),
    )


def _passage_hit(text: str, located: LocatedPassage, score: float) -> PassageHit:
    passage, number, total, first, last = located
    start, end = passage.start, passage.end
    return PassageHit(
        text[start:end],
        start,
        end,
        score,
        passage.location,
        passage.heading,
        number=number,
        previous=number - 1 or None,
        next=number + 1 if number < total else None,
        before=text[first:start],
        after=text[end:last],
    )


def _named_scores(scores: RowScores, position: int) -> dict[str, float | None]:
    """Return the scores of one row by name; None for a retriever that took no part."""
    parts = {Mode.DENSE.value: None, Mode.LEXICAL.value: None, **scores.parts, "fused": scores.fused}
    return {name: None if values is None else float(values[position]) for name, values in parts.items()}
