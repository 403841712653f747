"""The record of a hit that stands for several documents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Collapsed:
    """The value that a hit shares with `more` other documents of the match set."""

    value: str | float | bool  # dates in ISO format
    more: int
