"""Aliases of collections."""

from __future__ import annotations

from .base import Answer


class AliasesAnswer(Answer):
    """All aliases, each with its collection."""

    aliases: dict[str, str]
