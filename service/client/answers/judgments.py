"""Judgments of documents, and measures over them."""

from __future__ import annotations

from ..options import ModeName
from .base import Answer


class JudgmentAnswer(Answer):
    """One judgment."""

    query: str
    document: str
    grade: int
    judged: str


class JudgmentsAnswer(Answer):
    """All judgments, in the order in which they were first made."""

    judgments: list[JudgmentAnswer]


class ModeMeasuresAnswer(Answer):
    """Measures of one mode."""

    mode: ModeName
    measures: dict[str, float]


class MeasuresAnswer(Answer):
    """The measures of each mode; `queries` is the number of averaged queries."""

    queries: int
    judgments: int
    modes: list[ModeMeasuresAnswer]
