"""ETag and If-Match (RFC 9110, section 13.1.1): refuse a late change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated

import orjson
from fastapi import Header, Response

from retrieval.errors import ContentChanged, InputError

_TAG = re.compile(r'(?:W/)?"([^"]*)"')  # weak if the answer was compressed: the content is the same
_TAGS = re.compile(rf"\s*{_TAG.pattern}(?:\s*,\s*{_TAG.pattern})*+\s*")

IfMatch = Annotated[
    str | None,
    Header(
        description="Change only what still has this `ETag`; otherwise answer 412. The request waits, as with `wait`.",
        max_length=1_000,
    ),
]


def with_tag(response: Response, tag: str) -> Response:
    """Return the response with its tag in a header."""
    response.headers["ETag"] = f'"{tag}"'
    return response


def tag_of(content: object) -> str:
    """Return a digest of records, as the tag of an answer."""
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


def accepted_tags(if_match: str | None) -> tuple[str, ...]:
    """Return the tags of If-Match; none if any will do.  Raises InputError."""
    if if_match is None or if_match.strip() == "*":
        return ()
    if not _TAGS.fullmatch(if_match):
        raise InputError(f"If-Match is {if_match!r}; give the ETag of an answer with its quotes, or leave it out")
    return tuple(_TAG.findall(if_match))


def check_tag(content: object, accepted: Sequence[str]) -> None:
    """Raise ContentChanged unless the content has one of the tags, if there are any."""
    if accepted and tag_of(content) not in accepted:
        raise ContentChanged("the content has changed since it was read; read it again, and repeat the change")
