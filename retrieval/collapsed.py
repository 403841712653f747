"""The record of a hit that stands for several documents.

This module imports no numpy: the wire types read it.
"""

from __future__ import annotations

from dataclasses import dataclass

LOWEST_NEAR = 0.5  # cosine of near duplicates; those below are of different texts


@dataclass(frozen=True, slots=True)
class Collapsed:
    """The value that a hit shares with `more` other documents of the match set.

    Near duplicates share no value: for them it is None.
    """

    value: str | float | bool | None  # dates in ISO format
    more: int
