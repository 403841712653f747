"""EPUB books: chapters in reading order, headings as structure, chapter names from the table of contents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.html import render_html
from indexer.readers.formats.html_tree import parse_page
from indexer.readers.formats.text import read_as
from indexer.readers.formats.zip_package import local, open_zip, parse_xml, read_part, resolved
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line
from retrieval.errors import BadDocument

ABOUT = {"title": "title", "creator": "author", "date": "date", "language": "language", "publisher": "publisher"}


def read_epub(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The book as one document."""
    return read_as(parse_epub, stream, origin, options)


def parse_epub(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a book."""
    with open_zip(data, options.limits) as archive:
        if "META-INF/encryption.xml" in archive.NameToInfo and b"xenc" in read_part(archive, "META-INF/encryption.xml"):
            _check_readable(archive)
        package_name = _package_name(archive)
        package = parse_xml(read_part(archive, package_name))
        folder = package_name.rpartition("/")[0]
        about = _about(package)
        builder = TextBuilder(about.pop("title", ""))
        names = _chapter_names(archive, package, folder)
        for chapter in _spine(package, folder):
            if chapter in archive.NameToInfo:
                _chapter(archive, chapter, names.get(chapter, ""), builder)
    about["language"] = about.get("language", "").split("-")[0].lower()
    return builder.build(**about)


def _check_readable(archive: ZipFile) -> None:
    """Fonts may be obscured; a book whose text is encrypted has rights management."""
    if b".xhtml" in read_part(archive, "META-INF/encryption.xml") or "META-INF/rights.xml" in archive.NameToInfo:
        raise BadDocument("is protected by digital rights management")


def _package_name(archive: ZipFile) -> str:
    for each in parse_xml(read_part(archive, "META-INF/container.xml")).iter():
        if local(each) == "rootfile" and each.get("full-path"):
            return str(each.get("full-path"))
    raise BadDocument("damaged: the book names no package")


def _about(package: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in package.iterfind("./{*}metadata/*"):
        name, text = ABOUT.get(local(each)), one_line(each.text or "")
        if name and text and name not in found:
            found[name] = text
        elif name == "author" and text:
            found[name] += f", {text}"
    return found


def _manifest(package: Element, folder: str) -> dict[str, str]:
    """Parts of the book by their ids, as full names."""
    items = package.iterfind("./{*}manifest/{*}item")
    return {each.get("id", ""): resolved(folder, unquote(each.get("href", ""))) for each in items}


def _spine(package: Element, folder: str) -> Iterator[str]:
    """Chapters in reading order, without a page that is the table of contents."""
    parts = _manifest(package, folder)
    for item in package.iterfind("./{*}manifest/{*}item"):
        if "nav" in (item.get("properties") or "").split():
            parts.pop(item.get("id", ""), None)
    for each in package.iterfind("./{*}spine/{*}itemref"):
        if each.get("idref") in parts:
            yield parts[str(each.get("idref"))]


def _chapter_names(archive: ZipFile, package: Element, folder: str) -> dict[str, str]:
    """Chapter → its name in the table of contents, of EPUB 2 or 3; the first that points into it."""
    found: dict[str, str] = {}
    parts = _manifest(package, folder)
    for item in package.iterfind("./{*}manifest/{*}item"):
        part = parts[item.get("id", "")]
        base = part.rpartition("/")[0]
        is_contents = (
            item.get("media-type") == "application/x-dtbncx+xml" or "nav" in (item.get("properties") or "").split()
        )
        if not is_contents or part not in archive.NameToInfo:
            continue
        page = parse_page(decode(read_part(archive, part), declares=True))
        for each in page.body.elements():
            if each.tag == "a" and each.attributes.get("href"):
                target = resolved(base, unquote(each.attributes["href"].split("#")[0]))
                found.setdefault(target, one_line(each.text()))
            elif each.tag == "navpoint":
                source, label = each.find("content"), each.find("text")
                if source is not None and label is not None:
                    target = resolved(base, unquote(source.attributes.get("src", "").split("#")[0]))
                    found.setdefault(target, one_line(label.text()))
    return found


def _chapter(archive: ZipFile, part: str, name: str, builder: TextBuilder) -> None:
    page = parse_page(decode(read_part(archive, part), declares=True))
    if name and page.body.find("h1", "h2", "h3") is None:
        builder.mark(1, name)
    render_html(page.body, builder)
