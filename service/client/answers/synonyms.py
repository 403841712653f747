"""The synonyms of a collection."""

from __future__ import annotations

from .base import Answer


class SynonymRuleAnswer(Answer):
    """A rule as it was given."""

    words: list[str]
    synonyms: list[str]


class SynonymsAnswer(Answer):
    """The synonyms of a collection."""

    synonyms: list[SynonymRuleAnswer]
    generation: int
