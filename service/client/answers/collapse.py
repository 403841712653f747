"""Hits that stand for several documents."""

from __future__ import annotations

from .base import Answer


class CollapsedAnswer(Answer):
    """The value that a hit shares with `more` other documents of the match set.

    It is null for near duplicates.
    """

    value: str | int | float | bool | None
    more: int
