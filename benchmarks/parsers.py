"""Which parser reads best: text quality, speed, licence and size of the candidates for each format.

    python -m benchmarks.parsers FOLDER [--format pdf]

FOLDER holds the files that `parser_phrases.tsv` names.  A phrase counts as found when it stands in the text as a reader
would copy it, white space aside; one that begins with "!" (a menu, a script) must not stand there.  A candidate that is
not installed is left out; each runs in a process of its own, its import not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.metadata
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHRASES = Path(__file__).parent / "parser_phrases.tsv"
SECONDS = 120  # for one file


def attendex(path: Path) -> str:
    from indexer.readers.dispatch import read_stream
    from indexer.readers.options import Origin, ReadOptions

    with path.open("rb") as stream:
        items = list(read_stream(stream, Origin(str(path), path.name), ReadOptions()).items)
    return "\n".join(getattr(item, "text", "") for item in items)


def pdf_pypdfium2(path: Path) -> str:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def pdf_pypdf(path: Path) -> str:
    import pypdf

    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def pdf_pdfminer(path: Path) -> str:
    from pdfminer.high_level import extract_text

    return extract_text(path)


def pdf_pdfplumber(path: Path) -> str:
    import pdfplumber

    with pdfplumber.open(path) as document:
        return "\n".join(page.extract_text() or "" for page in document.pages)


def pdf_pymupdf(path: Path) -> str:
    import pymupdf

    return "\n".join(page.get_text() for page in pymupdf.open(path))


def pdf_pdftext(path: Path) -> str:
    from pdftext.extraction import plain_text_output

    return plain_text_output(str(path), sort=False, hyphens=False)


def any_kreuzberg(path: Path) -> str:
    import kreuzberg

    return kreuzberg.extract_file_sync(str(path)).content


def docx_python_docx(path: Path) -> str:
    import docx

    document = docx.Document(str(path))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([each.text for each in document.paragraphs] + cells)


def docx_docx2txt(path: Path) -> str:
    import docx2txt

    return docx2txt.process(str(path))


def docx_mammoth(path: Path) -> str:
    import mammoth

    with path.open("rb") as file:
        return mammoth.extract_raw_text(file).value


def docx_docx2python(path: Path) -> str:
    import docx2python

    with docx2python.docx2python(path) as document:
        return document.text


def html_trafilatura(path: Path) -> str:
    import trafilatura

    return trafilatura.extract(path.read_bytes(), include_tables=True, include_comments=False) or ""


def html_readability(path: Path) -> str:
    import lxml.html
    import readability

    return lxml.html.fromstring(readability.Document(path.read_bytes()).summary()).text_content()


def html_resiliparse(path: Path) -> str:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    data = path.read_bytes()
    return extract_plain_text(HTMLTree.parse_from_bytes(data, detect_encoding(data)), main_content=True)


def html_justext(path: Path) -> str:
    import justext

    paragraphs = justext.justext(path.read_bytes(), justext.get_stoplist("English"))
    return "\n".join(each.text for each in paragraphs if not each.is_boilerplate)


def html_beautifulsoup(path: Path) -> str:
    import bs4

    return bs4.BeautifulSoup(path.read_bytes(), "lxml").get_text(" ")


def pptx_python_pptx(path: Path) -> str:
    import pptx

    shapes = [shape for slide in pptx.Presentation(str(path)).slides for shape in slide.shapes]
    return "\n".join(shape.text_frame.text for shape in shapes if shape.has_text_frame)


def epub_ebooklib(path: Path) -> str:
    import bs4
    from ebooklib import ITEM_DOCUMENT, epub

    book = epub.read_epub(str(path))
    parts = book.get_items_of_type(ITEM_DOCUMENT)
    return "\n".join(bs4.BeautifulSoup(part.get_content(), "lxml").get_text(" ") for part in parts)


def md_mistune(path: Path) -> str:
    import bs4
    import mistune

    return bs4.BeautifulSoup(mistune.html(path.read_text("utf-8")), "lxml").get_text(" ")


def md_plain(path: Path) -> str:
    return path.read_text("utf-8")


def eml_mail_parser(path: Path) -> str:
    import mailparser

    return mailparser.parse_from_file(str(path)).body


@dataclass(frozen=True, slots=True)
class Candidate:
    """A parser: its distribution, and what it reads."""

    distribution: str
    read: Callable[[Path], str]
    suffixes: tuple[str, ...]


EVERYTHING = (".pdf", ".docx", ".html", ".htm", ".pptx", ".epub", ".md", ".eml")
CANDIDATES = (
    Candidate("attendex", attendex, EVERYTHING),
    Candidate("pypdfium2", pdf_pypdfium2, (".pdf",)),
    Candidate("pypdf", pdf_pypdf, (".pdf",)),
    Candidate("pdfminer.six", pdf_pdfminer, (".pdf",)),
    Candidate("pdfplumber", pdf_pdfplumber, (".pdf",)),
    Candidate("pdftext", pdf_pdftext, (".pdf",)),
    Candidate("PyMuPDF", pdf_pymupdf, (".pdf",)),
    Candidate("python-docx", docx_python_docx, (".docx",)),
    Candidate("docx2txt", docx_docx2txt, (".docx",)),
    Candidate("mammoth", docx_mammoth, (".docx",)),
    Candidate("docx2python", docx_docx2python, (".docx",)),
    Candidate("trafilatura", html_trafilatura, (".html", ".htm")),
    Candidate("readability-lxml", html_readability, (".html", ".htm")),
    Candidate("Resiliparse", html_resiliparse, (".html", ".htm")),
    Candidate("jusText", html_justext, (".html", ".htm")),
    Candidate("beautifulsoup4", html_beautifulsoup, (".html", ".htm")),
    Candidate("python-pptx", pptx_python_pptx, (".pptx",)),
    Candidate("EbookLib", epub_ebooklib, (".epub",)),
    Candidate("mistune", md_mistune, (".md",)),
    Candidate("plain text", md_plain, (".md",)),
    Candidate("mail-parser", eml_mail_parser, (".eml",)),
    Candidate("kreuzberg", any_kreuzberg, EVERYTHING),
)


@dataclass(slots=True)
class Score:
    """What a candidate did on one format."""

    files: int = 0
    failed: int = 0
    found: int = 0
    phrases: int = 0
    megabytes: float = 0.0
    seconds: float = 0.0


def main() -> None:
    """Run every candidate on every file that it may read, and print a table a format."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--format", default="", help="suffix without its full stop")
    given = arguments.parse_args()
    phrases: dict[str, list[str]] = defaultdict(list)
    with PHRASES.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            phrases[row["file"]].append(row["phrase"])
    for suffix in EVERYTHING:
        if suffix != ".htm" and given.format in ("", suffix[1:]):
            family = (".html", ".htm") if suffix == ".html" else (suffix,)
            names = [name for name in phrases if Path(name).suffix in family]
            _table(suffix[1:], [given.folder / name for name in names], [phrases[name] for name in names])


def _table(title: str, files: list[Path], phrases: list[list[str]]) -> None:
    print(f"\n{title}: {len(files)} files, {sum(map(len, phrases))} phrases")
    print("| parser | phrases | failed | MB/s | seconds | licence |")
    print("| --- | --- | --- | --- | --- | --- |")
    for candidate in CANDIDATES:
        if files[0].suffix not in candidate.suffixes:
            continue
        score = Score()
        for path, wanted in zip(files, phrases, strict=True):
            _add(score, candidate, path, wanted)
        speed = score.megabytes / score.seconds if score.seconds else 0.0
        row = (
            candidate.distribution,
            f"{score.found}/{score.phrases}",
            score.failed,
            f"{speed:.1f}",
            f"{score.seconds:.2f}",
        )
        print("| " + " | ".join(map(str, (*row, _licence(candidate.distribution)))) + " |")


def _add(score: Score, candidate: Candidate, path: Path, wanted: list[str]) -> None:
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    process = context.Process(target=_read, args=(candidate.read, path, answers))
    process.start()
    text, seconds = "", float(SECONDS)
    with contextlib.suppress(Exception):  # an empty queue: the parser hung or died
        text, seconds = answers.get(timeout=SECONDS)
    process.kill()
    process.join()
    score.files += 1
    score.failed += not text
    score.seconds += seconds
    score.megabytes += path.stat().st_size / 1e6
    shown = "".join(text.split())
    for phrase in wanted:
        forbidden = phrase.startswith("!")
        score.phrases += 1
        score.found += bool(text) and (("".join(phrase.lstrip("!").split()) in shown) != forbidden)


def _read(read: Callable[[Path], str], path: Path, answers: Any) -> None:
    """In a process of its own: once to import and warm up, once for the time."""
    try:
        read(path)
        started = time.perf_counter()
        text = read(path)
        answers.put((text, time.perf_counter() - started))
    except Exception:  # a candidate may raise anything; it counts as failed
        answers.put(("", 0.0))


def _licence(distribution: str) -> str:
    try:
        about = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
    classifiers = [each.rsplit(" :: ", 1)[-1] for each in about.get_all("Classifier") or [] if "License" in each]
    text = about.get("License-Expression") or ", ".join(classifiers) or (about.get("License") or "").split("\n")[0]
    return str(text)[:60]


if __name__ == "__main__":
    main()
