"""Defaults and limits of a search request.

Request checks, settings, wire schema and command line read them.  This module imports no numpy, so that the parent of a
service with several processes stays small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.types import RerankOptions

MAX_DEPTH = 10_000  # offset + k
MAX_QUERY_CHARACTERS = 20_000
MAX_FACETS = 16
MAX_EXAMPLES = 32  # documents to be like or unlike
RERANK_DEPTH = 20  # documents that a search reranks by default
MAX_RERANK_DEPTH = 100
RERANK_WEIGHT = 0.3  # share of the reranker by default


def depth_of(options: RerankOptions | None) -> int:
    """Return the number of documents to rerank; 0 for none."""
    if options is None:
        return 0
    return RERANK_DEPTH if options.depth is None else options.depth
