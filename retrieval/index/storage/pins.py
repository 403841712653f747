"""Pins of a collection, which its manifest records: first hits of some queries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retrieval.errors import InputError
from retrieval.index.storage.synonyms import MAX_CHARACTERS

MAX_PIN_RULES, MAX_QUERIES, MAX_PINNED = 10_000, 64, 100  # of a collection; queries and documents of a rule
MAX_PIN_CHARACTERS = 1_000  # of a query, and of an id


@dataclass(frozen=True, slots=True)
class PinRule:
    """Queries, and the ids of the documents that come first for them."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, values, limit in (("queries", self.queries, MAX_QUERIES), ("documents", self.documents, MAX_PINNED)):
            if not 1 <= len(values) <= limit:
                raise InputError(f"a pin has {len(values)} {name}; give 1 to {limit}")
            for value in values:
                if not isinstance(value, str) or not value.strip() or len(value) > MAX_PIN_CHARACTERS:
                    raise InputError(
                        f"{name} of a pin: {value!r:.100}; give texts of 1 to {MAX_PIN_CHARACTERS:,} characters"
                    )


def parse_pins(lines: Iterable[str]) -> tuple[PinRule, ...]:
    """Parse lines of JSON.  Raises InputError with the number of a wrong line, from 1."""
    rules = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rules.append(pin_of(json.loads(line)))
        except (InputError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f'line {number}: {error}; write {{"queries": ["rain jacket"], "documents": ["sku-17"]}}'
            ) from None
    return check_pins(rules)


def pin_of(given: Mapping[str, Any]) -> PinRule:
    """Return the rule with these values.  Raises InputError, KeyError and TypeError."""
    return PinRule(tuple(given["queries"]), tuple(given["documents"]))


def pin_line(rule: PinRule) -> str:
    """Return the rule as a line of JSON."""
    return json.dumps(asdict(rule), ensure_ascii=False)


def check_pins(rules: Sequence[PinRule]) -> tuple[PinRule, ...]:
    """Return the rules.  Raises InputError if they are too many or too long."""
    characters = sum(len(text) for rule in rules for text in (*rule.queries, *rule.documents))
    if len(rules) > MAX_PIN_RULES or characters > MAX_CHARACTERS:
        raise InputError(
            f"{len(rules):,} pins with {characters:,} characters; a collection has at most {MAX_PIN_RULES:,} pins with "
            f"{MAX_CHARACTERS:,} characters"
        )
    return tuple(rules)
