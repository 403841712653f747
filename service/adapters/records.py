"""Documents of frameworks as records of the service, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from retrieval.errors import InputError
from service.adapters.exact_metadata import ADAPTER_FIELD, received_metadata, sent_metadata
from service.client import SearchOptions
from service.client.answers.collections import DocumentAnswer
from service.client.answers.search import HitAnswer, PassageAnswer

BLANK, EDGES = "blank", "edges"  # parts: a text of white space; white space that no passage has
_PAGE = re.compile(r"p\. (\d+)")


@dataclass(frozen=True, slots=True)
class ReceivedText:
    """A text with its metadata, and the parts that an adapter sent with them."""

    text: str
    metadata: dict[str, Any]
    parts: dict[str, Any]
    passage: PassageAnswer | None = None  # None if `text` is the whole document


def sent_record(
    document_id: str, text: str, metadata: Mapping[str, Any], parts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a document for the service, with the title that the metadata have."""
    parts = dict(parts or {})
    stripped = text.strip()
    if not stripped:
        parts[BLANK], text = text, " "  # the service wants a text
    elif stripped != text:
        before, _, after = text.partition(stripped)
        parts[EDGES] = [before, after]
    record = {"id": document_id, "text": text, "metadata": sent_metadata(metadata, parts)}
    return {**record, "title": title} if (title := title_of(metadata)) else record


def title_of(metadata: Mapping[str, Any]) -> str:
    """Return the title that metadata have, or ""."""
    title = metadata.get("title")
    return title if isinstance(title, str) else ""


def received_document(document: DocumentAnswer) -> ReceivedText:
    """Return a document as it was given to `sent_record`."""
    metadata, parts = received_metadata(document.metadata)
    text = parts.pop(BLANK, document.text)
    parts.pop(EDGES, None)
    return ReceivedText(text, {**_title(document.title), **metadata}, parts)


def received_hit(hit: HitAnswer, *, facts: bool) -> ReceivedText:
    """Return the best passage of a hit, or the whole text if the answer has it.

    With `facts`, those about the hit stand beside its metadata, which win.  Without, a document of one passage comes
    back as it was added, and facts stand beside the metadata of a part of one.
    """
    best = hit.passages[0] if hit.passages and not hit.text else None
    if best is None and not facts:
        return received_document(DocumentAnswer(**hit.model_dump(include={"id", "title", "text", "metadata"})))
    metadata, parts = received_metadata(hit.metadata)
    before, after = parts.pop(EDGES, ("", ""))
    blank = parts.pop(BLANK, None)
    text = best.text if best else hit.text
    if best is not None and is_whole(best):
        text, best = f"{before}{text.strip()}{after}" if blank is None else blank, best if facts else None
    shown = _facts(hit, best) if facts or best else _title(hit.title)
    return ReceivedText(text, {**shown, **metadata}, parts, best)


def is_whole(passage: PassageAnswer) -> bool:
    """Check whether a passage is the only one of its document."""
    return passage.previous is None and passage.next is None


def search_options(given: Mapping[str, Any], own: Mapping[str, str], *, whole: bool = False) -> SearchOptions:
    """Return the options of a search with all that documents are made of.

    `own` has options that the framework names itself, and these names.  Raises InputError for one of them in `given`.
    """
    for name, instead in own.items():
        if name in given:
            raise InputError(f"the options have {name!r}; give {instead} instead")
    options = dict(given)
    if whole:
        options["include"] = list(dict.fromkeys([*options.get("include", ()), "text"]))
    if options.get("fields") is not None:
        options["fields"] = [*options["fields"], ADAPTER_FIELD]
    return cast(SearchOptions, options)


def _title(title: str) -> dict[str, Any]:
    return {"title": title} if title else {}


def _facts(hit: HitAnswer, passage: PassageAnswer | None) -> Mapping[str, Any]:
    """Return where a hit is from: `source`, page, heading, place and neighbours."""
    facts: dict[str, Any] = {**_title(hit.title), "source": hit.id}
    if passage is None:
        return facts
    facts |= {"start": passage.start, "end": passage.end, "location": passage.location, "passage": passage.number}
    if page := _PAGE.fullmatch(passage.location):
        facts["page"] = int(page[1])
    further = {"heading": passage.heading, "before": passage.before, "after": passage.after}
    return facts | {name: value for name, value in further.items() if value}
