"""The text layer of PDF pages, with what pdfium gets wrong put right, and pictures of text through tesseract."""

from __future__ import annotations

import io
import logging
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from indexer.readers.options import ReadOptions
from indexer.readers.parsed import one_line
from retrieval.errors import BadDocument

ARABIC = re.compile("[\u0600-\u06ff]")
PARTED_LIGATURE = re.compile("([\u0622\u0623\u0625\u0627])(\u0644)")  # alef before lam, out of one lam-alef glyph
SAMPLE_PAGES = 3
EMPTY_SHARE = 0.15  # of a page's text objects that give no text: more, and its fonts are suspect
GAIN = 1.2  # letters that another parser must find for one of pdfium's
OCR_DPI = 300
OCR_LETTERS = 24  # a page with fewer is taken for a picture
OCR_SECONDS = 120


@dataclass(frozen=True, slots=True)
class PageTexts:
    """Text of every page in order, "" where there is none."""

    pages: list[str]


def page_texts(document: Any, data: bytes, options: ReadOptions) -> PageTexts:
    """The text of each page, within the limit of what one file may give."""
    count = len(document)
    suspect = _has_suspect_fonts(document, count)
    pages: list[str] = []
    left = options.limits.text_bytes
    for number in range(count):
        page = document[number]
        text = _page_text(page)
        if suspect and _empty_share(page) > EMPTY_SHARE:
            text = _better(text, _by_pypdf(data, number, options.password))
        if options.ocr and sum(map(str.isalnum, text)) < OCR_LETTERS:
            text = _by_tesseract(page, options.ocr_languages) or text
        page.close()
        left -= len(text)
        if left < 0:
            raise BadDocument(f"gives more than {options.limits.text_bytes:,} characters of text")
        pages.append(text)
    return PageTexts(pages)


def _page_text(page: Any) -> str:
    layer = page.get_textpage()
    try:
        text = str(layer.get_text_range())
        return _with_ligatures(text, layer) if ARABIC.search(text) else text
    finally:
        layer.close()


def _with_ligatures(text: str, layer: Any) -> str:
    """Right-to-left order turns the two letters of a lam-alef glyph round; letters of one glyph share its box."""
    characters = list(text)
    for match in PARTED_LIGATURE.finditer(text):
        alef = match.start()
        if alef + 1 < layer.count_chars() and layer.get_charbox(alef) == layer.get_charbox(alef + 1):
            characters[alef : alef + 2] = match.group(2), match.group(1)
    return "".join(characters)


def _has_suspect_fonts(document: Any, count: int) -> bool:
    """Whether a sample of pages holds text that pdfium finds but cannot read."""
    sample = {0, count // 2, count - 1} if count else set()
    return any(_empty_share(document[number]) > EMPTY_SHARE for number in sorted(sample)[:SAMPLE_PAGES])


def _empty_share(page: Any) -> float:
    """Share of a page's text objects without a character."""
    import pypdfium2.raw as pdfium

    layer = page.get_textpage()
    sizes = [
        pdfium.FPDFTextObj_GetText(each, layer, None, 0)
        for each in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT], max_depth=3)
    ]
    layer.close()
    return sum(size <= 2 for size in sizes) / len(sizes) if sizes else 0.0  # two bytes are the closing zero


def _better(text: str, other: str) -> str:
    return other if sum(map(str.isalnum, other)) > GAIN * sum(map(str.isalnum, text)) else text


def _by_pypdf(data: bytes, number: int, password: str) -> str:
    """The page as pypdf reads it; "" where it cannot."""
    try:
        import pypdf
    except ImportError:
        return ""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return str(pypdf.PdfReader(io.BytesIO(data), password=password or None).pages[number].extract_text())
    except Exception:  # the second opinion on a page may fail in any way; the first one stands
        return ""


def _by_tesseract(page: Any, languages: str) -> str:
    """The page as tesseract reads its picture; "" for a page without text."""
    if shutil.which("tesseract") is None:
        raise BadDocument("--ocr needs the program tesseract; install it with your system's package manager")
    grey = page.render(scale=OCR_DPI / 72, grayscale=True).to_numpy()
    height, width = grey.shape[:2]
    picture = b"P5 %d %d 255\n" % (width, height) + grey.tobytes()
    command = ["tesseract", "stdin", "stdout", "-l", languages]
    done = subprocess.run(command, input=picture, capture_output=True, timeout=OCR_SECONDS, check=False)
    if done.returncode:
        raise BadDocument(f"tesseract failed: {one_line(done.stderr.decode('utf-8', 'replace'))[:200]}")
    return str(done.stdout, "utf-8", "replace")


def printed_title(document: Any) -> str:
    """What stands largest on the first page, where that is of a title's length; "" otherwise."""
    import pypdfium2.raw as pdfium

    if not len(document):
        return ""
    page = document[0]
    layer = page.get_textpage()
    sized: list[tuple[float, str]] = []
    for each in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT], max_depth=3):
        height = each.get_bounds()[3] - each.get_bounds()[1]
        sized.append((round(_font_size(each), 1) if height else 0.0, _object_text(each, layer)))
    layer.close()
    largest = max((size for size, text in sized if len(text.strip()) > 1), default=0.0)
    title = one_line(" ".join(text for size, text in sized if size >= 0.97 * largest))
    unusable = _is_spaced_out(title.split()) or ARABIC.search(title)  # whose letters come in another order here
    return title if largest and 8 <= len(title) <= 200 and not unusable else ""


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
