"""Explain the score of a document in a search that reranks."""

from __future__ import annotations

from dataclasses import replace

from retrieval.errors import BadQuery
from retrieval.explanations import Explanation
from retrieval.search.request_limits import depth_of
from retrieval.search.searcher import Searcher
from retrieval.types import Detail, SearchRequest


def explain_reranked(searcher: Searcher, request: SearchRequest, document_id: str) -> Explanation:
    """Explain a hit that the request reranks: both stages, for its best passage.

    The search runs twice, so that only this hit is explained and not all candidates.  Raises DocumentNotFound, BadQuery
    for a document that the request does not rerank, and the errors of a search.
    """
    searcher.document(document_id)
    depth = depth_of(request.rerank)
    whole = replace(request, k=depth, offset=0, detail=Detail.IDS, explain=False)
    ids = [hit.id for hit in searcher.search(whole).hits]
    if document_id not in ids:
        raise BadQuery(
            f"{document_id!r} is not among the first {depth} hits, which the search reranks; "
            "rerank to a greater depth, or explain without reranking"
        )
    [hit] = searcher.search(replace(request, k=1, offset=ids.index(document_id), explain=True)).hits
    assert hit.explanation is not None
    return hit.explanation
