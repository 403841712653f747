"""OpenDocument texts: notes, lists, and tables."""

from __future__ import annotations

from pathlib import Path

from tests.indexer.readers.reading import read_one
from tests.indexer.readers.samples import packed


def test_odt(tmp_path: Path) -> None:
    text = 'xmlns:text="t" xmlns:office="o" xmlns:table="b"'
    body = (
        '<text:h text:outline-level="1">Head</text:h><text:p>a<text:s text:c="2"/>b<text:tab/>c</text:p>'
        "<text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell>"
        "<table:table-cell><text:p>y</text:p></table:table-cell></table:table-row></table:table>"
    )
    content = f"<office:c {text}><office:body><office:text>{body}</office:text></office:body></office:c>"
    parts = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "META-INF/manifest.xml": "<m/>",
        "content.xml": content,
    }
    (tmp_path / "d.odt").write_bytes(packed(parts))
    assert read_one(tmp_path / "d.odt").text == "Head\n\na  b c\n- item\n\nx | y"


def odt(tmp_path: Path, body: str, about: str = "") -> Path:
    spaces = 'xmlns:text="t" xmlns:office="o" xmlns:table="b" xmlns:meta="m"'
    parts = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "META-INF/manifest.xml": "<m/>",
        "content.xml": f"<office:c {spaces}><office:body><office:text>{body}</office:text></office:body></office:c>",
        "meta.xml": f"<office:m {spaces}>{about}</office:m>",
    }
    (tmp_path / "d.odt").write_bytes(packed(parts))
    return tmp_path / "d.odt"


def test_odt_notes_nested_lists_and_tables(tmp_path: Path) -> None:
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>said so</text:p></text:note-body>"
    )
    inner = "<text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list>"
    cell = "<table:table-cell>{}</table:table-cell>"
    row = "<table:table-row>{}</table:table-row>"
    within = f"<table:table>{row.format(cell.format('<text:p>deep</text:p>'))}</table:table>"
    table = row.format(cell.format("<text:p>a</text:p>") + cell.format(within))
    body = (
        f"<text:p>Fact{note}</text:note>.</text:p><text:list><text:list-item><text:p>outer</text:p>{inner}</text:list-item>"
        f"</text:list><table:table><table:table-header-rows>{table}</table:table-header-rows></table:table>"
    )
    about = "<meta:creation-date>2024-01-02T03:04:05.123456789</meta:creation-date>"
    document = read_one(odt(tmp_path, body, about))
    assert document.text == "Fact (said so).\n- outer\n- inner\n\na | deep"
    assert document.metadata["created"] == "2024-01-02T03:04:05"


def test_text_boxes_stand_apart(tmp_path: Path) -> None:
    box = "<text:box><text:p>Boxed</text:p><text:p>words</text:p></text:box>"
    document = read_one(odt(tmp_path, f"<text:p>{box}Summary</text:p>"))
    assert document.text == "Boxed\nwords\nSummary"


def test_readings_are_left_out(tmp_path: Path) -> None:
    ruby = "<text:ruby><text:ruby-base>東京</text:ruby-base><text:ruby-text>とうきょう</text:ruby-text></text:ruby>"
    assert read_one(odt(tmp_path, f"<text:p>{ruby}の館</text:p>")).text == "東京の館"


def test_hidden_slides_are_left_out(tmp_path: Path) -> None:
    spaces = 'xmlns:text="t" xmlns:office="o" xmlns:draw="d" xmlns:style="s" xmlns:presentation="p"'
    style = (
        '<style:style style:name="dp2"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    slides = "".join(
        f'<draw:page draw:style-name="dp{number}"><draw:text-box><text:p>slide of {word}</text:p></draw:text-box>'
        "</draw:page>"
        for number, word in enumerate(("locks", "secrets", "weirs"), start=1)
    )
    parts = {
        "mimetype": "application/vnd.oasis.opendocument.presentation",
        "META-INF/manifest.xml": "<m/>",
        "content.xml": f"<office:c {spaces}><office:automatic-styles>{style}</office:automatic-styles><office:body>"
        f"<office:presentation>{slides}</office:presentation></office:body></office:c>",
    }
    (tmp_path / "d.odp").write_bytes(packed(parts))
    document = read_one(tmp_path / "d.odp")
    assert document.text == "slide of locks\n\nslide of weirs"
    assert [section.location for section in document.sections] == ["slide 1", "slide 3"]
