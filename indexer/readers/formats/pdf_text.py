"""The text layer of PDF pages, with what pdfium gets wrong put right, and pages without one read as pictures."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.ocr import read_page
from indexer.readers.formats.pdf_form import prepare_forms, typed_in
from indexer.readers.text.text_builder import one_line
from retrieval.errors import BadDocument

ARABIC = re.compile("[\u0600-\u06ff]")
PARTED_LIGATURE = re.compile("([\u0622\u0623\u0625\u0627])(\u0644)")  # alef before lam, out of one lam-alef glyph
FIRST_PAGES = range(3)  # these and every 16th are looked at for suspect fonts, and all pages after one that is
EVERY = 16
SAMPLE_OBJECTS = 300  # text objects of a page
EMPTY_SHARE = 0.15  # of a page's text objects that give no text: more, and its fonts are suspect
CLOSING_ZERO_BYTES = 2
LATIN_FONT = re.compile(
    rb"(?:[A-Z]{6}\+)?(?:times|arial|helvetica|courier|calibri|cambria|verdana|georgia|symbol|wingdings|webdings|zapf"
    rb"|tahoma|garamond|segoe|trebuchet|book|century|palatino|comic|impact|lucida|consolas|candara|corbel|franklin|gill)",
    re.IGNORECASE,
)
GAIN = 1.2  # letters that another parser must find for one of pdfium's
OCR_LETTERS = 24  # a page with fewer is taken for a picture


@dataclass(frozen=True, slots=True)
class PageTexts:
    """Text of every page in order, "" where there is none, and what stands largest on the first.

    `scanned` pages were read from their pictures, `unsure` ones could not be, though something stands there.
    """

    pages: list[str]
    title: str
    typed: list[list[str]]  # of each page, into its fields and on top of it
    scanned: int = 0
    unsure: int = 0


def page_texts(document: Any, data: bytes, options: ReadOptions) -> PageTexts:
    """The text of each page, within the limit of what one file may give."""
    prepare_forms(document)
    second = _SecondOpinion(data, options.password)
    pages: list[str] = []
    title = ""
    scanned = unsure = 0
    typed: list[list[str]] = []
    left = options.limits.text_bytes
    for number in range(len(document)):
        page = document[number]
        layer = page.get_textpage()
        text = _layer_text(layer)
        if number == 0:
            title = _printed_title(page, layer)
        if (second.is_asked or number in FIRST_PAGES or number % EVERY == 0) and _is_suspect(page, layer):
            text = _better(text, second.page(number))
        layer.close()
        if options.ocr and sum(map(str.isalnum, text)) < OCR_LETTERS:
            if scanned + unsure >= options.limits.ocr_pages:
                raise BadDocument(f"more than {options.limits.ocr_pages:,} of its pages are pictures")
            reading = read_page(page, options)
            options.report_progress()
            text = reading.text or text
            scanned += bool(reading.text)
            unsure += reading.unsure
        typed.append([line for line in typed_in(document, page) if line])
        page.close()
        left -= len(text)
        if left < 0:
            raise BadDocument(f"gives more than {options.limits.text_bytes:,} characters of text")
        pages.append(text)
    return PageTexts(pages, title, typed, scanned, unsure)


def _layer_text(layer: Any) -> str:
    text = str(layer.get_text_range())
    return _with_ligatures(text, layer) if ARABIC.search(text) else text


def _with_ligatures(text: str, layer: Any) -> str:
    """Right-to-left order turns the two letters of a lam-alef glyph round; letters of one glyph share its box."""
    characters = list(text)
    for match in PARTED_LIGATURE.finditer(text):
        alef = match.start()
        if alef + 1 < layer.count_chars() and layer.get_charbox(alef) == layer.get_charbox(alef + 1):
            characters[alef : alef + 2] = match.group(2), match.group(1)
    return "".join(characters)


def _is_suspect(page: Any, layer: Any) -> bool:
    """Whether many of a page's text objects give no text, in a font that the file names but does not hold.

    Text objects of spaces give none either; they are told apart by the names of the fonts, which are those of Latin
    letters in any file that does well without holding them.
    """
    import pypdfium2.raw as pdfium

    objects = list(islice(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT], max_depth=3), SAMPLE_OBJECTS))
    silent = [each for each in objects if pdfium.FPDFTextObj_GetText(each, layer, None, 0) <= CLOSING_ZERO_BYTES]
    if len(silent) <= EMPTY_SHARE * len(objects):
        return False
    return sum(_is_foreign(pdfium.FPDFTextObj_GetFont(each)) for each in silent) > EMPTY_SHARE * len(objects)


def _is_foreign(font: Any) -> bool:
    import ctypes

    import pypdfium2.raw as pdfium

    if pdfium.FPDFFont_GetIsEmbedded(font) == 1:
        return False
    name = ctypes.create_string_buffer(128)
    pdfium.FPDFFont_GetBaseFontName(font, name, len(name))
    return not LATIN_FONT.match(name.value)


def _better(text: str, other: str) -> str:
    return other if sum(map(str.isalnum, other)) > GAIN * sum(map(str.isalnum, text)) else text


class _SecondOpinion:
    """The same file as pypdf reads it, which knows more fonts and takes ten times as long."""

    def __init__(self, data: bytes, password: str) -> None:
        self._data = data
        self._password = password
        self._pages: Any = None

    @property
    def is_asked(self) -> bool:
        """Whether a page was suspect before."""
        return self._pages is not None

    def page(self, number: int) -> str:
        """The page's text; "" where it cannot be had."""
        try:
            if self._pages is None:
                import pypdf

                logging.getLogger("pypdf").setLevel(logging.CRITICAL)
                self._pages = pypdf.PdfReader(io.BytesIO(self._data), password=self._password or None).pages
            return str(self._pages[number].extract_text())
        except Exception:  # a second opinion may fail in any way; the first one stands
            return ""


def _printed_title(page: Any, layer: Any) -> str:
    """What stands largest on the page, where that is of a title's length; "" otherwise."""
    import pypdfium2.raw as pdfium

    objects = list(islice(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT], max_depth=3), SAMPLE_OBJECTS))
    sizes = [round(_font_size(each), 1) for each in objects]
    title = ""
    for largest in sorted(set(sizes), reverse=True)[:2]:  # the very largest may be a space or an initial
        shown = (_object_text(each, layer) for each, size in zip(objects, sizes, strict=True) if size == largest)
        if largest and len(title := one_line(" ".join(shown))) > 1:
            break
    unusable = _is_spaced_out(title.split()) or ARABIC.search(title)  # whose letters come in another order here
    return title if 8 <= len(title) <= 200 and not unusable else ""


def _is_spaced_out(words: list[str]) -> bool:
    """Text set letter by letter gives a title that nobody would search for."""
    return sum(len(word) == 1 for word in words) > 0.4 * len(words)


def _font_size(text_object: Any) -> float:
    import ctypes

    import pypdfium2.raw as pdfium

    size = ctypes.c_float()
    pdfium.FPDFTextObj_GetFontSize(text_object, size)
    matrix = text_object.get_matrix()
    return (
        0.0 if abs(matrix.b) > abs(matrix.d) else float(size.value * abs(matrix.d))
    )  # a stamp up the margin is no title


def _object_text(text_object: Any, layer: Any) -> str:
    import ctypes

    import pypdfium2.raw as pdfium

    length = pdfium.FPDFTextObj_GetText(text_object, layer, None, 0)
    buffer = ctypes.create_string_buffer(max(length, 2))
    pdfium.FPDFTextObj_GetText(text_object, layer, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), length)
    return bytes(buffer.raw[: max(0, length - 2)]).decode("utf-16-le", "replace")
