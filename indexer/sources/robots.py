"""The rules of a robots.txt (RFC 9309).

`urllib.robotparser` raises ValueError for odd numbers, knows no `*` within a path, and takes the first rule that
matches instead of the longest. Time is linear in the size of the file.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass, field

DELAY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One path pattern: `pieces` stand between its asterisks."""

    pieces: tuple[str, ...]
    to_the_end: bool
    length: int
    allow: bool

    def matches(self, path: str) -> bool:
        first, *others = self.pieces
        if not path.startswith(first):
            return False
        if not others:
            return not self.to_the_end or path == first
        at = len(first)
        last = others.pop() if self.to_the_end else ""
        for piece in others:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(path) - len(last) >= at and path.endswith(last)


@dataclass(slots=True)
class RobotsRules:
    """The rules of one group of user agents; without rules everything is allowed."""

    rules: list[_Rule] = field(default_factory=list)
    delay_seconds: float | None = None

    def allows(self, path: str) -> bool:
        """Check `path`, with its query: the longest pattern that matches decides."""
        path = _normal(path)
        found = [rule for rule in self.rules if rule.matches(path)]
        return max(((rule.length, rule.allow) for rule in found), default=(0, True))[1]

    def add(self, name: str, value: str) -> None:
        """Add one line of the group; ignore a line without a meaning."""
        if name == "crawl-delay":
            self.delay_seconds = float(value) if DELAY.fullmatch(value) else self.delay_seconds
        elif value:
            first, *others = value.removesuffix("$").split("*")
            pieces = (first, *filter(None, others[:-1]), *others[-1:])
            self.rules.append(
                _Rule(tuple(map(_normal, pieces)), value.endswith("$"), len(value), allow=name == "allow")
            )


def parse_robots(text: str, user_agent: str) -> RobotsRules:
    """Return the rules for `user_agent`, in lower case; else those for every agent."""
    groups = {"*": RobotsRules(), user_agent: RobotsRules()}
    named: set[str] = set()  # the agents of the current group, as far as they matter
    known: set[str] = set()
    has_rules = False
    for line in text.splitlines():
        name, _, value = (part.strip() for part in line.split("#")[0].partition(":"))
        name = name.lower()
        if name == "user-agent":
            named = set() if has_rules else named
            has_rules = False
            named |= {re.split(r"[/\s]", value.lower())[0]} & groups.keys()
            known |= named
        elif name in ("allow", "disallow", "crawl-delay"):
            has_rules = True
            for agent in named:
                groups[agent].add(name, value)
    return groups[user_agent if user_agent in known else "*"]


def _normal(path: str) -> str:
    """Return `path` with one way to escape each character."""
    return urllib.parse.quote(urllib.parse.unquote_to_bytes(path))
