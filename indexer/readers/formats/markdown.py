"""Markdown (CommonMark with tables): headings become structure, front matter metadata, links their words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import TYPE_CHECKING, Any, BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.front_matter import split_front_matter
from indexer.readers.formats.records import metadata_from
from indexer.readers.formats.text import read_as
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder

if TYPE_CHECKING:
    from markdown_it.token import Token

TAG = re.compile(r"<!--.*?-->|<[^<>]*>", re.DOTALL)
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def read_markdown(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document, titled by its front matter, else by its first heading."""
    return read_as(parse_markdown, stream, origin, options)


def parse_markdown(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a Markdown file."""
    del options
    return markdown_to_parsed(decode(data))


def markdown_to_parsed(text: str) -> ParsedDocument:
    """What is read of Markdown text; also for cells of notebooks."""
    front = split_front_matter(text)
    matter = dict(front.fields)
    tokens = parser().parse(front.body)
    title = str(matter.pop("title", "") or "") or _first_heading(tokens)
    builder = TextBuilder(title)
    render(tokens, builder)
    return builder.build(**metadata_from(matter))


def render(tokens: Sequence[Token], builder: TextBuilder) -> None:
    """Blocks of the token stream, in order."""
    position = 0
    prefix = ""
    while position < len(tokens):
        token = tokens[position]
        if token.type == "heading_open":
            builder.heading(int(token.tag[1:]), _inline(tokens[position + 1]))
            position += 2
        elif token.type == "table_open":
            end = next(i for i in range(position, len(tokens)) if tokens[i].type == "table_close")
            builder.rows(_rows(tokens[position:end]))
            position = end
        elif token.type == "list_item_open":
            prefix = "- " if not token.info else f"{token.info}. "
        elif token.type == "inline":
            builder.block(prefix + _inline(token), separator="\n" if prefix else "\n\n")
            prefix = ""
        elif token.type in ("fence", "code_block"):
            builder.block(token.content)
        elif token.type == "html_block":
            builder.paragraph(unescape(TAG.sub(" ", token.content)))
        position += 1


def parser() -> Any:
    """A Markdown parser: CommonMark, with tables."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"maxNesting": 40}).enable(["table", "strikethrough"])


def _first_heading(tokens: Sequence[Token]) -> str:
    """The first heading of any level; empty for a text without one."""
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            return _inline(tokens[position + 1])
    return ""


def _inline(token: Token) -> str:
    """Words of a paragraph: links and pictures by their text, marks left out."""
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type == "image":
            parts.append(_inline(child))
        elif child.type in ("softbreak", "hardbreak") or (child.type == "html_inline" and BREAK.match(child.content)):
            parts.append("\n")
    return "".join(parts)


def _rows(tokens: Sequence[Token]) -> Iterator[list[str]]:
    row: list[str] = []
    for token in tokens:
        if token.type == "inline":
            row.append(_inline(token))
        elif token.type == "tr_close":
            yield row
            row = []
