"""Searched fields: metadata fields, and the id, whose words lexical search finds.

The lexical index reads them with each passage of the document, as it reads the title.  Their words count with the
weight of the field (BM25F, Robertson, Zaragoza and Taylor 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from retrieval.index.collection.document_store import MAX_TITLE
from retrieval.index.metadata.schema import plain_number
from retrieval.types import Document, MetadataValue

ID_FIELD = "id"  # stands for the id of the document


def searched_texts(document: Document, fields: Sequence[str]) -> tuple[str, ...]:
    """Return the text of each field of a document with typed metadata; "" without one."""
    return tuple(
        document.id[:MAX_TITLE] if field == ID_FIELD else searched_text(document.metadata.get(field))
        for field in fields
    )


def searched_text(value: MetadataValue | None) -> str:
    """Return a value of metadata as text; elements of a list are joined by a space."""
    if value is None:
        return ""
    parts = value if isinstance(value, tuple) else (value,)
    shown = (each.isoformat() if isinstance(each, datetime) else str(plain_number(each)) for each in parts)
    return " ".join(shown)[:MAX_TITLE]
