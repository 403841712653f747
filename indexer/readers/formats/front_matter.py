"""Front matter: the fields above a text, in YAML or TOML.

YAML stands between two lines of hyphens, TOML between two lines of plus signs, at the very beginning. As in Pandoc, a
line of hyphens above an empty line is a rule. So is a line of hyphens above anything that is not a list of fields.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

YAML = re.compile(r"\A---[ \t]*\n(?![ \t]*\n)(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
MAX_FRONT_MATTER_CHARACTERS = 65_536
MAX_NODES = 10_000  # aliases count as often as they are used
MAX_DEPTH = 16
FIELD = re.compile(r"(?P<name>[^\W_][^:\n\"']{0,60}?)[ \t]*:(?:[ \t]+(?P<value>.*))?\Z", re.DOTALL)
HEADING = re.compile(r"^#{1,6} .*\n[ \t]*\n", re.MULTILINE)  # a comment of YAML seldom stands above an empty line
NEXT_FIELD = re.compile(r"\n(?=[^\s#\]}-])")  # lists and continued values begin with white space or a hyphen
WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})")
DECIMAL = re.compile(r"-?\d{1,15}\.\d{1,15}")
BOOLEANS = {"true": True, "false": False}
NULLS = ("", "~", "null")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The fields of a text's front matter, and the text after it."""

    fields: Mapping[str, Any]
    body: str


def split_front_matter(text: str) -> FrontMatter:
    """Return the fields at the very beginning of `text`, and the text after them."""
    head = text[:MAX_FRONT_MATTER_CHARACTERS]
    for pattern, parse in ((YAML, _parse_yaml), (TOML, _parse_toml)):
        if (found := pattern.match(head)) and (fields := parse(found.group(1))) is not None:
            filled = {name: value for name, value in fields.items() if value not in (None, "", [])}
            return FrontMatter(filled, text[found.end() :])
    return FrontMatter({}, text)


def _parse_toml(toml: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(toml, parse_float=_plain_value)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _parse_yaml(yaml: str) -> dict[str, Any] | None:
    """Parse fields; None if the text is something else.

    If YAML's rules do not accept all of it, each field is parsed alone, and one that they do not accept stays as it
    was written: many titles hold a colon.
    """
    if HEADING.search(yaml):
        return None
    try:
        fields = _load_yaml(yaml)
    except ValueError:
        fields = _parse_each_field(yaml)
    is_prose = not isinstance(fields, dict) or all(" " in name for name in fields)
    return None if is_prose else fields


def _parse_each_field(yaml: str) -> dict[str, Any] | None:
    """Parse a text as separate fields; None if a part of it is no field."""
    found: dict[str, Any] = {}
    for lines in NEXT_FIELD.split(yaml):
        try:
            one = _load_yaml(lines)
        except ValueError:
            one = None
        named = FIELD.match(lines.rstrip())
        if isinstance(one, dict):
            found |= one
        elif named:
            found[named["name"]] = " ".join((named["value"] or "").split())
        elif any(line.strip() and not line.startswith("#") for line in lines.split("\n")):
            return None
    return found


def _load_yaml(yaml: str) -> Any:
    """Return the values of a YAML text. Raises ValueError if it is unusable."""
    from yaml import BaseLoader, YAMLError, compose

    try:
        return _YamlValues().value(compose(yaml, Loader=BaseLoader))
    except (YAMLError, RecursionError) as error:
        raise ValueError("not YAML") from error


@dataclass(slots=True)
class _YamlValues:
    """Turns nodes into values, up to a number of nodes; tags are ignored."""

    nodes: int = 0

    def value(self, node: Any, depth: int = 0) -> Any:
        """Return the value of a node: None, a scalar, a list or a dictionary."""
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ValueError("too many or too deep fields")
        if node is None:
            return None
        if node.id == "sequence":
            return _named_items([self.value(item, depth + 1) for item in node.value])
        if node.id == "mapping":
            return self._mapping(node, depth)
        return _plain_value(node.value) if node.style is None else node.value.strip()

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.id != "scalar":
                raise ValueError("a name is not text")
            inner = self.value(value, depth + 1)
            if key.value == "<<" and isinstance(inner, dict):  # the fields of another mapping
                found = inner | found
            else:
                found[key.value] = inner
        return found


def _named_items(items: list[Any]) -> list[Any]:
    """Return the items of a list; of an item with fields, the field `name`."""
    named = (item.get("name", item) if isinstance(item, dict) else item for item in items)
    return [item for item in named if item not in (None, "")]


def _plain_value(text: str) -> Any:
    """Return a value without quotes: a number only if it is written as it was."""
    if text.lower() in NULLS:
        return None
    if text.lower() in BOOLEANS:
        return BOOLEANS[text.lower()]
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL.fullmatch(text) and str(float(text)) == text else text
