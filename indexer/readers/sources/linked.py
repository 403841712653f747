"""What a page says about itself as linked data (schema.org in JSON-LD): its author and its date."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MOST_NODES = 500
LONGEST = 1 << 20  # characters of one script
DATES = ("datePublished", "dateCreated", "dateModified", "uploadDate")
PAGES = ("Article", "Posting", "WebPage", "Report", "Book", "Recipe", "HowTo", "CreativeWork", "Dataset", "Object")


@dataclass(frozen=True, slots=True)
class LinkedData:
    """Author and date as they are written; "" for none."""

    author: str = ""
    date: str = ""


def linked_data(scripts: Iterable[str]) -> LinkedData:
    """What the first descriptions of the page itself say, in the page's order."""
    author = date = ""
    for script in scripts:
        for node in _nodes(_loaded(script)):
            if any(str(kind).endswith(PAGES) for kind in _listed(node.get("@type"))):
                author = author or ", ".join(filter(None, map(_name, _listed(node.get("author")))))
                date = date or next((node[name] for name in DATES if isinstance(node.get(name), str)), "")
    return LinkedData(author, date)


def _loaded(script: str) -> Any:
    try:
        return json.loads(script) if len(script) < LONGEST else None
    except (ValueError, RecursionError):
        return None  # what a page says about itself is often broken


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Objects at the top, in lists and in graphs."""
    waiting = [value]
    for _ in range(MOST_NODES):
        if not waiting:
            return
        current = waiting.pop()
        if isinstance(current, list):
            waiting.extend(reversed(current[:MOST_NODES]))
        elif isinstance(current, dict):
            yield current
            waiting.append(current.get("@graph"))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _name(value: Any) -> str:
    found = value.get("name") if isinstance(value, dict) else value
    return found if isinstance(found, str) and not found.startswith("http") else ""
