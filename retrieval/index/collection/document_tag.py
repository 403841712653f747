"""The tag of a document's content, which shows whether the document has changed."""

from __future__ import annotations

import hashlib
import json
from datetime import date

from retrieval.index.metadata.given import shown_metadata
from retrieval.types import Document


def document_tag(document: Document) -> str:
    """Return a digest of a stored document: title, text and metadata as it is shown."""
    content = [document.title, document.text, shown_metadata(document)]
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_text)
    return hashlib.blake2b(written.encode(), digest_size=12).hexdigest()


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r} is no value of metadata")
