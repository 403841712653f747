"""Markdown (CommonMark with tables and footnotes), with front matter as metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.documentation import plain_markdown
from indexer.readers.formats.front_matter import split_front_matter
from indexer.readers.formats.html import render_html
from indexer.readers.formats.html_tree import parse_page
from indexer.readers.formats.includes import Includes
from indexer.readers.formats.records import metadata_from
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder

if TYPE_CHECKING:
    from markdown_it.token import Token

BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
HIDDEN_OPEN = re.compile(r"<(script|style|template|rt|rp)\b[^>]*(?<!/)>", re.IGNORECASE)
MAX_NESTING = 40
# Attributes in braces, as Pandoc, kramdown, Python-Markdown and MDX write them: {#id .class key=value}, {: .class}.
ATTRIBUTE = r"""(?:[#.][\w:.-]+|[\w:-]+=(?:"[^"\n]*"|'[^'\n]*'|[^\s{}"']+))"""
ATTRIBUTES = rf"\{{:?[ ]*{ATTRIBUTE}(?:[ ]+{ATTRIBUTE}){{0,20}}[ ]*\}}"
AFTER_HEADING = re.compile(rf"(?<=\S)[ ]+(?:{ATTRIBUTES}|\{{/\*[ ]*#[\w-]+[ ]*\*/\}})$")
OWN_LINE = re.compile(rf"^(?:{ATTRIBUTES}|\{{:[^{{}}\n]*\}})$\n?", re.MULTILINE)
AFTER_ELEMENT = re.compile(ATTRIBUTES)
BEFORE_ATTRIBUTES = ("link_close", "image", "code_inline", "strong_close", "em_close", "s_close")


def parse_markdown(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a Markdown file."""
    return text_to_parsed(decode(data), options)


def text_to_parsed(text: str, options: ReadOptions | None = None) -> ParsedDocument:
    """Parse Markdown; its title is in the front matter or the first heading."""
    front = split_front_matter(text)
    fields = metadata_from(front.fields)
    tokens = create_parser().parse(plain_markdown(front.body, Includes(options or ReadOptions())))
    title = str(fields.pop("title", "")) or _first_heading(tokens)
    builder = TextBuilder(title)
    render_markdown(tokens, builder)
    return builder.build(**fields)


def create_parser() -> Any:
    """Return a parser of CommonMark with tables and footnotes."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.footnote import footnote_plugin

    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])
    return parser.use(footnote_plugin, inline=False, move_to_end=False, always_match_refs=True)


def render_markdown(tokens: Sequence[Token], builder: TextBuilder) -> None:
    """Add the blocks of the token stream to `builder`, in order."""
    position = 0
    prefix = ""
    while position < len(tokens):
        token = tokens[position]
        if token.type == "heading_open":
            builder.heading(int(token.tag[1:]), _heading_text(tokens[position + 1]))
            position += 2
        elif token.type == "table_open":
            end = next(i for i in range(position, len(tokens)) if tokens[i].type == "table_close")
            builder.rows(_table_rows(tokens[position:end]))
            position = end
        elif token.type == "list_item_open":
            prefix = "- " if not token.info else f"{token.info}. "
        elif token.type == "footnote_reference_open":
            prefix = f"[{token.meta['label']}] "
        elif token.type == "inline":
            text = OWN_LINE.sub("", _inline_text(token))
            builder.block(prefix + text if text else "", separator="\n" if prefix else "\n\n")
            prefix = ""
        elif token.type in ("fence", "code_block"):
            builder.block(token.content)
        elif token.type == "html_block":
            render_html(parse_page(token.content).body, builder)
        position += 1


def _first_heading(tokens: Sequence[Token]) -> str:
    """Return the first heading of any level; "" if there is none."""
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            return _heading_text(tokens[position + 1])
    return ""


def _heading_text(token: Token) -> str:
    return AFTER_HEADING.sub("", _inline_text(token).strip())


def _inline_text(token: Token) -> str:
    """Return the text of a paragraph with link texts and image descriptions."""
    parts: list[str] = []
    hidden = before = ""  # the element whose text is left out; the kind of the token before
    for child in token.children or ():
        if child.type == "html_inline":
            hidden = _hidden_after(child.content, hidden)
            parts.append("\n" if BREAK.match(child.content) else "")
        elif not hidden:
            parts.append(_child_text(child, before))
        before = child.type
    return "".join(parts)


def _hidden_after(tag: str, hidden: str) -> str:
    """Return the hidden element that is open after `tag`; "" if there is none."""
    if hidden:
        return "" if tag.lower().startswith(f"</{hidden}") else hidden
    opened = HIDDEN_OPEN.match(tag)
    return opened.group(1).lower() if opened else ""


def _child_text(child: Token, before: str) -> str:
    if child.type in ("text", "code_inline"):
        attributes = AFTER_ELEMENT.match(child.content) if before in BEFORE_ATTRIBUTES else None
        return child.content[attributes.end() :] if attributes and child.type == "text" else child.content
    if child.type == "image":
        return _inline_text(child)
    if child.type == "footnote_ref":
        return f"[{child.meta['label']}]"
    return "\n" if child.type in ("softbreak", "hardbreak") else ""


def _table_rows(tokens: Sequence[Token]) -> Iterator[list[str]]:
    row: list[str] = []
    for token in tokens:
        if token.type == "inline":
            row.append(_inline_text(token))
        elif token.type == "tr_close":
            yield row
            row = []
