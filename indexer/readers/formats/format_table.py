"""The table of formats: one line each, and what is imported only when a file of that format turns up."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias, cast

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem

Reader: TypeAlias = Callable[[BinaryIO, DocumentOrigin, ReadOptions], Iterator[ReadItem]]


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one format are read.

    `reader` is "module:function" of this package.  `inside` formats are line by line work of the standard library and
    run in this process; every other parser runs in a child process.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    inside: bool = False

    def load(self) -> Reader:
        """The function; its module, and with it the parser, is imported now."""
        module, function = self.reader.split(":")
        return cast(Reader, getattr(importlib.import_module(f"indexer.readers.formats.{module}"), function))


TEXT_SUFFIXES = tuple(
    ".txt .text .log .adoc .asciidoc .bib .mediawiki .nfo .org .pod .srt .textile .vtt .wiki".split()  # noqa: SIM905
)
FORMATS = {
    each.name: each
    for each in (
        Format("beir", (), "beir:read_corpus", inside=True),
        Format("jsonl", (".jsonl", ".ndjson"), "jsonl:read_jsonl", inside=True),
        Format("csv", (".csv",), "tables:read_table", inside=True),
        Format("tsv", (".tsv", ".tab"), "tables:read_table", inside=True),
        Format("json", (".json",), "structured:read_json"),
        Format("parquet", (".parquet",), "parquet:read_parquet"),
        Format("text", TEXT_SUFFIXES, "text:read_text"),
        Format("markdown", (".md", ".markdown", ".mdx"), "markdown:read_markdown"),
        Format("rst", (".rst", ".rest"), "rst:read_rst"),
        Format("code", (), "code:read_code"),
        Format("notebook", (".ipynb",), "structured:read_notebook"),
        Format("html", (".html", ".htm", ".xhtml"), "html:read_html"),
        Format("pdf", (".pdf",), "pdf:read_pdf"),
        Format("docx", (".docx", ".docm"), "docx:read_docx"),
        Format("pptx", (".pptx", ".pptm"), "pptx:read_pptx"),
        Format("sheet", (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "sheet:read_sheet"),
        Format("odt", (".odt",), "odf:read_odt"),
        Format("odp", (".odp",), "odf:read_odp"),
        Format("epub", (".epub",), "epub:read_epub"),
        Format("mail", (".eml", ".mht", ".mhtml"), "mail:read_mail"),
        Format("mbox", (".mbox",), "mail:read_mbox"),
        Format("zip", (".zip",), "archive:read_zip"),
        Format("tar", (".tar",), "archive:read_tar"),
    )
}
BY_SUFFIX = {suffix: each.name for each in FORMATS.values() for suffix in each.suffixes}
CODE_SUFFIXES = frozenset(
    """
    .bash .c .cc .cfg .clj .cpp .cs .css .cxx .dart .ex .exs .go .gradle .groovy .h .hpp .hs .ini .java .jl .js .jsx
    .kt .lua .m .mjs .ml .php .pl .proto .ps1 .py .pyi .r .rb .rs .scala .scss .sh .sql .swift .tcl .tex .tf .toml
    .ts .tsx .vue .xml .yaml .yml .zig
    """.split()  # noqa: SIM905 -- sixty quoted words would be harder to read
)
TEXT_NAMES = frozenset(
    ("readme", "license", "licence", "copying", "changelog", "authors", "notice", "makefile", "news")
)
