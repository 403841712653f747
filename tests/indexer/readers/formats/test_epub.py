"""EPUB: chapters in reading order, with names from the table of contents."""

from __future__ import annotations

from pathlib import Path

from tests.indexer.readers.reading import read_one
from tests.indexer.readers.samples import packed


def test_epub(tmp_path: Path) -> None:
    package = (
        '<package xmlns:dc="d"><metadata><dc:title>Book</dc:title><dc:language>de-AT</dc:language>'
        "<dc:creator>Ann</dc:creator><dc:creator>Bob</dc:creator></metadata>"
        "<manifest>"
        '<item id="n" href="nav.xhtml" properties="nav"/><item id="a" href="text/a.xhtml"/>'
        '<item id="b" href="text/b.xhtml"/></manifest><spine>'
        '<itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine></package>'
    )
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<c><rootfile full-path="O/p.opf"/></c>',
        "O/p.opf": package,
        "O/nav.xhtml": '<nav><a href="text/b.xhtml">Opening</a></nav>',
        "O/text/a.xhtml": "<html><body><h2>Closing</h2><p>the end</p></body></html>",
        "O/text/b.xhtml": "<html><body><p>it begins<a epub:type='noteref' href='#n'>1</a></p></body></html>",
    }
    (tmp_path / "b.epub").write_bytes(packed(parts))
    document = read_one(tmp_path / "b.epub")
    assert document.text == "it begins\n\nClosing\n\nthe end"
    assert [section.location for section in document.sections] == ["Opening", "Opening › Closing"]
    assert document.metadata["author"] == "Ann, Bob"
    assert (document.title, document.metadata["language"]) == ("Book", "de")
