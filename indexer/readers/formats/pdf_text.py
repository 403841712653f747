"""Extract the text of PDF pages: text layer, form fields, notes, and OCR.

pdfium extracts the text. This module corrects its known errors and uses pypdf for pages whose fonts pdfium cannot map.
"""

from __future__ import annotations

import ctypes
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pypdfium2.raw as pdfium

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.ocr import read_page
from indexer.readers.formats.pdf_glyphs import GlyphNames, has_unmapped_glyphs, join_spaced_letters
from indexer.readers.formats.pdf_title import NUL_BYTES, first_line, printed_title, text_objects, utf16_string
from indexer.readers.text.legibility import join_spaced_wide, known_text, problem_of
from indexer.readers.text.text_builder import one_line
from retrieval.errors import BadDocument

ARABIC = re.compile("[\u0600-\u06ff]")
SWAPPED_LIGATURE = re.compile("([\u0622\u0623\u0625\u0627])(\u0644)")  # alef before lam, from one lam-alef glyph
FIRST_PAGES = range(3)  # checked for suspect fonts
CHECK_INTERVAL = 16  # so is every 16th page, and each page after the first suspect one
SUSPECT_OBJECTS = 100  # of a page; the text of an object takes time with the length of the page
EMPTY_SHARE = 0.15  # of a page's text objects that give no text; with a larger share its fonts are suspect
MAX_FONT_NAME_BYTES = 128
LATIN_FONT = re.compile(
    rb"(?:[A-Z]{6}\+)?(?:times|arial|helvetica|courier|calibri|cambria|verdana|georgia|symbol|wingdings|webdings|zapf"
    rb"|tahoma|garamond|segoe|trebuchet|book|century|palatino|comic|impact|lucida|consolas|candara|corbel|franklin|gill)",
    re.IGNORECASE,
)
MIN_GAIN = 1.2  # letters of pypdf for one letter of pdfium, so that the text of pypdf is used
OCR_LETTERS = 24  # OCR reads a page with fewer letters
MAX_ANNOTATIONS = 2_000  # of one page
PLAIN_NAME = re.compile(r"[^\W\d_][\w -]*")  # other names are internal: form1[0].TextField2[0]


@dataclass(slots=True)
class PdfText:
    """Text of each page in order; the title is the largest text of the first."""

    pages: list[str] = field(default_factory=list)
    title: str = ""
    typed: list[list[str]] = field(default_factory=list)  # form fields and notes of each page
    ocr_pages: int = 0
    unreadable_pages: int = 0  # OCR found marks on them and no words
    problems: dict[int, str] = field(default_factory=dict)  # of the text of pages, by their numbers from 1


def extract_text(document: Any, data: bytes, options: ReadOptions) -> PdfText:
    """Extract the text of each page; raise BadDocument beyond the limits."""
    if document.get_formtype():
        document.init_forms()  # required before the first page is opened
    fallback = _PypdfFallback(data, options.password)
    glyphs = GlyphNames()
    found = PdfText()
    remaining = options.limits.text_bytes
    for number in range(len(document)):
        page = document[number]
        layer = page.get_textpage()
        if is_mapped := not has_unmapped_glyphs(layer):
            text = join_spaced_wide(join_spaced_letters(_layer_text(layer), layer))
        else:
            text = glyphs.page_text(layer)
        if (fallback.is_used or number in FIRST_PAGES or number % CHECK_INTERVAL == 0) and _is_suspect(page, layer):
            text = _better_text(text, fallback.page_text(number))
        if problem := problem_of(text):
            text = known_text(text)
        elif number == 0:
            found.title = printed_title(page, layer) if is_mapped else first_line(text)
        layer.close()
        if (
            options.ocr
            and (problem or sum(map(str.isalnum, text)) < OCR_LETTERS)
            and (read := _ocr_text(page, found, options))
        ):
            text, problem = read, ""
        if problem:
            found.problems[number + 1] = problem
        found.typed.append([line for line in _typed_lines(document, page) if line])
        page.close()
        remaining -= len(text)
        if remaining < 0:
            raise BadDocument(f"gives more than {options.limits.text_bytes:,} characters of text")
        found.pages.append(text)
    return found


def _ocr_text(page: Any, found: PdfText, options: ReadOptions) -> str:
    if found.ocr_pages + found.unreadable_pages >= options.limits.ocr_pages:
        raise BadDocument(f"more than {options.limits.ocr_pages:,} of its pages are pictures")
    result = read_page(page, options)
    options.report_progress()
    found.ocr_pages += bool(result.text)
    found.unreadable_pages += result.is_unreadable
    return result.text


def _layer_text(layer: Any) -> str:
    text = str(layer.get_text_range())
    return _restore_ligatures(text, layer) if ARABIC.search(text) else text


def _restore_ligatures(text: str, layer: Any) -> str:
    """Swap the letters of each lam-alef glyph back: letters of a glyph share a box."""
    characters = list(text)
    for match in SWAPPED_LIGATURE.finditer(text):
        alef = match.start()
        if alef + 1 < layer.count_chars() and layer.get_charbox(alef) == layer.get_charbox(alef + 1):
            characters[alef : alef + 2] = match.group(2), match.group(1)
    return "".join(characters)


def _is_suspect(page: Any, layer: Any) -> bool:
    """Check whether many text objects have no text and no embedded font.

    Text objects of spaces give no text either. Their fonts have names of Latin fonts, which a file need not embed.
    """
    objects = text_objects(page)
    objects = objects[:: max(1, len(objects) // SUSPECT_OBJECTS)]
    empty = [text for text in objects if pdfium.FPDFTextObj_GetText(text, layer, None, 0) <= NUL_BYTES]
    if len(empty) <= EMPTY_SHARE * len(objects):
        return False
    return sum(_is_foreign_font(pdfium.FPDFTextObj_GetFont(text)) for text in empty) > EMPTY_SHARE * len(objects)


def _is_foreign_font(font: Any) -> bool:
    if pdfium.FPDFFont_GetIsEmbedded(font) == 1:
        return False
    name = ctypes.create_string_buffer(MAX_FONT_NAME_BYTES)
    pdfium.FPDFFont_GetBaseFontName(font, name, len(name))
    return not LATIN_FONT.match(name.value)


def _better_text(text: str, other: str) -> str:
    return other if sum(map(str.isalnum, other)) > MIN_GAIN * sum(map(str.isalnum, text)) else text


class _PypdfFallback:
    """The text from pypdf, which knows more fonts and takes ten times as long."""

    def __init__(self, data: bytes, password: str) -> None:
        self._data = data
        self._password = password
        self._pages: Any = None

    @property
    def is_used(self) -> bool:
        """True if an earlier page was suspect."""
        return self._pages is not None

    def page_text(self, number: int) -> str:
        """Return the text of a page; "" if pypdf fails."""
        try:
            if self._pages is None:
                import pypdf

                logging.getLogger("pypdf").setLevel(logging.CRITICAL)
                self._pages = pypdf.PdfReader(io.BytesIO(self._data), password=self._password or None).pages
            return str(self._pages[number].extract_text())
        except Exception:  # pypdf may fail in any way; the text of pdfium stays
            return ""


def _typed_lines(document: Any, page: Any) -> Iterator[str]:
    """Yield form fields and notes, which are not in the text layer."""
    shown_types = {pdfium.FPDF_FORMFIELD_TEXTFIELD, pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX}
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), MAX_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
        if subtype == pdfium.FPDF_ANNOT_FREETEXT:
            yield one_line(utf16_string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents"))
        elif subtype == pdfium.FPDF_ANNOT_WIDGET and document.formenv:
            form = document.formenv
            if pdfium.FPDFAnnot_GetFormFieldType(form, annotation) in shown_types:
                yield _field_line(form, annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)


def _field_line(form: Any, annotation: Any) -> str:
    """Return the label and the value of a field; "" for an empty field."""
    value, name, label = (
        one_line(utf16_string(function, form, annotation))
        for function in (
            pdfium.FPDFAnnot_GetFormFieldValue,
            pdfium.FPDFAnnot_GetFormFieldName,
            pdfium.FPDFAnnot_GetFormFieldAlternateName,
        )
    )
    label = label or name
    has_label = label and (label != name or PLAIN_NAME.fullmatch(name))
    return f"{label}: {value}" if value and has_label else value
