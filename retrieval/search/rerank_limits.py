"""Defaults and limits of reranking.

Request checks, wire schema, command line and client read them.  This module imports no numpy, so that the Python
client stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.types import RerankOptions

RERANK_DEPTH = 20  # documents that a search reranks by default
MAX_RERANK_DEPTH = 100
RERANK_WEIGHT = 0.3  # share of the reranker by default


def depth_of(options: RerankOptions | None) -> int:
    """Return the number of documents to rerank; 0 for none."""
    if options is None:
        return 0
    return RERANK_DEPTH if options.depth is None else options.depth
