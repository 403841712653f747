"""Check standing queries against the documents that are new in a generation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.metadata_updates import MetadataUpdates
from retrieval.index.collection.standing_queries import MAX_MATCHES, StandingQuery
from retrieval.results import Confidence
from retrieval.search.match_set import confidence, matches_from
from retrieval.search.plan import make_plan, open_ranker
from retrieval.search.ranking import document_scores, rank_by_score
from retrieval.search.readability import Readability
from retrieval.search.request import checked
from retrieval.search.searcher import Searcher
from retrieval.types import Bitmap, Mode, Rows, Scores, SearchRequest

Updates = Mapping[str, MetadataUpdates]  # of the segments that have some, by name


def request_of(query: StandingQuery) -> SearchRequest:
    """Return the search that a standing query repeats."""
    mode = Mode(query.mode) if query.mode else None
    return SearchRequest(query.query, filter=query.filter, mode=mode, min_score=query.min_score)


def check_standing(searcher: Searcher, query: StandingQuery, before: Updates | None) -> list[tuple[str, float]]:
    """Return the ids and scores of the matches among the documents new to the query.

    `before` has the metadata updates of the generation that was last checked; None if they are unknown.  Matches are in
    the order of their documents in the collection.  Raises BadQuery and FilterError.
    """
    new = changed_documents(searcher.reader, query, before)
    documents, scores = _matching(searcher, request_of(query), new)
    documents, scores = documents[-MAX_MATCHES:], scores[-MAX_MATCHES:]
    return list(zip(searcher.reader.ids(documents), map(float, scores), strict=True))


def _matching(searcher: Searcher, request: SearchRequest, among: Bitmap) -> tuple[Rows, Scores]:
    """Return the match set among some documents, ascending, and their scores.

    `among` is (documents,).  The cut is that of the whole collection; if nothing in it is close to the query, nothing
    matches.
    """
    reader = searcher.reader
    [encoded] = searcher.encoded([checked(request)])
    plan = make_plan(encoded.request, reader, Readability(searcher.encoder.tokenizer))
    ranker, feedback = open_ranker(plan, reader, encoded.vector, encoded.weights)
    best = rank_by_score(ranker, reader, 1)
    if confidence(plan, reader, encoded.vector, best, ranker, feedback) is Confidence.LOW:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    return document_scores(ranker, reader, matches_from(plan, reader, ranker), among)


def changed_documents(reader: IndexReader, query: StandingQuery, before: Updates | None) -> Bitmap:
    """Return the live documents that were added or changed since the last check."""
    changed = np.zeros(len(reader.live_documents), np.bool_)
    changed[reader.document_of[np.searchsorted(reader.keys, np.uint64(query.next_key)) :]] = True
    start = 0
    for segment in reader.segments:
        newest = max((int(each.file.name.partition("-")[0]) for each in segment.record.updates), default=0)
        if segment.updates is not None and newest > query.generation:
            known = (before or {}).get(segment.record.name)
            changed[start + _changed_rows(segment.updates, known)] = True
        start += segment.record.documents
    return changed & reader.live_documents


def updates_of(reader: IndexReader) -> Updates:
    """Return the metadata updates of the segments that have some, by name."""
    return {segment.record.name: segment.updates for segment in reader.segments if segment.updates is not None}


def _changed_rows(updates: MetadataUpdates, known: MetadataUpdates | None) -> Rows:
    """Return the rows whose update is not among the known ones."""
    if known is None:
        return updates.rows
    positions = np.minimum(np.searchsorted(known.rows, updates.rows), len(known.rows) - 1)
    same = (known.rows[positions] == updates.rows) & (known.contents[positions] == updates.contents).all(axis=1)
    rows: Rows = updates.rows[~same]
    return rows
