"""Text of DrawingML, which Word and PowerPoint share: shapes, diagrams, charts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.formats.zip_package import children, local, unescape, xml_part

VERTICAL_TAB = "\v"  # a line break in PowerPoint
MAX_CATEGORIES = 200  # of a chart


def chart_rows(root: Element) -> Iterator[list[str]]:
    """Yield the title, the names of the series, then the categories of a chart."""
    title = root.find("./{*}chart/{*}title")
    if title is not None:
        yield [" ".join(paragraphs(title))]
    names = [_values(series.find("./{*}tx")) for series in root.iter() if local(series) == "ser"]
    yield list(chain.from_iterable(names))
    category = next((element for element in root.iter() if local(element) == "cat"), None)
    yield _values(category)


def _values(element: Element | None) -> list[str]:
    found = (child.text or "" for child in (element.iter() if element is not None else ()) if local(child) == "v")
    return list(islice(found, MAX_CATEGORIES))


def outermost(root: Element, *names: str) -> Iterator[Element]:
    """Yield the outermost elements of these names, in order."""
    stack = [root]
    while stack:
        element = stack.pop()
        if local(element) in names:
            yield element
        else:
            stack.extend(reversed(list(children(element))))


def paragraphs(shape: Element) -> Iterator[str]:
    """Yield the paragraphs of a shape or a diagram that have text."""
    for paragraph in outermost(shape, "p"):
        runs = outermost(paragraph, "t", "br")
        text = "".join("\n" if local(run) == "br" else unescape(run.text or "") for run in runs)
        text = text.replace(VERTICAL_TAB, "\n")
        if text.strip():
            yield text.strip()


def part_root(archive: ZipFile, part: str) -> Element:
    """Return the root of a part; an element without children if it is missing."""
    root = xml_part(archive, part)
    return Element("nothing") if root is None else root
