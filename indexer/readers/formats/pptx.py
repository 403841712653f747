"""Presentations: a section a slide, its title as heading, tables as rows, diagrams and speaker's notes after it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.text import read_as
from indexer.readers.formats.zip_package import (
    attribute,
    core_properties,
    local,
    open_zip,
    parse_xml,
    read_part,
    targets,
    xml_part,
)
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument

MOST_CATEGORIES = 200  # of a chart
PRESENTATION = "ppt/presentation.xml"
SILENT = frozenset(("dt", "ftr", "sldNum", "hdr", "sldImg"))  # placeholders for date, footer and number
NO_TITLE = frozenset(("powerpoint presentation", "presentation", "slide 1", "powerpoint-präsentation"))


def read_pptx(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document."""
    return read_as(parse_pptx, stream, origin, options)


def parse_pptx(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a presentation."""
    with open_zip(data, options.limits) as archive:
        about = core_properties(archive)
        title = about.pop("title", "")
        builder = TextBuilder("" if title.lower() in NO_TITLE else title)
        slides = list(_slides(archive))
        for number, slide in enumerate(slides, start=1):
            builder.place(f"slide {number}", afresh=True)
            _slide(archive, slide, builder)
    return builder.build(**about, pages=float(len(slides)))


def _slides(archive: ZipFile) -> Iterator[str]:
    """Names of the slides' parts, in the order of the show."""
    parts = targets(archive, PRESENTATION)
    for each in parse_xml(read_part(archive, PRESENTATION)).iterfind("./{*}sldIdLst/{*}sldId"):
        relation = next((value for key, value in each.attrib.items() if key.endswith("}id")), "")
        if relation not in parts:
            raise BadDocument("damaged: a slide is missing")
        yield parts[relation]


def _slide(archive: ZipFile, part: str, builder: TextBuilder) -> None:
    root = parse_xml(read_part(archive, part))
    shapes = [each for each in root.iter() if local(each) in ("sp", "graphicFrame")]
    titles = [each for each in shapes if _placeholder(each) in ("title", "ctrTitle")]
    for shape in titles:
        heading = one_line(" ".join(_paragraphs(shape)))
        builder.title = builder.title or heading
        builder.heading(1, heading)
    for shape in shapes:
        if shape not in titles and _placeholder(shape) not in SILENT:
            _shape(shape, builder)
    parts = list(targets(archive, part).values())
    for each in parts:
        if "/diagrams/data" in each:
            _blocks(list(_paragraphs(_root(archive, each))), builder)
        elif "/charts/chart" in each:
            builder.rows(_chart(_root(archive, each)))
    for each in parts:
        if "/notesSlide" in each:
            _notes(_root(archive, each), builder)


def _root(archive: ZipFile, part: str) -> Element:
    root = xml_part(archive, part)
    return Element("nothing") if root is None else root


def _chart(root: Element) -> Iterator[list[str]]:
    """Title, then categories and the names of the series; the numbers are drawn, not written."""
    title = root.find("./{*}chart/{*}title")
    if title is not None:
        yield [" ".join(_paragraphs(title))]
    names = [_values(each.find("./{*}tx")) for each in root.iter() if local(each) == "ser"]
    yield [name for each in names for name in each]
    category = next((each for each in root.iter() if local(each) == "cat"), None)
    yield _values(category)


def _values(element: Element | None) -> list[str]:
    found = (each.text or "" for each in (element.iter() if element is not None else ()) if local(each) == "v")
    return list(islice(found, MOST_CATEGORIES))


def _placeholder(shape: Element) -> str:
    found = shape.find("./{*}nvSpPr/{*}nvPr/{*}ph")
    return attribute(found, "type") or "body" if found is not None else ""


def _shape(shape: Element, builder: TextBuilder) -> None:
    if (table := next((each for each in shape.iter() if local(each) == "tbl"), None)) is not None:
        builder.rows(
            [" ".join(_paragraphs(cell)) for cell in row.iterfind("./{*}tc")] for row in table.iterfind("./{*}tr")
        )
        return
    _blocks(list(_paragraphs(shape)), builder)


def _blocks(lines: list[str], builder: TextBuilder) -> None:
    for position, text in enumerate(lines):
        builder.block(text, separator="\n\n" if position == 0 else "\n")


def _paragraphs(shape: Element) -> Iterator[str]:
    for paragraph in shape.iter():
        if local(paragraph) == "p":
            text = "".join(
                "\n" if local(each) == "br" else each.text or "" for each in paragraph.iter() if local(each) in "t br"
            )
            if text.strip():
                yield text.strip()


def _notes(root: Element, builder: TextBuilder) -> None:
    for shape in root.iter():
        if local(shape) == "sp" and _placeholder(shape) == "body":
            _shape(shape, builder)
