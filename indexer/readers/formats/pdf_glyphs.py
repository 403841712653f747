"""Correct a PDF page: glyphs without a character, words set letter by letter."""

from __future__ import annotations

import ctypes
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import pypdfium2.raw as pdfium

from indexer.readers.text.legibility import is_spaced_out

SAMPLE_CHARACTERS = 48  # of a page, to see whether its fonts tell the characters
MAX_UNMAPPED = 0.3  # of the characters of a page whose text is used as it is
UNKNOWN = "\ufffd"
PRIVATE_USE = range(0xE000, 0xF900)
MIN_SPACED_LETTERS = 6
LINE = re.compile(r"[^\r\n]+")
SPACED_LETTERS = re.compile(rf"(?<!\S)[^\W\d_](?: +[^\W\d_](?!\S)){{{MIN_SPACED_LETTERS - 1},}}+")
MIN_SPACED = 0.1  # usual gap between spaced letters, in heights of a line
WORD_GAP = 1.8  # usual gaps between the letters of a line


def has_unmapped_glyphs(layer: Any) -> bool:
    """Check whether the fonts of a page do not tell the characters of its glyphs."""
    count = layer.count_chars()
    sample = range(0, count, max(1, count // SAMPLE_CHARACTERS))
    unmapped = sum(pdfium.FPDFText_HasUnicodeMapError(layer, index) == 1 for index in sample)
    return bool(unmapped > MAX_UNMAPPED * len(sample))


class GlyphNames:
    """The characters of glyphs, by the tables of the embedded fonts."""

    def __init__(self) -> None:
        self._fonts: dict[int | None, dict[int, str]] = {}

    def page_text(self, layer: Any) -> str:
        """Return the text of a page; a glyph that no table names becomes U+FFFD."""
        text = "".join(self._character(layer, index) for index in range(layer.count_chars()))
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _character(self, layer: Any, index: int) -> str:
        code = pdfium.FPDFText_GetUnicode(layer, index)
        if pdfium.FPDFText_HasUnicodeMapError(layer, index) != 1:
            return chr(code)
        font = pdfium.FPDFTextObj_GetFont(pdfium.FPDFText_GetTextObject(layer, index))
        address = ctypes.cast(font, ctypes.c_void_p).value
        if address not in self._fonts:
            self._fonts[address] = _font_characters(_font_data(font))
        return self._fonts[address].get(code, UNKNOWN)


def _font_data(font: Any) -> bytes:
    """Return the embedded font; pdfium gives that of a substitute if there is none."""
    size = ctypes.c_ulong()
    if pdfium.FPDFFont_GetIsEmbedded(font) != 1 or not pdfium.FPDFFont_GetFontData(font, None, 0, size):
        return b""
    buffer = (ctypes.c_ubyte * size.value)()
    pdfium.FPDFFont_GetFontData(font, buffer, size.value, size)
    return bytes(buffer)


def _font_characters(data: bytes) -> dict[int, str]:
    """Return the characters of a font by glyph, or by code in an encoding of its own."""
    from fontTools import agl
    from fontTools.cffLib import CFFFontSet
    from fontTools.ttLib import TTFont

    try:
        if not data.startswith((b"\0\1\0\0", b"true", b"OTTO", b"ttcf")):
            fonts = CFFFontSet()
            fonts.decompile(io.BytesIO(data), None)
            names = dict(enumerate(fonts[0].charset))
        else:
            font = TTFont(io.BytesIO(data), lazy=True, fontNumber=0)
            names = dict(enumerate(font.getGlyphOrder()))
            if best := font.getBestCmap():
                characters = {name: chr(code) for code, name in best.items() if code not in PRIVATE_USE}
                return {glyph: found for glyph, name in names.items() if (found := characters.get(name))}
            if "cmap" in font:
                codes = [table.cmap for table in font["cmap"].tables if table.isSymbol() or table.platformID == 1]
                names = {code & 0xFF: name for table in codes for code, name in table.items()}
    except Exception:  # a damaged font names no glyph, and may fail in any way
        return {}
    return {key: found for key, name in names.items() if (found := agl.toUnicode(name))}


@dataclass(frozen=True, slots=True)
class _PlacedCharacter:
    character: str
    left: float
    right: float
    bottom: float
    height: float
    is_generated: bool  # by pdfium, from the distance between two letters


def join_spaced_letters(text: str, layer: Any) -> str:
    """Return the text of a page with its letter-spaced lines set as words."""
    words = text.split()
    is_single = bytes(map((1).__eq__, map(len, words)))
    if sum(is_single) < MIN_SPACED_LETTERS:
        return text
    if is_spaced_out(words):  # pdfium ends a line at a wide gap
        return "\n".join(map(_line_text, _lines_by_place(layer)))
    if bytes([True] * MIN_SPACED_LETTERS) not in is_single or not SPACED_LETTERS.search(text):
        return text
    joined = {_letters(line := _line_text(placed)): line for placed in _spaced_lines(layer)}
    lines = text.splitlines()
    return "\n".join(joined.get(_letters(line), line) if SPACED_LETTERS.search(line) else line for line in lines)


def _letters(line: str) -> str:
    return "".join(line.split())


def _lines_by_place(layer: Any) -> Iterator[list[_PlacedCharacter]]:
    """Yield the lines that the places of the letters make."""
    line: list[_PlacedCharacter] = []
    for index in range(layer.count_chars()):
        placed = _placed(layer, index)
        if placed.is_generated:
            continue
        if placed.character == "\n" or (line and _is_below(placed, line[-1])):
            yield line
            line = []
        if placed.character != "\n":
            line.append(placed)
    yield line


def _spaced_lines(layer: Any) -> Iterator[list[_PlacedCharacter]]:
    """Yield the lines of pdfium that have letters with spaces between them."""
    text = "".join(chr(pdfium.FPDFText_GetUnicode(layer, index)) for index in range(layer.count_chars()))
    for line in LINE.finditer(text):
        if SPACED_LETTERS.search(line.group()):
            yield [_placed(layer, index) for index in range(*line.span())]


def _placed(layer: Any, index: int) -> _PlacedCharacter:
    left, bottom, right, top = layer.get_charbox(index, loose=True)
    character = chr(pdfium.FPDFText_GetUnicode(layer, index))
    return _PlacedCharacter(
        character, left, right, bottom, top - bottom, pdfium.FPDFText_IsGenerated(layer, index) == 1
    )


def _is_below(following: _PlacedCharacter, before: _PlacedCharacter) -> bool:
    return following.left < before.left or abs(following.bottom - before.bottom) > before.height / 2


def _line_text(line: list[_PlacedCharacter]) -> str:
    """Return the text of a line; a wide gap between spaced letters ends a word."""
    text = "".join(each.character for each in line)
    letters = [each for each in line if not each.character.isspace()]
    gaps = [after.left - before.right for before, after in pairwise(letters)]
    if len(letters) < 2 or median(gaps) < MIN_SPACED * median(each.height for each in letters):
        return text
    widest = WORD_GAP * median(gaps)
    typed = any(each.character.isspace() and not each.is_generated for each in line)
    if typed and max(gaps) <= widest:  # letters with spaces between them, such as a row of names
        return text
    return letters[0].character + "".join(
        f" {each.character}" if gap > widest else each.character for gap, each in zip(gaps, letters[1:], strict=True)
    )
