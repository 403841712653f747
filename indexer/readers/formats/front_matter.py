"""What stands above a text and about it: fields between two lines of hyphens (YAML) or of plus signs (TOML)."""

from __future__ import annotations

import re
import tomllib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

YAML = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*$\n?", re.DOTALL | re.MULTILINE)
MOST_CHARACTERS = 65_536
FIELD = re.compile(r"""^(?P<indent>\s*)(["']?)(?P<key>[A-Za-z_][\w .-]*?)\2:(?:[ \t]+(?P<value>.*))?$""")
BLOCK = re.compile(r"[|>][+-]?\d?$")  # the value stands in the lines below
NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Front:
    """A text without its front matter, and what that said."""

    fields: Mapping[str, Any]
    body: str


def split_front_matter(text: str) -> Front:
    """The fields at the very beginning, and the text after them."""
    if found := YAML.match(text[:MOST_CHARACTERS]):
        return Front(_yaml(found.group(1)), text[found.end() :])
    if found := TOML.match(text[:MOST_CHARACTERS]):
        try:
            return Front(tomllib.loads(found.group(1)), text[found.end() :])
        except (tomllib.TOMLDecodeError, RecursionError):
            return Front({}, text)
    return Front({}, text)


def _yaml(matter: str) -> dict[str, Any]:
    """Words, lists, texts of several lines, and fields within fields by dotted names.  What is deeper is left out."""
    found: dict[str, Any] = {}
    lines = deque(line for line in matter.split("\n") if line.strip() and not line.lstrip().startswith("#"))
    name = parent = ""
    while lines:
        line = lines.popleft()
        if name and line.lstrip().startswith("- "):
            _append(found, name, line.lstrip()[2:])
        elif field := FIELD.match(line):
            indent, key, value = field["indent"], field["key"], (field["value"] or "").strip()
            parent = parent if indent else key
            name = f"{parent}.{key}" if indent else key
            found[name] = _block(lines, len(indent)) if BLOCK.match(value) else _scalar(value)
    return {key: value for key, value in found.items() if value not in ("", None, [])}


def _block(lines: deque[str], indent: int) -> str:
    """The lines that stand further in, as one."""
    taken: list[str] = []
    while lines and len(lines[0]) - len(lines[0].lstrip()) > indent:
        taken.append(lines.popleft().strip())
    return " ".join(taken)


def _append(found: dict[str, Any], name: str, item: str) -> None:
    """One more item of a list; of an item that consists of fields, its name."""
    if field := FIELD.match(item):
        item = field["value"] or "" if field["key"] == "name" else ""
    items = found[name] if isinstance(found[name], list) else []
    found[name] = [*items, str(_scalar(item))] if item else items


def _scalar(text: str) -> Any:
    text = text.strip()
    if text[:1] not in ("'", '"', "["):
        text = text.split(" #")[0].rstrip()
    if text.startswith("[") and text.endswith("]"):
        return [str(_scalar(part)) for part in text[1:-1].split(",") if part.strip()]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return float(text) if NUMBER.fullmatch(text) else text
