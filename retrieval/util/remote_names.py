"""Names of encoders behind a URL: openai:URL#model, tei:URL, ollama:URL#model."""

from __future__ import annotations

REMOTE_KINDS = ("openai", "tei", "ollama")


def is_remote(name: object) -> bool:
    """Check whether a name is that of an encoder behind a URL."""
    kind, colon, rest = str(name).partition(":")
    return bool(colon) and kind in REMOTE_KINDS and "://" in rest
