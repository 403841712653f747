"""One searcher over several open collections with the same encoder."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.errors import BadQuery
from retrieval.index.collection.joined_reader import JoinedReader
from retrieval.search.encoder_check import joined_encoder
from retrieval.search.searcher import Searcher

MAX_JOINED = 16  # collections of one search


def join_searchers(searchers: Sequence[Searcher]) -> Searcher:
    """Return a searcher whose answers are those of one collection with all documents.

    Each hit names its collection.  Equal scores are ordered by id, then by the order of the collections.  Ids should
    differ between them: an example or an explanation of an id that several have is of the first one's document.  The
    given searchers may be closed before.  Raises BadQuery for collections whose scores cannot be compared.
    """
    if not 1 <= len(searchers) <= MAX_JOINED:
        raise BadQuery(f"the search names {len(searchers)} collections; name 1 to {MAX_JOINED}")
    reader = JoinedReader([searcher.reader for searcher in searchers])
    first = searchers[0]
    sparse_encoder = first.sparse_encoder if reader.sparse is not None else None
    encoder = joined_encoder([searcher.encoder for searcher in searchers])
    return Searcher(reader, encoder, rerankers=first.rerankers, sparse_encoder=sparse_encoder)
