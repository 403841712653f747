"""EPUB books: chapters in reading order, with headings and chapter names."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.html import render_html
from indexer.readers.formats.html_tree import HtmlElement, parse_page
from indexer.readers.formats.zip_package import local, open_zip, parse_xml, read_part, resolved
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument

METADATA = {"title": "title", "creator": "author", "date": "date", "language": "language", "publisher": "publisher"}
NCX_TYPE = "application/x-dtbncx+xml"  # the table of contents of EPUB 2


def parse_epub(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a book."""
    with open_zip(data, options.limits) as archive:
        if "META-INF/encryption.xml" in archive.NameToInfo and b"xenc" in read_part(archive, "META-INF/encryption.xml"):
            _check_readable(archive)
        package_name = _package_name(archive)
        package = parse_xml(read_part(archive, package_name))
        folder = package_name.rpartition("/")[0]
        about = _metadata(package)
        builder = TextBuilder(about.pop("title", ""))
        names = _chapter_names(archive, package, folder)
        for chapter in _spine(package, folder):
            if chapter in archive.NameToInfo:
                _render_chapter(archive, chapter, names.get(chapter, ""), builder)
    about["language"] = about.get("language", "").split("-")[0].lower()
    return builder.build(**about)


def _check_readable(archive: ZipFile) -> None:
    """Raise BadDocument for encrypted chapters. Encrypted fonts alone do no harm."""
    if b".xhtml" in read_part(archive, "META-INF/encryption.xml") or "META-INF/rights.xml" in archive.NameToInfo:
        raise BadDocument("is protected by digital rights management")


def _package_name(archive: ZipFile) -> str:
    for element in parse_xml(read_part(archive, "META-INF/container.xml")).iter():
        if local(element) == "rootfile" and element.get("full-path"):
            return str(element.get("full-path"))
    raise BadDocument("damaged: the book names no package")


def _metadata(package: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in package.iterfind("./{*}metadata/*"):
        name, text = METADATA.get(local(element)), one_line(element.text or "")
        if name and text and name not in found:
            found[name] = text
        elif name == "author" and text:
            found[name] += f", {text}"
    return found


def _manifest(package: Element, folder: str) -> dict[str, str]:
    """Return the full names of the book's parts by id."""
    items = package.iterfind("./{*}manifest/{*}item")
    return {item.get("id", ""): resolved(folder, unquote(item.get("href", ""))) for item in items}


def _spine(package: Element, folder: str) -> Iterator[str]:
    """Yield the chapters in reading order, without the table of contents."""
    parts = _manifest(package, folder)
    for item in package.iterfind("./{*}manifest/{*}item"):
        if _is_nav(item):
            parts.pop(item.get("id", ""), None)
    for reference in package.iterfind("./{*}spine/{*}itemref"):
        if reference.get("idref") in parts:
            yield parts[str(reference.get("idref"))]


def _is_nav(item: Element) -> bool:
    return "nav" in (item.get("properties") or "").split()


def _chapter_names(archive: ZipFile, package: Element, folder: str) -> dict[str, str]:
    """Return each chapter's first name in the table of contents of EPUB 2 or 3."""
    found: dict[str, str] = {}
    parts = _manifest(package, folder)
    for item in package.iterfind("./{*}manifest/{*}item"):
        part = parts[item.get("id", "")]
        if (item.get("media-type") == NCX_TYPE or _is_nav(item)) and part in archive.NameToInfo:
            page = parse_page(decode(read_part(archive, part), declares=True))
            base = part.rpartition("/")[0]
            for link, name in _contents_links(page.body):
                found.setdefault(resolved(base, unquote(link.split("#")[0])), name)
    return found


def _contents_links(contents: HtmlElement) -> Iterator[tuple[str, str]]:
    """Yield the links of a table of contents with their texts."""
    for element in contents.elements():
        if element.tag == "a" and element.attributes.get("href"):
            yield element.attributes["href"], one_line(element.text())
        elif element.tag == "navpoint":
            source, label = element.find("content"), element.find("text")
            if source is not None and label is not None:
                yield source.attributes.get("src", ""), one_line(label.text())


def _render_chapter(archive: ZipFile, part: str, name: str, builder: TextBuilder) -> None:
    page = parse_page(decode(read_part(archive, part), declares=True))
    if name and page.body.find("h1", "h2", "h3") is None:
        builder.section(1, name)
    render_html(page.body, builder)
