"""Presentations: a section for each slide, with tables, diagrams and notes."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.drawing import chart_rows, outermost, paragraphs, part_root
from indexer.readers.formats.zip_package import (
    attribute,
    core_properties,
    local,
    main_part,
    open_zip,
    parse_xml,
    read_part,
    relations,
    targets,
)
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument

PRESENTATION = "ppt/presentation.xml"
IGNORED_PLACEHOLDERS = frozenset(("dt", "ftr", "sldNum", "hdr", "sldImg"))  # placeholders for date, footer and number
NO_TITLE = frozenset(("powerpoint presentation", "presentation", "slide 1", "powerpoint-präsentation"))


def parse_pptx(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a presentation."""
    with open_zip(data, options.limits) as archive:
        about = core_properties(archive)
        title = about.pop("title", "")
        builder = TextBuilder("" if title.lower() in NO_TITLE else title)
        slides = list(_slides(archive))
        roots = (parse_xml(read_part(archive, slide)) for slide in slides)
        shown = [number for number, root in enumerate(roots, start=1) if root.get("show") not in ("0", "false")]
        for number in shown or range(1, len(slides) + 1):  # a presentation of hidden slides alone is read whole
            builder.location(f"slide {number}", clear_headings=True)
            _render_slide(archive, slides[number - 1], builder)
    return builder.build(**about, pages=float(len(slides)))


def _slides(archive: ZipFile) -> Iterator[str]:
    """Yield the names of the slides' parts, in the order of the presentation."""
    main = main_part(archive, PRESENTATION)
    parts = targets(archive, main)
    for slide in parse_xml(read_part(archive, main)).iterfind("./{*}sldIdLst/{*}sldId"):
        relation = next((value for key, value in slide.attrib.items() if key.endswith("}id")), "")
        if relation not in parts:
            raise BadDocument("damaged: a slide is missing")
        yield parts[relation]


def _render_slide(archive: ZipFile, part: str, builder: TextBuilder) -> None:
    root = parse_xml(read_part(archive, part))
    shapes = list(outermost(root, "sp", "graphicFrame"))
    titles = [shape for shape in shapes if _placeholder(shape) in ("title", "ctrTitle")]
    for shape in titles:
        heading = one_line(" ".join(paragraphs(shape)))
        builder.title = builder.title or heading
        builder.heading(1, heading)
    for shape in shapes:
        if shape not in titles and _placeholder(shape) not in IGNORED_PLACEHOLDERS:
            _render_shape(shape, builder)
    parts = list(relations(archive, part))
    for each in parts:
        if each.kind == "diagramData":
            _render_lines(list(paragraphs(part_root(archive, each.target))), builder)
        elif each.kind in ("chart", "chartEx"):
            builder.rows(chart_rows(part_root(archive, each.target)))
    for each in parts:
        if each.kind == "notesSlide":
            _render_notes(part_root(archive, each.target), builder)


def _placeholder(shape: Element) -> str:
    found = shape.find("./{*}nvSpPr/{*}nvPr/{*}ph")
    return attribute(found, "type") or "body" if found is not None else ""


def _render_shape(shape: Element, builder: TextBuilder) -> None:
    if (table := next((element for element in shape.iter() if local(element) == "tbl"), None)) is not None:
        builder.rows(
            [" ".join(paragraphs(cell)) for cell in row.iterfind("./{*}tc")] for row in table.iterfind("./{*}tr")
        )
        return
    _render_lines(list(paragraphs(shape)), builder)


def _render_lines(lines: list[str], builder: TextBuilder) -> None:
    for position, text in enumerate(lines):
        builder.block(text, separator="\n\n" if position == 0 else "\n")


def _render_notes(root: Element, builder: TextBuilder) -> None:
    for shape in root.iter():
        if local(shape) == "sp" and _placeholder(shape) == "body":
            _render_shape(shape, builder)
