"""Word, PowerPoint, OpenDocument and spreadsheets: what is shown, in order, and nothing that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.indexer.readers.reading import headed, read_one
from tests.indexer.readers.samples import RELS, WORD, packed, paragraph, word_file, workbook

DRAW = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
SLIDE = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'


def test_docx(tmp_path: Path) -> None:
    table = "<w:tbl>" + "".join(
        f"<w:tr>{''.join(f'<w:tc>{paragraph(cell)}</w:tc>' for cell in row)}</w:tr>" for row in ("ab", "cd")
    )
    body = (
        paragraph("One", "S1")
        + paragraph("first")
        + paragraph("Two", "B")
        + "<w:p><w:r><w:t>kept </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        + "<w:r><w:t>text</w:t><w:tab/><w:t>on</w:t></w:r></w:p>"
        + f"{table}</w:tbl>"
    )
    path = tmp_path / "no-suffix"
    path.write_bytes(word_file(body))
    document = read_one(path)
    assert document.text == "One\n\nfirst\n\nTwo\n\nkept text on\n\na | b\nc | d"
    assert (document.title, document.metadata["author"], document.metadata["format"]) == ("The title", "Ann", "docx")
    assert headed(document) == [("One", "One", "One"), ("One › Two", "One › Two", "Two")]


def test_pptx(tmp_path: Path) -> None:
    def slide(title: str, text: str) -> str:
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
            f"<p:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:txBody></p:sp>"
            for kind, words in (("body", text), ("title", title), ("sldNum", "7"))
        )
        return f"<p:sld {SLIDE} {DRAW}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"

    ids = '<p:sldId r:id="r2"/><p:sldId r:id="r1"/>'
    links = "".join(f'<Relationship Id="r{n}" Target="slides/slide{n}.xml"/>' for n in (1, 2))
    (tmp_path / "s.pptx").write_bytes(
        packed(
            {
                "[Content_Types].xml": "<Types/>",
                "ppt/presentation.xml": f"<p:show {SLIDE} {RELS}><p:sldIdLst>{ids}</p:sldIdLst></p:show>",
                "ppt/_rels/presentation.xml.rels": f"<Relationships>{links}</Relationships>",
                "ppt/slides/slide1.xml": slide("Second", "after"),
                "ppt/slides/slide2.xml": slide("First", "before"),
            }
        )
    )
    document = read_one(tmp_path / "s.pptx")
    assert document.text == "First\n\nbefore\n\nSecond\n\nafter"
    assert [section.location for section in document.sections] == ["slide 1", "slide 2"]
    assert document.title == "First"


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


def test_docx_shows_what_word_shows(tmp_path: Path) -> None:
    styles = (
        f'<w:styles {WORD}><w:style w:styleId="L"><w:name w:val="List Bullet"/><w:pPr><w:numPr/></w:pPr></w:style>'
        '<w:style w:styleId="T1"><w:name w:val="toc 1"/></w:style></w:styles>'
    )
    contents = (
        '<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj></w:sdtPr>'
        f"<w:sdtContent>{paragraph('One 1')}</w:sdtContent></w:sdt>"
    )
    hidden = "<w:p><w:r><w:t>shown</w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r></w:p>"
    moved = (
        "<w:p><w:moveFrom><w:r><w:t>from</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t>to</w:t></w:r></w:moveTo></w:p>"
    )
    body = contents + paragraph("Two 2", "T1") + hidden + paragraph("item", "L") + moved
    document = f"<w:document {WORD}><w:body>{body}</w:body></w:document>"
    parts = {"[Content_Types].xml": "<Types/>", "word/document.xml": document, "word/styles.xml": styles}
    (tmp_path / "d.docx").write_bytes(packed(parts))
    assert read_one(tmp_path / "d.docx").text == "shown\n- item\n\nto"


def test_docx_notes_stand_under_no_heading(tmp_path: Path) -> None:
    note = f'<w:footnotes {WORD}><w:footnote w:id="2">{paragraph("said so")}</w:footnote></w:footnotes>'
    styles = f'<w:styles {WORD}><w:style w:styleId="S1"><w:name w:val="heading 1"/></w:style></w:styles>'
    body = f"<w:document {WORD}><w:body>{paragraph('Last', 'S1')}{paragraph('text')}</w:body></w:document>"
    parts = {"word/document.xml": body, "word/styles.xml": styles, "word/footnotes.xml": note}
    (tmp_path / "d.docx").write_bytes(packed({"[Content_Types].xml": "<Types/>", **parts}))
    assert headed(read_one(tmp_path / "d.docx")) == [("Last", "", "Last"), ("notes", "", "said so")]


def test_slides_stand_alone_with_their_diagrams_and_charts(tmp_path: Path) -> None:
    ids = '<p:sldId r:id="r1"/><p:sldId r:id="r2"/>'
    title = (
        '<p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr><a:p><a:r><a:t>First</a:t></a:r></a:p></p:sp>'
    )
    links = '<R><R Id="r1" Target="slides/1.xml"/><R Id="r2" Target="slides/2.xml"/></R>'
    slides = f"<p:sld {SLIDE} {DRAW}>{title}</p:sld>", f"<p:sld {SLIDE} {DRAW}/>"
    values = "".join(f"<pt><v>{name}</v></pt>" for name in ("East", "West"))
    chart = f"<chartSpace><chart><ser><tx><pt><v>Turnover</v></pt></tx><cat>{values}</cat></ser></chart></chartSpace>"
    relations = '<R><R Id="a" Target="../diagrams/data1.xml"/><R Id="b" Target="../charts/chart1.xml"/></R>'
    parts = {
        "[Content_Types].xml": "<Types/>",
        "ppt/presentation.xml": f"<p:show {SLIDE} {RELS}><p:sldIdLst>{ids}</p:sldIdLst></p:show>",
        "ppt/_rels/presentation.xml.rels": links,
        "ppt/slides/1.xml": slides[0],
        "ppt/slides/2.xml": slides[1],
        "ppt/slides/_rels/2.xml.rels": relations,
        "ppt/diagrams/data1.xml": f"<m {DRAW}><a:p><a:t>step one</a:t></a:p><a:p><a:t>step two</a:t></a:p></m>",
        "ppt/charts/chart1.xml": chart,
    }
    (tmp_path / "s.pptx").write_bytes(packed(parts))
    document = read_one(tmp_path / "s.pptx")
    assert document.text == "First\n\nstep one\nstep two\n\nTurnover\nEast | West"
    assert [(s.location, s.heading) for s in document.sections] == [("slide 1", ""), ("slide 2", "")]


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


def test_odt_notes_lists_and_tables_within(tmp_path: Path) -> None:
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


def test_hidden_sheets_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    (tmp_path / "b.xlsx").write_bytes(workbook())
    document = read_one(tmp_path / "b.xlsx")
    assert document.text == "seen"
    assert headed(document) == [("Prices", "Prices", "seen")]
