"""Candidates of `benchmarks.parsers`: functions that read a file to text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def attendex(path: Path) -> str:
    from indexer.readers.base.options import ReadOptions
    from indexer.readers.base.outcomes import DocumentOrigin
    from indexer.readers.formats.dispatch import read_stream

    with path.open("rb") as stream:
        items = list(read_stream(stream, DocumentOrigin(str(path), path.name), ReadOptions()).items)
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


def plain(path: Path) -> str:
    return path.read_text("utf-8")


def eml_mail_parser(path: Path) -> str:
    import mailparser

    return mailparser.parse_from_file(str(path)).body


def sheet_calamine(path: Path) -> str:
    import python_calamine

    book = python_calamine.load_workbook(str(path))
    sheets = (book.get_sheet_by_name(name) for name in book.sheet_names)
    return "\n".join(" | ".join(map(str, row)) for sheet in sheets for row in sheet.iter_rows())


def sheet_openpyxl(path: Path) -> str:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    rows = (row for sheet in book for row in sheet.iter_rows(values_only=True))
    return "\n".join(" | ".join("" if cell is None else str(cell) for cell in row) for row in rows)


def sheet_pylightxl(path: Path) -> str:
    import pylightxl

    book = pylightxl.readxl(str(path))
    return "\n".join(" | ".join(map(str, row)) for name in book.ws_names for row in book.ws(name).rows)


def sheet_fastexcel(path: Path) -> str:
    import fastexcel

    book = fastexcel.read_excel(path)
    sheets = (book.load_sheet(name, header_row=None, dtypes="string").to_arrow() for name in book.sheet_names)
    rows = (row.values() for sheet in sheets for row in sheet.to_pylist())
    return "\n".join(" | ".join(cell or "" for cell in row) for row in rows)


def odt_odfpy(path: Path) -> str:
    from odf import teletype, text
    from odf.opendocument import load

    document = load(str(path))
    blocks = [*document.getElementsByType(text.H), *document.getElementsByType(text.P)]
    return "\n".join(teletype.extractText(each) for each in blocks)


def odt_odfdo(path: Path) -> str:
    import odfdo

    return str(odfdo.Document(path).get_formatted_text())


def rst_docutils(path: Path) -> str:
    from docutils import nodes
    from docutils.core import publish_doctree

    safe = {"report_level": 5, "file_insertion_enabled": False, "raw_enabled": False, "input_encoding": "utf-8"}
    tree = publish_doctree(path.read_text("utf-8"), settings_overrides=safe)
    for unseen in (nodes.comment, nodes.system_message, nodes.substitution_definition):
        for each in list(tree.findall(unseen)):
            each.parent.remove(each)
    return str(tree.astext())


def notebook_nbconvert(path: Path) -> str:
    from nbconvert import MarkdownExporter

    return str(MarkdownExporter().from_filename(str(path))[0])


def notebook_nbformat(path: Path) -> str:
    import nbformat

    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        parts.append(cell.source)
        outputs = cell.get("outputs", ())
        parts += [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join(parts)


def notebook_json(path: Path) -> str:
    parts = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        parts.append("".join(cell["source"]))
        parts += ["".join(output.get("text", ())) for output in cell.get("outputs", ())]
    return "\n".join(parts)


def code_attendex(path: Path) -> str:
    """Return the text, and a line "def: NAME" for every section."""
    from indexer.readers.base.options import ReadOptions
    from indexer.readers.formats.plain_text import parse_code

    parsed = parse_code(path.read_bytes(), ReadOptions())
    return parsed.text + "".join(f"\ndef: {section.location}" for section in parsed.sections)


def code_tree_sitter(path: Path) -> str:
    import importlib

    import tree_sitter

    names = {".py": "python", ".js": "javascript", ".go": "go", ".rs": "rust", ".java": "java"}
    grammar = importlib.import_module(f"tree_sitter_{names[path.suffix]}").language()
    data = path.read_bytes()
    tops = tree_sitter.Parser(tree_sitter.Language(grammar)).parse(data).root_node.children
    inner = [each for top in tops for each in (top, *top.children)]
    found = (each.child_by_field_name("name") for each in inner)
    return data.decode() + "".join(f"\ndef: {each.text.decode()}" for each in found if each is not None and each.text)


def code_pygments(path: Path) -> str:
    from pygments.lexers import get_lexer_for_filename
    from pygments.token import Name

    text = path.read_text("utf-8")
    tokens = get_lexer_for_filename(path.name).get_tokens(text)
    return text + "".join(f"\ndef: {value}" for kind, value in tokens if kind in Name.Function or kind in Name.Class)


def code_ast(path: Path) -> str:
    import ast

    text = path.read_text("utf-8")
    return text + "".join(f"\ndef: {getattr(each, 'name', '')}" for each in ast.parse(text).body)


@dataclass(frozen=True, slots=True)
class ParserCandidate:
    """A parser: its distribution, its function, and the suffixes that it reads."""

    distribution: str
    read: Callable[[Path], str]
    suffixes: tuple[str, ...]


FORMATS = (".pdf", ".docx", ".html", ".htm", ".pptx", ".epub", ".md", ".eml", ".xlsx", ".odt", ".rst", ".ipynb")
CODE = (".py", ".js", ".go", ".rs", ".java")
CANDIDATES = (
    ParserCandidate("attendex", attendex, FORMATS),
    ParserCandidate("attendex", code_attendex, CODE),
    ParserCandidate("pypdfium2", pdf_pypdfium2, (".pdf",)),
    ParserCandidate("pypdf", pdf_pypdf, (".pdf",)),
    ParserCandidate("pdfminer.six", pdf_pdfminer, (".pdf",)),
    ParserCandidate("pdfplumber", pdf_pdfplumber, (".pdf",)),
    ParserCandidate("pdftext", pdf_pdftext, (".pdf",)),
    ParserCandidate("PyMuPDF", pdf_pymupdf, (".pdf",)),
    ParserCandidate("python-docx", docx_python_docx, (".docx",)),
    ParserCandidate("docx2txt", docx_docx2txt, (".docx",)),
    ParserCandidate("mammoth", docx_mammoth, (".docx",)),
    ParserCandidate("docx2python", docx_docx2python, (".docx",)),
    ParserCandidate("trafilatura", html_trafilatura, (".html", ".htm")),
    ParserCandidate("readability-lxml", html_readability, (".html", ".htm")),
    ParserCandidate("Resiliparse", html_resiliparse, (".html", ".htm")),
    ParserCandidate("jusText", html_justext, (".html", ".htm")),
    ParserCandidate("beautifulsoup4", html_beautifulsoup, (".html", ".htm")),
    ParserCandidate("python-pptx", pptx_python_pptx, (".pptx",)),
    ParserCandidate("EbookLib", epub_ebooklib, (".epub",)),
    ParserCandidate("mistune", md_mistune, (".md",)),
    ParserCandidate("plain text", plain, (".md", ".rst", *CODE)),
    ParserCandidate("mail-parser", eml_mail_parser, (".eml",)),
    ParserCandidate("python-calamine", sheet_calamine, (".xlsx",)),
    ParserCandidate("openpyxl", sheet_openpyxl, (".xlsx",)),
    ParserCandidate("pylightxl", sheet_pylightxl, (".xlsx",)),
    ParserCandidate("fastexcel", sheet_fastexcel, (".xlsx",)),
    ParserCandidate("odfpy", odt_odfpy, (".odt",)),
    ParserCandidate("odfdo", odt_odfdo, (".odt",)),
    ParserCandidate("docutils", rst_docutils, (".rst",)),
    ParserCandidate("nbconvert", notebook_nbconvert, (".ipynb",)),
    ParserCandidate("nbformat", notebook_nbformat, (".ipynb",)),
    ParserCandidate("json (standard library)", notebook_json, (".ipynb",)),
    ParserCandidate("tree-sitter", code_tree_sitter, CODE),
    ParserCandidate("Pygments", code_pygments, CODE),
    ParserCandidate("ast (standard library)", code_ast, (".py",)),
    ParserCandidate("kreuzberg", any_kreuzberg, FORMATS),
)
