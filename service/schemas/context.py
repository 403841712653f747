"""Searches for passages and contexts on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.client.options import UnitName
from service.schemas.base import WholeNumber, query_or_examples
from service.schemas.search import SearchBody

# Those of retrieval/search/answers/context.py, which imports numpy.
MIN_TOKENS, MAX_TOKENS, DEFAULT_TOKENS, CONTEXT_PASSAGES = 16, 100_000, 2_000, 50


class PassageSearchBody(SearchBody):
    """A search for passages."""

    k: WholeNumber = Field(default=10, ge=1, le=10_000, description="Number of passages to return.")
    group_by: Literal["none"] = Field(default="none", description="Each hit is a passage.")

    model_config = query_or_examples({"query": "wing in a slipstream", "k": 5, "neighbours": 1})


class ContextBody(SearchBody):
    """A query, and the size of its context."""

    max_tokens: WholeNumber = Field(
        default=DEFAULT_TOKENS, ge=MIN_TOKENS, le=MAX_TOKENS, description="Maximum size of the whole text in `unit`."
    )
    unit: UnitName = Field(
        default="tokens", description="Unit of `max_tokens`: tokens of the collection's tokenizer, or another unit."
    )
    k: WholeNumber = Field(
        default=CONTEXT_PASSAGES, ge=1, le=10_000, description="Number of passages to choose from, the best ones."
    )
    group_by: Literal["document", "none"] = Field(
        default="none", description="`document`: at most `passages_per_document` passages of each document."
    )

    model_config = query_or_examples({"query": "wing in a slipstream", "max_tokens": 2_000})
