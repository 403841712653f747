"""PDF: text by page with pdfium, headings from the outline, and pypdf for pages whose fonts pdfium cannot map."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.pdf_text import PageTexts, page_texts
from indexer.readers.formats.text import read_as
from indexer.readers.text.reflow import has_parted_words, joined_words, paragraphs, vocabulary, without_edges
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument, MissingExtra

LEAST_LETTERS = 8  # of a page with a text layer worth the name
NO_TITLE = re.compile(
    r"^(?:untitled.*|microsoft \w+ - .*|doi:.*|\S+\.\w{2,4}|[\d\W_]+|slide \d+|title|document\d*)$", re.I
)
DATE = re.compile(r"D:(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?")
LEADER = ". . ."
LEADERS = re.compile(r"[ \t]?(?:\.[ \t]?){5,}")  # the dots that lead to a page number
LOOK_ALIKES = re.compile("[\u2e80-\u2fdf\uf900-\ufaff\ufb00-\ufb06]+")  # radicals for characters, ligatures


def read_pdf(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document with its pages as sections."""
    return read_as(parse_pdf, stream, origin, options)


def parse_pdf(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a PDF file; raises BadDocument for one that is protected or holds pictures alone."""
    document = open_pdf(data, options.password)
    try:
        found = page_texts(document, data, options)
        if not any(found.typed) and not any(sum(map(str.isalnum, page)) >= LEAST_LETTERS for page in found.pages):
            raise BadDocument(_without_text(found, options))
        about = document.get_metadata_dict()
        title = one_line(about.get("Title", ""))
        builder = TextBuilder(title if title and not NO_TITLE.match(title) else found.title)
        _render(found, _outline(document), builder)
        return builder.build(
            author=one_line(about.get("Author", "")),
            created=_iso_date(about.get("CreationDate", "")),
            keywords=tuple(filter(None, map(one_line, re.split("[;,]", about.get("Keywords", ""))))),
            pages=float(len(found.pages)),
            ocr_pages=float(found.scanned) or None,
        )
    finally:
        document.close()


def open_pdf(data: bytes, password: str) -> Any:
    """The document; raises BadDocument that tells a protected file from a damaged one."""
    try:
        import pypdfium2
        import pypdfium2.raw as pdfium
    except ImportError as error:
        raise MissingExtra("pdf", "reading PDF") from error
    try:
        return pypdfium2.PdfDocument(data, password=password or None)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD:
            hint = "the password given does not open it" if password else "give it with --password"
            raise BadDocument(f"is protected by a password; {hint}") from error
        raise BadDocument(f"damaged: {error}") from error


def _without_text(found: PageTexts, options: ReadOptions) -> str:
    hint = ", and tesseract found none on them" if options.ocr else "; read them with --ocr"
    if found.unsure:
        languages = options.ocr_languages
        hint = f", and tesseract can make no words of them in {languages}; name their language with --ocr-languages"
    return f"has no text layer: its {len(found.pages)} page(s) are pictures{hint}"


def _render(found: PageTexts, outline: Mapping[int, list[Entry]], builder: TextBuilder) -> None:
    words = vocabulary(found.pages) if any(map(has_parted_words, found.pages)) else Counter()
    for number, page in enumerate(without_edges(found.pages), start=1):
        builder.place(f"p. {number}")
        _render_page(joined_words(_normal(page), words), outline.get(number, []), builder)
        for line in found.typed[number - 1]:
            builder.block(line, separator="\n")


def _render_page(page: str, entries: list[Entry], builder: TextBuilder) -> None:
    """Paragraphs of a page; a line that is the next entry of the outline becomes a heading."""
    waiting = deque(entries)
    held: list[str] = []
    for line in page.split("\n"):
        if waiting and _same(line, waiting[0].title):
            _flush(held, builder)
            builder.heading(waiting.popleft().level, line)
        else:
            held.append(line)
    _flush(held, builder)
    for entry in waiting:  # what no line shows holds for the pages that follow
        builder.mark(entry.level, entry.title)


def _flush(held: list[str], builder: TextBuilder) -> None:
    for block in paragraphs("\n".join(held)).split("\n\n"):
        builder.block(block)
    held.clear()


def _same(line: str, title: str) -> bool:
    """Whether a line is a heading of the outline, numbers before it aside."""
    shown, wanted = (re.sub(r"^[\W\d]+|[\W_]+", " ", text).strip().casefold() for text in (line, title))
    return bool(wanted) and shown == wanted


def _normal(text: str) -> str:
    text = LOOK_ALIKES.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return LEADERS.sub(" … ", text) if LEADER in text or ".." in text else text


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the outline: level 1 is the highest."""

    level: int
    title: str


def _outline(document: Any) -> dict[int, list[Entry]]:
    """Entries by page, from 1."""
    import pypdfium2

    found: dict[int, list[Entry]] = defaultdict(list)
    try:
        for mark in document.get_toc(max_depth=6):
            target = mark.get_dest()
            page = target.get_index() if target is not None else None
            if page is not None and one_line(mark.get_title()):
                found[page + 1].append(Entry(mark.level + 1, one_line(mark.get_title())))
    except pypdfium2.PdfiumError:
        return {}  # a damaged outline is no reason to lose the text
    return found


def _iso_date(text: str) -> str:
    """A PDF date as ISO 8601; empty for none."""
    found = DATE.match(text)
    if not found:
        return ""
    year, month, day, hour, minute, second = found.groups()
    day_part = f"{year}-{month or '01'}-{day or '01'}"
    return f"{day_part}T{hour}:{minute}:{second}" if second else day_part
