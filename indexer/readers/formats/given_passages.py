"""Passages that come with a record: the user, or an export, has cut its text.

Each is an object with `start` and `end`, code points of the text, and perhaps `location` and `heading`.  Other members,
such as the vectors of an export, are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrieval.errors import BadDocument
from retrieval.types import Section

PASSAGES = "passages"


def given_passages(fields: dict[str, Any], characters: int) -> tuple[Section, ...]:
    """Take the passages of a text of so many characters out of a record's fields.

    Return none if the field is absent or holds other data, which stays metadata.  Raises BadDocument for passages that
    are no part of the text or begin before an earlier one.
    """
    given = fields.get(PASSAGES)
    if not isinstance(given, list) or not given or not all(map(_is_passage, given)):
        return ()
    del fields[PASSAGES]
    passages = tuple(
        Section(each["start"], each["end"], each.get("location") or "", each.get("heading") or "") for each in given
    )
    start = 0
    for number, each in enumerate(passages, start=1):
        if not start <= each.start <= each.end <= characters:
            raise BadDocument(
                f"passage {number} is [{each.start}, {each.end}) of a text of {characters:,} characters; give passages "
                "inside the text, in its order"
            )
        start = each.start
    return passages


def _is_passage(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    return all(type(value.get(name)) is int for name in ("start", "end")) and all(
        isinstance(value.get(name), str | None) for name in ("location", "heading")
    )
