"""Readers, analysis, tokenising and parsers take time in proportion to their input."""

from __future__ import annotations

import contextlib
import html
import io
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import Stemmer

from indexer.building.chunking import chunk, passage_texts
from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin
from indexer.readers.formats.detect import SkippedFile, detect
from indexer.readers.formats.documentation import plain_markdown
from indexer.readers.formats.format_table import FORMATS, HEAD_BYTES
from indexer.readers.formats.includes import Includes
from indexer.readers.text.charsets import decode
from indexer.readers.text.reflow import join_paragraphs, remove_repeated_edges
from indexer.readers.text.seven_bit import seven_bit_codec
from indexer.readers.text.text_builder import TextBuilder
from indexer.readers.text.titles import usable_title
from retrieval.encoder.checkpoint.hub import DEFAULT, locate
from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.errors import AttendexError
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.inverter import Vocabulary
from retrieval.index.lexical.phrases import parse_query
from retrieval.index.metadata.filter_parser import MAX_LENGTH, parse_filter
from retrieval.index.storage.settings import ChunkSettings
from retrieval.metrics.files import read_qrels, read_run
from retrieval.metrics.tasks import read_topics
from retrieval.metrics.trec_topics import trec_topics
from retrieval.search.explain.highlight import matched_words, nearest_sentences
from retrieval.search.readability import Readability
from retrieval.types import Document, Section, Syntax, Vectors
from retrieval.util.language import language_of
from retrieval.util.redaction import redact
from retrieval.util.text_boundaries import find_boundaries
from retrieval.util.visible_text import visible
from tests.growth import MAX_EXPONENT, UNITS, growth
from tests.indexer.readers.samples import packed, paragraph, word_file

Consume = Callable[[str], object]
SETTINGS = ChunkSettings("passages", 0, 32, 32)
WRAPPED: dict[str, Callable[[str], str]] = {  # a text as the content of a file
    "json": lambda text: json.dumps([{"id": "a", "text": text}, text]),
    "jsonl": lambda text: json.dumps({"id": "a", "title": text, "text": text, "x": {"y": text}}),
    "csv": lambda text: f"id,text\na,{text}\n",
    "tsv": lambda text: f"id\ttext\na\t{text}\n",
    "notebook": lambda text: json.dumps(
        {"nbformat": 4, "cells": [{"cell_type": kind, "source": text} for kind in ("markdown", "code")]}
    ),
    "mail": lambda text: f"Subject: {text}\nTo: {text}\nContent-Type: text/plain; format=flowed\n\n{text}",
    "mbox": lambda text: f"From a Mon Jan  1 00:00:00 2001\nSubject: a\n\n{text}",
    "vcard": lambda text: f"BEGIN:VCARD\nFN:{text}\nNOTE;ENCODING=QUOTED-PRINTABLE:{text}\nTEL{text}\nEND:VCARD",
    "calendar": lambda text: f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:{text}\nDESCRIPTION{text}\nEND:VEVENT",
    "html": lambda text: f"<title>{text}</title><p title='{text}'>{text}</p><h1>{text}",
    "trec": lambda text: f"<DOC>\n<DOCNO>1</DOCNO>\n<TEXT>{text}</TEXT>\n</DOC>",
    "markdown": lambda text: f"---\na: {text}\n---\n# {text}\n\n{text}",
}


@cache
def tokenizer() -> TextTokenizer:
    return TextTokenizer(open_folder(locate(DEFAULT)))


class Ones:
    """An encoder whose vectors are all equal, since only the time around it counts."""

    dimension = 1

    def encode_passages(self, texts: list[str]) -> Vectors:
        return np.ones((len(texts), 1), np.float32)

    encode_queries = encode_passages


def read(name: str, data: bytes) -> list[object]:
    return list(FORMATS[name].read(io.BytesIO(data), DocumentOrigin("name", "name"), ReadOptions()))


def read_text(name: str, text: str) -> None:
    """Read a text as it is, and as the content of a file of the format."""
    for content in (text, WRAPPED.get(name, str)(text)):
        read(name, content.encode("utf-8", "surrogatepass"))


def read_word(text: str) -> None:
    shown = html.escape("".join(character for character in text if character.isprintable() or character == "\n"))
    read("docx", word_file("".join(paragraph(line, "S1") for line in shown.split("\n"))))


def read_nested(text: str) -> None:
    """Read a document and a presentation whose elements are in one another."""
    count = len(text) // 10
    opened = "<p><mc:AlternateContent><mc:Choice>" * count
    closed = "</mc:Choice></mc:AlternateContent></p>" * count
    space = 'xmlns:mc="mc"'
    read("docx", word_file(f"<x {space}>{opened}<t>a</t>{closed}</x>", title=""))
    links = '<R><R Id="1" Target="slide.xml"/></R>'
    parts = {
        "[Content_Types].xml": "<Types/>",
        "ppt/presentation.xml": '<p><sldIdLst xmlns:r="r"><sldId r:id="1"/></sldIdLst></p>',
        "ppt/_rels/presentation.xml.rels": links,
        "ppt/slide.xml": f"<sld {space}><sp>{opened}<t>a</t>{closed}</sp></sld>",
    }
    read("pptx", packed(parts))


def read_odf(text: str) -> None:
    shown = html.escape("".join(character for character in text if character.isprintable() or character == "\n"))
    spaces = " ".join(
        f'xmlns:{name[0]}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text")
    )
    lines = "".join(f'<t:h t:outline-level="{level}">{line}</t:h>' for level, line in enumerate(shown.split("\n"), 1))
    body = f"<o:document-content {spaces}><o:body><o:text>{lines}</o:text></o:body></o:document-content>"
    read("odt", packed({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": body}))


def read_documentation(text: str) -> None:
    """Read a text as a page of MDX and of other tools, in a container of each kind."""
    for opening in ("", "!!! note\n    ", ":::note\n", "```{note}\n", '<Tabs a="', "import {\n", "{{< tab "):
        plain_markdown(opening + text, Includes(ReadOptions(file="page.mdx" if "<" in opening else "page.md")))


def read_files(text: str) -> None:
    """Read a text as queries, judgments and a run."""
    with tempfile.TemporaryDirectory() as folder:
        for name, read_file in (("a.run", read_run), ("qrels.txt", read_qrels), ("queries.tsv", read_topics)):
            path = Path(folder, name)
            path.write_text(f"1\tx\n{text}", errors="replace")
            attempt(read_file, path)


def attempt(call: Callable[..., object], *arguments: object) -> None:
    """Call a parser; a refusal has taken its time too."""
    with contextlib.suppress(AttendexError, SkippedFile):
        call(*arguments)


def analyze(text: str, languages: Iterable[str]) -> None:
    for language in languages:
        analyzer = Analyzer(language)
        analyzer.terms(analyzer.split(text))


def chunk_sections(text: str) -> None:
    """Cut a document of many sections with one heading, under a long title."""
    edges = [*range(0, len(text), 50), len(text)]
    sections = tuple(Section(start, end, "p. 1", "") for start, end in itertools.pairwise(edges))
    document = Document("a", text, text, {}, sections)
    passage_texts([document], [chunk(document, tokenizer(), SETTINGS)])


def build(text: str) -> None:
    """Build a document whose long first heading stands above many short ones."""
    builder = TextBuilder(text)
    builder.heading(1, text)
    for line in text.split("\n"):
        builder.heading(2, line)
        builder.rows([line.split("|")])
        builder.paragraph(line)
    builder.build(author=text)


def find_sentences(text: str) -> None:
    nearest_sentences(Ones(), np.ones(1, np.float32), [text])  # type: ignore[arg-type]


CONSUMERS: dict[str, Consume] = {
    **{
        f"reading {name}": lambda text, name=name: read_text(name, text)  # type: ignore[misc]
        for name in FORMATS
        if name in WRAPPED or name in ("text", "rst", "code", "beir")
    },
    "reading documentation": read_documentation,
    "reading docx": read_word,
    "reading nested elements": read_nested,
    "reading odt": read_odf,
    "reading runs": read_files,
    "reading topics": lambda text: [*trec_topics(f"<top><num>1<title>{text}"), *trec_topics(f"<top><a{text}")],
    "detecting": lambda text: attempt(detect, text.encode("utf-8", "surrogatepass")[:HEAD_BYTES], "a.txt"),
    "decoding": lambda text: decode(text.encode("utf-8", "surrogatepass"), declares=True),
    "decoding legacy": lambda text: attempt(decode, b"\xe9" + text.encode("utf-16-le", "surrogatepass")),
    "decoding 7 bits": lambda text: seven_bit_codec(text.encode("ascii", "replace")),
    "language": language_of,
    "redaction": redact,
    "reflow": lambda text: join_paragraphs("\n".join(remove_repeated_edges([text, f"page {text}x", f"1 {text}x"]))),
    "building": build,
    "titles": lambda text: usable_title(f"untitled{text}.") or usable_title(f"C:/{text}"),
    "analyzing": lambda text: analyze(text, ("english", "none")),
    "stemming": lambda text: analyze(text, Stemmer.algorithms()),
    "locating": lambda text: Analyzer("english").locate(text),
    "inverting": lambda text: Vocabulary(Analyzer("english"), {}).analyze([text, text]),
    "query": lambda text: parse_query(text, Syntax.OPERATORS),
    "filter": lambda text: attempt(parse_filter, text[:MAX_LENGTH]),
    "marking words": lambda text: matched_words(Analyzer("english"), {"a", "中"}, [text]),
    "finding sentences": find_sentences,
    "boundaries": find_boundaries,
    "chunking": lambda text: chunk(Document("a", text), tokenizer(), SETTINGS),
    "chunking sections": chunk_sections,
    "tokenizing": lambda text: tokenizer().spans(text),
    "token ids": lambda text: tokenizer().ids([text]),
    "readability": lambda text: Readability(tokenizer()).unreadable_shares([Document("a", text, text)]),
    "visible text": visible,
}


@pytest.mark.slow
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_time_grows_with_size(consumer: str) -> None:
    exponents = {unit: growth(CONSUMERS[consumer], text) for unit, text in UNITS.items()}
    assert {unit: exponent for unit, exponent in exponents.items() if exponent > MAX_EXPONENT} == {}


# Pairs that took time with the square of the size.
FAULTS = (
    ("analyzing", "marks"),
    ("locating", "marks of Tibet"),
    ("boundaries", "pages"),
    ("chunking sections", "words"),
    ("reading code", "words of code"),
    ("reading csv", "commas"),
    ("reading mail", "fields"),
    ("reading nested elements", "letters"),
    ("reading rst", "columns"),
    ("reading rst", "literal"),
    ("reading topics", "comments"),
    ("reading topics", "letters"),
    ("reading trec", "comments"),
    ("reflow", "spaces"),
    ("building", "short lines"),
)


@pytest.mark.parametrize(("consumer", "unit"), FAULTS, ids=[" of ".join(fault) for fault in FAULTS])
def test_mended_faults(consumer: str, unit: str) -> None:
    assert growth(CONSUMERS[consumer], UNITS[unit]) <= MAX_EXPONENT
