"""Rows of MTEB's data sets as documents and queries.

A document has a title and a text.  A query is a text with an optional instruction, or a conversation: a list of texts,
or of turns with `role` and `content`.  They become the texts that MTEB gives to encoders: the instruction stands behind
a text and before a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.errors import InputError
from retrieval.search.request_limits import MAX_QUERY_CHARACTERS
from retrieval.types import ALL_DOCUMENTS

TEXT_COLUMNS = ("text", "body")  # of a corpus; the code of MTEB reads the first, its documentation names the second


def document_record(row: Mapping[str, Any]) -> dict[str, str] | None:
    """Return a row of a corpus as a record; None without text.

    Raises InputError for a row without a column of text.
    """
    column = next((each for each in TEXT_COLUMNS if each in row), None)
    if column is None and "title" not in row:
        columns = ", ".join(map(str, row))
        raise InputError(f"the corpus has no texts (columns: {columns}); choose a task whose documents are texts")
    title, text = _text(row.get("title")), _text(row[column]) if column else ""
    return {"id": str(row["id"]), "title": title, "text": text} if title or text else None


def query_text(row: Mapping[str, Any]) -> str:
    """Return the words of a query; "" without any.  A long one is cut."""
    if "text" not in row:
        raise InputError(f"the queries have no texts (columns: {', '.join(map(str, row))}); choose a task with texts")
    given, instruction = row["text"], _text(row.get("instruction"))
    if isinstance(given, Sequence) and not isinstance(given, str):
        text = "; ".join(filter(None, map(_turn, given)))
        parts = (instruction, text)
    else:
        text = _text(given)
        parts = (text, instruction)
    if not text or text.strip() == ALL_DOCUMENTS:  # which a search takes for all documents
        return ""
    return " ".join(filter(None, parts))[:MAX_QUERY_CHARACTERS]


def _turn(turn: Any) -> str:
    """Return one turn of a conversation: a text, or `role: content`."""
    if not isinstance(turn, Mapping):
        return _text(turn)
    content = _text(turn.get("content"))
    return f"{turn['role']}: {content}" if content and turn.get("role") else content


def _text(value: Any) -> str:
    """Return a value as text; "" if it is missing, null or white space."""
    text = "" if value is None else str(value)
    return text if text.strip() else ""
