"""Tokens of texts."""

from __future__ import annotations

from .base import Answer


class TokenAnswer(Answer):
    """A token and its offsets in code points; special tokens have none."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None
