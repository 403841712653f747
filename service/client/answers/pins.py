"""The pins of a collection."""

from __future__ import annotations

from .base import Answer


class PinRuleAnswer(Answer):
    """A pin as it was given."""

    queries: list[str]
    documents: list[str]


class PinsAnswer(Answer):
    """The pins of a collection."""

    pins: list[PinRuleAnswer]
    generation: int
