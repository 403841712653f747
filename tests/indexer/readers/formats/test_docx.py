"""Word documents: visible text, headings, and notes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.indexer.readers.reading import headed, read_one
from tests.indexer.readers.samples import WORD, packed, paragraph, with_part, word_file


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


def test_relations_name_the_parts(tmp_path: Path) -> None:
    kinds = ("styles", "footnotes", "endnotes")
    links = "".join(f'<Relation Type="x/{kind}" Target="{kind}2.xml"/>' for kind in kinds)
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": '<Relations><Relation Type="x/officeDocument" Target="/word/main2.xml"/></Relations>',
        "word/main2.xml": f"<w:document {WORD}><w:body>{paragraph('The other part', 'S')}</w:body></w:document>",
        "word/_rels/main2.xml.rels": f"<Relations>{links}</Relations>",
        "word/styles2.xml": f'<w:styles {WORD}><w:style w:styleId="S"><w:name w:val="heading 1"/></w:style></w:styles>',
        **{f"word/{kind}2.xml": f"<w:x {WORD}><w:n>{paragraph(kind)}</w:n></w:x>" for kind in kinds[1:]},
    }
    (tmp_path / "d.docx").write_bytes(packed(parts))
    document = read_one(tmp_path / "d.docx")
    assert document.text == "The other part\n\nfootnotes\n\nendnotes"
    assert document.title == "The other part"


def test_charts_diagrams_and_comments_are_read(tmp_path: Path) -> None:
    draw = 'xmlns:a="a" xmlns:c="c" xmlns:dgm="d"'
    kinds = {"r1": ("chart", "charts/chart1"), "r2": ("diagramData", "diagrams/data1"), "r3": ("comments", "comments")}
    links = "".join(f'<R Id="{key}" Type="x/{kind}" Target="{part}.xml"/>' for key, (kind, part) in kinds.items())
    drawn = '<w:p><w:r><w:drawing><c:chart r:id="r1"/></w:drawing></w:r></w:p>'
    smart = '<w:p><w:r><w:drawing><dgm:relIds r:dm="r2" r:lo="r9"/></w:drawing></w:r></w:p>'
    body = paragraph("before") + drawn + smart + drawn + paragraph("after")
    values = "".join(f"<c:pt><c:v>{name}</c:v></c:pt>" for name in ("East", "West"))
    parts = {
        "[Content_Types].xml": "<Types/>",
        "word/document.xml": f'<w:document {WORD} {draw} xmlns:r="r"><w:body>{body}</w:body></w:document>',
        "word/_rels/document.xml.rels": f"<R>{links}</R>",
        "word/charts/chart1.xml": f"<c:s {draw}><c:chart><c:title><a:p><a:t>Turnover</a:t></a:p></c:title>"
        f"<c:ser><c:cat>{values}</c:cat></c:ser></c:chart></c:s>",
        "word/diagrams/data1.xml": f"<m {draw}><a:p><a:t>step one</a:t></a:p><a:p><a:t>step two</a:t></a:p></m>",
        "word/comments.xml": f'<w:x {WORD}><w:comment w:author="Ann">{paragraph("Check this.")}</w:comment></w:x>',
    }
    (tmp_path / "d.docx").write_bytes(packed(parts))
    document = read_one(tmp_path / "d.docx")
    parts_of_text = ["before", "Turnover\nEast | West", "step one\nstep two", "after", "Ann: Check this."]
    assert document.text == "\n\n".join(parts_of_text)
    assert document.sections[-1].location == "comments"


def test_docx_has_the_text_that_word_shows(tmp_path: Path) -> None:
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


def test_docx_notes_have_no_heading(tmp_path: Path) -> None:
    note = f'<w:footnotes {WORD}><w:footnote w:id="2">{paragraph("said so")}</w:footnote></w:footnotes>'
    styles = f'<w:styles {WORD}><w:style w:styleId="S1"><w:name w:val="heading 1"/></w:style></w:styles>'
    body = f"<w:document {WORD}><w:body>{paragraph('Last', 'S1')}{paragraph('text')}</w:body></w:document>"
    parts = {"word/document.xml": body, "word/styles.xml": styles, "word/footnotes.xml": note}
    (tmp_path / "d.docx").write_bytes(packed({"[Content_Types].xml": "<Types/>", **parts}))
    assert headed(read_one(tmp_path / "d.docx")) == [("Last", "", "Last"), ("notes", "", "said so")]


BOX = "<w:txbxContent>" + paragraph("Boxed") + paragraph("words") + "</w:txbxContent>"
CHOICE = f"<mc:AlternateContent><mc:Choice>{BOX}</mc:Choice><mc:Fallback>{BOX}</mc:Fallback></mc:AlternateContent>"
RUN = "<w:r><w:t>Summary</w:t></w:r>"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (f"<w:p><w:r>{BOX}</w:r>{RUN}</w:p>", "Boxed\nwords\nSummary"),
        (f"<w:p><w:r>{CHOICE}</w:r>{RUN}</w:p>", "Boxed\nwords\nSummary"),
        (f"<w:tbl><w:tr><w:tc><w:p>{RUN}<w:r>{CHOICE}</w:r></w:p></w:tc></w:tr></w:tbl>", "Summary Boxed words"),
        (f"<w:p><w:r>{CHOICE.replace('mc:Choice', 'mc:Fallback')}</w:r></w:p>", "Boxed\nwords"),
    ],
)
def test_text_boxes_are_read_once_and_stand_apart(tmp_path: Path, body: str, text: str) -> None:
    (tmp_path / "d.docx").write_bytes(with_part(word_file(body), {}))
    assert read_one(tmp_path / "d.docx").text == text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.html", "<h1>Weir report</h1><p>Mended in May.</p>"),
        ("a.txt", "Weir report\n\nMended in May."),
        ("a.mht", "MIME-Version: 1.0\nContent-Type: text/html\n\n<h1>Weir report</h1><p>Mended in May.</p>"),
        ("a.docx", ""),
    ],
)
def test_embedded_files_are_part_of_the_text(tmp_path: Path, name: str, content: str) -> None:
    inner = word_file(paragraph("Weir report", "S1") + paragraph("Mended in May."))
    links = f'<Relationships><Relationship Id="r" Target="/word/{name}"/></Relationships>'
    parts = {f"word/{name}": content.encode() or inner, "word/_rels/document.xml.rels": links.encode()}
    (tmp_path / "d.docx").write_bytes(with_part(word_file(f'{paragraph("Before")}<w:altChunk r:id="r"/>'), parts))
    assert read_one(tmp_path / "d.docx").text == "Before\n\nWeir report\n\nMended in May."


def test_an_embedded_file_without_a_reader_is_counted(tmp_path: Path) -> None:
    (tmp_path / "d.docx").write_bytes(with_part(word_file(f'{paragraph("Before")}<w:altChunk r:id="r"/>'), {}))
    assert read_one(tmp_path / "d.docx").metadata["unread_parts"] == 1


def test_readings_are_left_out(tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    ruby = f"<w:ruby><w:rt>{run.format('とうきょう')}</w:rt><w:rubyBase>{run.format('東京')}</w:rubyBase></w:ruby>"
    (tmp_path / "d.docx").write_bytes(word_file(f"<w:p><w:r>{ruby}</w:r>{run.format('の館')}</w:p>"))
    assert read_one(tmp_path / "d.docx").text == "東京の館"
