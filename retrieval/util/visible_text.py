"""Render foreign text for terminals and logs.

Titles, ids, file names and error messages come from documents and callers.  An escape sequence in them could change the
terminal, a line break could forge a line of the log, and a bidirectional control could show words in another order.
"""

from __future__ import annotations

import logging
import re
import textwrap
from types import TracebackType

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Controls, line separators, bidirectional controls (Unicode's Bidi_Control and its deprecated ones), lone surrogates.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
_UNSAFE_IN_LINES = re.compile(rf"(?![\n\t]){_UNSAFE.pattern}")


def visible(text: str, *, lines: bool = False) -> str:
    """Replace each character that acts on a terminal or a log by its JSON escape.

    The result is one line, or with `lines` keeps line feeds and tabs.  In a JSON document with `lines`, every value
    stays the same.
    """
    return (_UNSAFE_IN_LINES if lines else _UNSAFE).sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"


class VisibleFormatter(logging.Formatter):
    """Formats a record as one line; its exception as indented lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        return textwrap.indent(visible(super().formatException(ei), lines=True), "  ")
