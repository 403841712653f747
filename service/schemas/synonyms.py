"""The synonyms of a collection on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.schemas.base import RequestBody, examples, items

Phrases = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], items(64)]


class SynonymRuleBody(RequestBody):
    """Phrases that stand for each other; with `synonyms`, these stand for `words`."""

    words: Phrases = Field(min_length=1, description="Words of queries; each is one word or several.")
    synonyms: Phrases = Field(default_factory=list, description="Phrases that they find, too; empty: each other.")

    model_config = examples(
        {"words": ["tv", "television"]}, {"words": ["sneakers"], "synonyms": ["running shoes", "trainers"]}
    )


class SynonymsBody(RequestBody):
    """The new synonyms of a collection."""

    synonyms: Annotated[list[SynonymRuleBody], items(10_000)]

    model_config = examples({"synonyms": [{"words": ["tv", "television"]}]})
