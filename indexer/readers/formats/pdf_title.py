"""Find the title of a PDF file: its largest text, joined from its pieces."""

from __future__ import annotations

import ctypes
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import pypdfium2.raw as pdfium

from indexer.readers.text.reflow import WIDE
from indexer.readers.text.text_builder import one_line

NUL_BYTES = 2  # at the end of a UTF-16 string
SAMPLE_OBJECTS = 300  # text objects of a page
TITLE_WIDTHS = range(8, 201)  # in letters; a Chinese or Japanese character is as wide as two
ARABIC = re.compile("[\u0600-\u06ff]")
WORD_GAP = 0.18  # font sizes between two pieces of a line that are two words


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    size: float
    left: float
    bottom: float
    right: float


def printed_title(page: Any, layer: Any) -> str:
    """Return the largest text of the page if it has the length of a title, else ""."""
    by_size: dict[float, list[Any]] = defaultdict(list)
    for text in text_objects(page):
        by_size[round(_font_size(text), 1)].append(text)
    title = ""
    for largest in sorted(by_size, reverse=True)[:2]:  # the very largest may be an initial
        texts = by_size[largest] if len(by_size) > 1 else _first_line(by_size[largest], largest)
        title = _joined([_piece(text, largest, layer) for text in texts])
        if largest and len(title) > 1:
            break
    is_unusable = ARABIC.search(title) or _is_spaced_out(title.split())  # text objects have Arabic letters in reverse
    return title if _has_title_length(title) and not is_unusable else ""


def first_line(text: str) -> str:
    """Return the first line of a text if it has the length of a title, else ""."""
    line = one_line(text.strip().partition("\n")[0])
    return line if _has_title_length(line) else ""


def _has_title_length(text: str) -> bool:
    return len(text) + len(WIDE.findall(text)) in TITLE_WIDTHS


def _first_line(texts: list[Any], size: float) -> list[Any]:
    """Return the text objects that stand beside the first one."""
    bottoms = [text.get_bounds()[1] for text in texts]
    return [text for text, bottom in zip(texts, bottoms, strict=True) if abs(bottom - bottoms[0]) < size / 2]


def _is_spaced_out(words: list[str]) -> bool:
    """Check whether a title is set letter by letter, so that no query matches it."""
    return sum(len(word) == 1 for word in words) > 0.4 * len(words)


def _joined(pieces: list[_Piece]) -> str:
    """Return the text of pieces; those that touch are parts of a word."""
    if not pieces:
        return ""
    parts = [pieces[0].text]
    for before, piece in pairwise(pieces):
        is_same_line = abs(piece.bottom - before.bottom) < piece.size / 2
        touches = is_same_line and abs(piece.left - before.right) < WORD_GAP * piece.size
        parts.append(piece.text if touches else f" {piece.text}")
    return one_line("".join(parts))


def _piece(text_object: Any, size: float, layer: Any) -> _Piece:
    text = utf16_string(pdfium.FPDFTextObj_GetText, text_object, layer)
    left, bottom, right, _ = text_object.get_bounds()
    return _Piece(text, size, left, bottom, right)


def text_objects(page: Any) -> list[Any]:
    """Return the first text objects of a page."""
    return list(islice(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT], max_depth=3), SAMPLE_OBJECTS))


def _font_size(text_object: Any) -> float:
    size = ctypes.c_float()
    pdfium.FPDFTextObj_GetFontSize(text_object, size)
    matrix = text_object.get_matrix()
    is_vertical = abs(matrix.b) > abs(matrix.d)  # a stamp in the margin is not a title
    return 0.0 if is_vertical else float(size.value * abs(matrix.d))


def utf16_string(function: Callable[..., int], *arguments: Any) -> str:
    """Return a string of pdfium: one call gives its length, one its bytes."""
    length = function(*arguments, None, 0)
    if length <= NUL_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(length)
    function(*arguments, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), length)
    return buffer.raw[: length - NUL_BYTES].decode("utf-16-le", "replace")
