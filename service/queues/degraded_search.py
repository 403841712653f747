"""Answer from the lexical index while a remote encoder gives no vectors."""

from __future__ import annotations

import math
from dataclasses import replace

from retrieval.errors import EncoderUnavailable
from retrieval.results import SearchResult
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, SearchRequest


def search_or_degrade(searcher: Searcher, request: SearchRequest, *, rerank_ms: float = math.inf) -> SearchResult:
    """Search; without the remote encoder, search the lexical index and say so.

    Raises EncoderUnavailable if the request needs vectors.
    """
    try:
        return searcher.search(request, rerank_ms=rerank_ms)
    except EncoderUnavailable:
        if not may_degrade(searcher, request):
            raise
        return degraded_search(searcher, request, rerank_ms=rerank_ms)


def may_degrade(searcher: Searcher, request: SearchRequest) -> bool:
    """Check whether the lexical index can answer a request."""
    asks_vectors = request.mode is Mode.DENSE or request.has_examples
    return not asks_vectors and searcher.reader.lexical is not None


def degraded_search(searcher: Searcher, request: SearchRequest, *, rerank_ms: float = math.inf) -> SearchResult:
    """Search the lexical index alone, and name the retriever that was left out."""
    result = searcher.search(replace(request, mode=Mode.LEXICAL), rerank_ms=rerank_ms)
    return replace(result, degraded=("dense", *result.degraded))
