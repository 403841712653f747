"""Markdown (CommonMark with tables), with front matter as metadata.

Front matter is YAML between two lines of hyphens or TOML between two lines of plus signs, at the very beginning.
"""

from __future__ import annotations

import re
import tomllib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import metadata_from
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder

if TYPE_CHECKING:
    from markdown_it.token import Token

TAG = re.compile(r"<!--.*?-->|<[^<>]*>", re.DOTALL)
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
MAX_NESTING = 40
YAML = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*$\n?", re.DOTALL | re.MULTILINE)
MAX_FRONT_MATTER_CHARACTERS = 65_536
FIELD = re.compile(r"""^(?P<indent>\s*)(["']?)(?P<key>[A-Za-z_][\w .-]*?)\2:(?:[ \t]+(?P<value>.*))?$""")
BLOCK_SCALAR = re.compile(r"[|>][+-]?\d?$")  # the lines below hold the value
NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?")


def parse_markdown(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a Markdown file."""
    del options
    return text_to_parsed(decode(data))


def text_to_parsed(text: str) -> ParsedDocument:
    """Parse Markdown; its title is in the front matter or the first heading."""
    front = split_front_matter(text)
    fields = dict(front.fields)
    tokens = create_parser().parse(front.body)
    title = str(fields.pop("title", "") or "") or _first_heading(tokens)
    builder = TextBuilder(title)
    render_markdown(tokens, builder)
    return builder.build(**metadata_from(fields))


def create_parser() -> Any:
    """Return a parser of CommonMark with tables."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])


def render_markdown(tokens: Sequence[Token], builder: TextBuilder) -> None:
    """Add the blocks of the token stream to `builder`, in order."""
    position = 0
    prefix = ""
    while position < len(tokens):
        token = tokens[position]
        if token.type == "heading_open":
            builder.heading(int(token.tag[1:]), _inline_text(tokens[position + 1]))
            position += 2
        elif token.type == "table_open":
            end = next(i for i in range(position, len(tokens)) if tokens[i].type == "table_close")
            builder.rows(_table_rows(tokens[position:end]))
            position = end
        elif token.type == "list_item_open":
            prefix = "- " if not token.info else f"{token.info}. "
        elif token.type == "inline":
            builder.block(prefix + _inline_text(token), separator="\n" if prefix else "\n\n")
            prefix = ""
        elif token.type in ("fence", "code_block"):
            builder.block(token.content)
        elif token.type == "html_block":
            builder.paragraph(unescape(TAG.sub(" ", token.content)))
        position += 1


def _first_heading(tokens: Sequence[Token]) -> str:
    """Return the first heading of any level; "" if there is none."""
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            return _inline_text(tokens[position + 1])
    return ""


def _inline_text(token: Token) -> str:
    """Return the text of a paragraph with link texts and image descriptions."""
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type == "image":
            parts.append(_inline_text(child))
        elif child.type in ("softbreak", "hardbreak") or (child.type == "html_inline" and BREAK.match(child.content)):
            parts.append("\n")
    return "".join(parts)


def _table_rows(tokens: Sequence[Token]) -> Iterator[list[str]]:
    row: list[str] = []
    for token in tokens:
        if token.type == "inline":
            row.append(_inline_text(token))
        elif token.type == "tr_close":
            yield row
            row = []


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The fields of a text's front matter, and the text after it."""

    fields: Mapping[str, Any]
    body: str


def split_front_matter(text: str) -> FrontMatter:
    """Return the fields at the very beginning of `text`, and the text after them."""
    if found := YAML.match(text[:MAX_FRONT_MATTER_CHARACTERS]):
        return FrontMatter(_parse_yaml(found.group(1)), text[found.end() :])
    if found := TOML.match(text[:MAX_FRONT_MATTER_CHARACTERS]):
        try:
            return FrontMatter(tomllib.loads(found.group(1)), text[found.end() :])
        except (tomllib.TOMLDecodeError, RecursionError):
            return FrontMatter({}, text)
    return FrontMatter({}, text)


def _parse_yaml(yaml: str) -> dict[str, Any]:
    """Parse scalars, block scalars, lists, and fields of fields (dotted names)."""
    found: dict[str, Any] = {}
    lines = deque(line for line in yaml.split("\n") if line.strip() and not line.lstrip().startswith("#"))
    name = parent = ""
    while lines:
        line = lines.popleft()
        if name and line.lstrip().startswith("- "):
            _append_item(found, name, line.lstrip()[2:])
        elif field := FIELD.match(line):
            indent, key, value = field["indent"], field["key"], (field["value"] or "").strip()
            parent = parent if indent else key
            name = f"{parent}.{key}" if indent else key
            found[name] = _block_scalar(lines, len(indent)) if BLOCK_SCALAR.match(value) else _scalar(value)
    return {key: value for key, value in found.items() if value not in ("", None, [])}


def _block_scalar(lines: deque[str], indent: int) -> str:
    """Take the lines with more indentation than `indent`, and join them."""
    taken: list[str] = []
    while lines and len(lines[0]) - len(lines[0].lstrip()) > indent:
        taken.append(lines.popleft().strip())
    return " ".join(taken)


def _append_item(found: dict[str, Any], name: str, item: str) -> None:
    """Append an item to a list; of an item with fields, the field `name`."""
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
