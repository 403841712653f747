"""Questions on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.schemas.base import WholeNumber, query_or_examples
from service.schemas.context import CONTEXT_PASSAGES
from service.schemas.search import SearchBody


class QuestionBody(SearchBody):
    """A question, with the options of the search for its context."""

    stream: bool = Field(default=True, description="Answer with server-sent events; else with one JSON document.")
    max_tokens: WholeNumber | None = Field(
        default=None, ge=100, le=16_000, description="Tokens of the context; default: that of the service."
    )
    k: WholeNumber = Field(
        default=CONTEXT_PASSAGES, ge=1, le=10_000, description="Number of passages to choose from, the best ones."
    )
    group_by: Literal["document", "none"] = Field(
        default="none", description="`document`: at most `passages_per_document` passages of each document."
    )

    model_config = query_or_examples({"query": "does aspirin lower the risk of stroke", "stream": False})
