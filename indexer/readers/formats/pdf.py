"""PDF: text by page, headings from the outline, and metadata."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin
from indexer.readers.formats.pdf_text import PdfText, extract_text
from indexer.readers.text.reflow import (
    has_split_words,
    join_paragraphs,
    join_words,
    remove_repeated_edges,
    vocabulary,
)
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from indexer.readers.text.titles import usable_author, usable_title
from retrieval.errors import BadDocument

MIN_LETTERS = 8  # of a page with a usable text layer
MAX_OUTLINE_DEPTH = 6
MAX_SHOWN_PAGES = 20  # in the report of a problem
DATE = re.compile(r"D:(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?")
LEADER = ". . ."
LEADERS = re.compile(r"[ \t]?(?:\.[ \t]?){5,}+")  # the dots before a page number
LOOK_ALIKES = re.compile("[\u2e80-\u2fdf\uf900-\ufaff\ufb00-\ufb06]+")  # radicals in place of characters, ligatures


def parse_pdf(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a PDF file into one document with its pages as sections.

    Raises BadDocument for a file that is protected, consists of pictures, or does not tell its characters.
    """
    document = _open_pdf(data, options.password)
    try:
        text = extract_text(document, data, options)
        if not any(text.typed) and not any(sum(map(str.isalnum, page)) >= MIN_LETTERS for page in text.pages):
            raise BadDocument(_no_text_reason(text, options))
        about = document.get_metadata_dict()
        _report_problems(text, options)
        builder = TextBuilder(usable_title(about.get("Title", "")) or text.title)
        _render(text, _outline(document), builder)
        return builder.build(
            author=usable_author(about.get("Author", "")),
            created=_iso_date(about.get("CreationDate", "")),
            keywords=tuple(filter(None, map(one_line, re.split("[;,]", about.get("Keywords", ""))))),
            pages=float(len(text.pages)),
            ocr_pages=float(text.ocr_pages) or None,
        )
    finally:
        document.close()


def _open_pdf(data: bytes, password: str) -> Any:
    try:
        return pypdfium2.PdfDocument(data, password=password or None)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD:
            hint = "the password given does not open it" if password else "give it with --password"
            raise BadDocument(f"is protected by a password; {hint}") from error
        raise BadDocument(f"damaged: {error}") from error


def _report_problems(text: PdfText, options: ReadOptions) -> None:
    """Report pages without usable text, unless all are so: then the file is reported."""
    if len(text.problems) < len(text.pages):
        hint = "" if options.ocr else "; read them with --ocr"
        for reason in sorted(set(text.problems.values())):
            numbers = [number for number, problem in text.problems.items() if problem == reason]
            pages = "p. " + ", ".join(map(str, numbers[:MAX_SHOWN_PAGES])) + ("…" if numbers[MAX_SHOWN_PAGES:] else "")
            options.report_unread(DocumentOrigin(pages, pages), f"unusable text: {reason}{hint}")


def _no_text_reason(text: PdfText, options: ReadOptions) -> str:
    if text.problems:
        reason = next(iter(text.problems.values()))
        hint = "tesseract found no words on them" if options.ocr else "read them with --ocr"
        return f"its fonts do not tell the characters of its {len(text.pages)} page(s) ({reason}); {hint}"
    hint = ", and tesseract found none on them" if options.ocr else "; read them with --ocr"
    if text.unreadable_pages:
        languages = options.ocr_languages
        hint = f", and tesseract can make no words of them in {languages}; name their language with --ocr-languages"
    return f"has no text layer: its {len(text.pages)} page(s) are pictures{hint}"


def _render(text: PdfText, outline: Mapping[int, list[OutlineEntry]], builder: TextBuilder) -> None:
    words = vocabulary(text.pages) if any(map(has_split_words, text.pages)) else Counter()
    for number, page in enumerate(remove_repeated_edges(text.pages), start=1):
        builder.location(f"p. {number}")
        _render_page(join_words(_normalize(page), words), outline.get(number, []), builder)
        for line in text.typed[number - 1]:
            builder.block(line, separator="\n")


def _render_page(page: str, entries: list[OutlineEntry], builder: TextBuilder) -> None:
    """Add the paragraphs of a page; the outline tells which lines are headings."""
    remaining = deque(entries)
    lines: list[str] = []
    for line in page.split("\n"):
        if remaining and _is_same_heading(line, remaining[0].title):
            _flush(lines, builder)
            builder.heading(remaining.popleft().level, line)
        else:
            lines.append(line)
    _flush(lines, builder)
    for entry in remaining:  # an entry that equals no line is the heading of the pages that follow
        builder.section(entry.level, entry.title)


def _flush(lines: list[str], builder: TextBuilder) -> None:
    for block in join_paragraphs("\n".join(lines)).split("\n\n"):
        builder.block(block)
    lines.clear()


def _is_same_heading(line: str, title: str) -> bool:
    """Compare a line with an entry of the outline, without the numbers before them."""
    shown, wanted = (re.sub(r"^[\W\d]+|[\W_]+", " ", text).strip().casefold() for text in (line, title))
    return bool(wanted) and shown == wanted


def _normalize(text: str) -> str:
    text = LOOK_ALIKES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return LEADERS.sub(" … ", text) if LEADER in text or ".." in text else text


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """An entry of the outline. Level 1 is the highest."""

    level: int
    title: str


def _outline(document: Any) -> dict[int, list[OutlineEntry]]:
    """Return the entries of the outline by page number, from 1."""
    found: dict[int, list[OutlineEntry]] = defaultdict(list)
    try:
        for bookmark in document.get_toc(max_depth=MAX_OUTLINE_DEPTH):
            target = bookmark.get_dest()
            page = target.get_index() if target is not None else None
            if page is not None and one_line(bookmark.get_title()):
                found[page + 1].append(OutlineEntry(bookmark.level + 1, one_line(bookmark.get_title())))
    except pypdfium2.PdfiumError:
        return {}  # the text of a file with a damaged outline is still readable
    return found


def _iso_date(text: str) -> str:
    """Return a PDF date in ISO 8601; "" if `text` is not a date."""
    found = DATE.match(text)
    if not found:
        return ""
    year, month, day, hour, minute, second = found.groups()
    day_part = f"{year}-{month or '01'}-{day or '01'}"
    return f"{day_part}T{hour}:{minute}:{second}" if second else day_part
