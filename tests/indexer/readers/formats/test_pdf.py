"""PDF: pages, outline, passwords, form fields, and pages that are pictures."""

from __future__ import annotations

import io
import string
from pathlib import Path

import pypdf
import pytest

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileOutcome
from indexer.readers.formats.pdf import parse_pdf
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.pdf_samples import glyph_pdf, text_pdf
from tests.indexer.readers.samples import pdf_file


def test_pages_and_metadata(tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(pdf_file([["The first page says this."], ["The second says that."]], "A fine title"))
    [document] = open_documents(tmp_path / "d")
    assert isinstance(document, Document)
    assert document.text == "The first page says this.\n\nThe second says that."
    assert [section.location for section in document.sections] == ["p. 1", "p. 2"]
    assert document.title == "A fine title"
    about = {key: document.metadata[key] for key in ("author", "created", "pages", "format")}
    assert about == {"author": "Ann", "created": "2024-01-02T03:04:05", "pages": 2.0, "format": "pdf"}


def test_outline_becomes_headings(tmp_path: Path) -> None:
    pages = [["Intro", "Words of it."], ["More words.", "Method", "How."]]
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_file(pages)))
    part = writer.add_outline_item(title="Intro", page_number=0)
    writer.add_outline_item(title="Method", page_number=1, parent=part)
    writer.write(tmp_path / "d.pdf")
    [document] = open_documents(tmp_path / "d.pdf")
    assert isinstance(document, Document)
    places = [(s.location, s.heading, document.text[s.start : s.end].strip()[:11]) for s in document.sections]
    assert places == [
        ("p. 1", "Intro", "Intro\n\nWord"),
        ("p. 2", "Intro", "More words."),
        ("p. 2", "Intro › Method", "Method\n\nHow"),
    ]


def test_password(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_file([["secret words stand here"]])))
    writer.encrypt("opensesame", algorithm="RC4-128")
    writer.write(tmp_path / "d.pdf")

    def read(password: str) -> Document | BadDocument:
        [item] = open_documents(tmp_path / "d.pdf", ReadOptions(password=password))
        return item

    assert "is protected by a password; give it with --password" in str(read(""))
    assert "the password given does not open it" in str(read("wrong"))
    opened = read("opensesame")
    assert isinstance(opened, Document)
    assert opened.text == "secret words stand here"


def test_pictures_alone(tmp_path: Path) -> None:
    (tmp_path / "d.pdf").write_bytes(pdf_file([[], []]))
    [bad] = open_documents(tmp_path / "d.pdf")
    assert "has no text layer: its 2 page(s) are pictures; read them with --ocr" in str(bad)


def test_leader_dots_are_shortened(tmp_path: Path) -> None:
    lines = [
        "1.1 Kettles. . . . . . . . . . . . . . 4",
        "1.2 Pots ........................ 5",
        "And so on... to the end.",
    ]
    (tmp_path / "d.pdf").write_bytes(pdf_file([lines]))
    [document] = open_documents(tmp_path / "d.pdf")
    assert isinstance(document, Document)
    assert document.text == "1.1 Kettles … 4 1.2 Pots … 5 And so on... to the end."


def test_form_fields_and_notes(tmp_path: Path) -> None:
    fields = [
        "/Subtype /Widget /FT /Tx /T (surname) /TU (Family name) /V (Kettleworth)",
        "/Subtype /Widget /FT /Tx /T (form1[0].Field2[0]) /V (4 Pot Lane)",
        "/Subtype /Widget /FT /Tx /T (city) /V (Boil)",
        "/Subtype /Widget /FT /Tx /T (empty)",
        "/Subtype /FreeText /Contents (typed on top)",
    ]
    content = "BT /F1 11 Tf 60 740 Td (Please fill in this form.) Tj ET"
    notes = " ".join(f"{5 + number} 0 R" for number in range(len(fields)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [{notes}] >> >>",
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Annots [{notes}] /Contents 4 0 R /Resources << /Font "
        "<< /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        *(f"<< /Type /Annot {each} /Rect [100 {700 - 30 * n} 300 {720 - 30 * n}] >>" for n, each in enumerate(fields)),
    ]
    body = "".join(f"{number} 0 obj\n{each}\nendobj\n" for number, each in enumerate(objects, start=1))
    (tmp_path / "form.pdf").write_text(f"%PDF-1.4\n{body}trailer << /Root 1 0 R >>\n%%EOF")
    [document] = open_documents(tmp_path / "form.pdf")
    assert isinstance(document, Document)
    lines = ["Please fill in this form.", "Family name: Kettleworth", "4 Pot Lane", "city: Boil", "typed on top"]
    assert [line for line in document.text.split("\n") if line] == lines


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "d.pdf").write_bytes(b"%PDF-1.4")
    [bad] = open_documents(tmp_path / "d.pdf")
    assert "damaged" in str(bad)


LINES = ["Hladina u mlýna stoupla o čtyři coule.", "The gauge at the mill is read at noon.", "The keeper opens it."]
WIDE_LINES = ["水位报告：五月份塔恩河的水位上升了四英寸。", "每天中午由管理员读取水位计的数据，并记录时间。"]


@pytest.mark.parametrize("lines", [LINES, WIDE_LINES])
def test_glyphs_are_read_by_the_embedded_font(lines: list[str]) -> None:
    parsed = parse_pdf(glyph_pdf(lines), ReadOptions())
    assert parsed.text == ("" if lines is WIDE_LINES else " ").join(lines)
    assert parsed.title == lines[0]
    assert parse_pdf(glyph_pdf(lines, shown_as={}), ReadOptions()).text == parsed.text


@pytest.mark.parametrize("lines", [LINES, WIDE_LINES])
def test_glyphs_that_nothing_names(lines: list[str]) -> None:
    with pytest.raises(BadDocument, match=r"fonts do not tell the characters of its 1 page.* --ocr"):
        parse_pdf(glyph_pdf(lines, with_names=False), ReadOptions())
    private = {character: chr(0xE000 + number) for number, character in enumerate(sorted(set("".join(lines))))}
    with pytest.raises(BadDocument, match="read them with --ocr"):
        parse_pdf(glyph_pdf(lines, shown_as=private), ReadOptions())


def test_codes_in_place_of_characters() -> None:
    codes = "".join(rf"\(cid:{ord(letter)}\)" for letter in LINES[1])
    with pytest.raises(BadDocument, match="codes of glyphs"):
        parse_pdf(text_pdf(f"BT /F1 11 Tf 60 700 Td ({codes}) Tj ET"), ReadOptions())


def test_wrong_letters_are_reported(tmp_path: Path) -> None:
    turned = string.ascii_letters[7:] + string.ascii_letters[:7]
    wrong = dict(zip(string.ascii_letters, turned, strict=True))
    (tmp_path / "d.pdf").write_bytes(glyph_pdf(LINES, shown_as=wrong))
    outcomes: list[FileOutcome] = []
    [document] = open_documents(tmp_path / "d.pdf", on_file=outcomes.append)
    assert isinstance(document, Document)
    assert [(each.status, each.reason) for each in outcomes] == [
        ("read", "its text may be unusable: letters that make no words")
    ]


def test_pages_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_file([["The first page says this."]])))
    for page in (*pypdf.PdfReader(io.BytesIO(glyph_pdf(LINES, with_names=False))).pages,) * 2:
        writer.add_page(page)
    writer.write(tmp_path / "d.pdf")
    outcomes: list[FileOutcome] = []
    [document] = open_documents(tmp_path / "d.pdf", on_file=outcomes.append)
    assert isinstance(document, Document)
    assert document.text == "The first page says this."
    part, whole = outcomes
    assert part.path == f"{tmp_path / 'd.pdf'}/p. 2, 3"
    assert (part.status, part.reason) == (
        "skipped",
        "unusable text: signs that are no characters; read them with --ocr",
    )
    assert (whole.status, whole.reason) == ("read", "")


def test_words_set_letter_by_letter() -> None:
    spaced = " T* ".join(
        f"({' '.join(line)}) Tj" for line in ("Water levels of the river", "read at noon by the keeper")
    )
    parsed = parse_pdf(text_pdf(f"BT /F1 11 Tf 60 700 Td 14 TL {spaced} ET"), ReadOptions())
    assert parsed.text == "Water levels of the river read at noon by the keeper"
    placed = " ".join(
        f"1 0 0 1 {60 + 14 * number} 700 Tm ({letter}) Tj"
        for number, letter in enumerate("Water levels of the river Tarn")
        if letter != " "
    )
    assert parse_pdf(text_pdf(f"BT /F1 12 Tf {placed} ET"), ReadOptions()).text == "Water levels of the river Tarn"
    assert (
        parse_pdf(text_pdf("BT /F1 12 Tf 60 700 Td (rows a b c d e f g) Tj ET"), ReadOptions()).text[5:]
        == "a b c d e f g"
    )
    assert parse_pdf(glyph_pdf([" ".join(WIDE_LINES[0])], shown_as={}), ReadOptions()).text == WIDE_LINES[0]


@pytest.mark.parametrize("title", ["\\(anonymous\\)", "Microsoft Word - x.doc", "untitled", "levels_v2.indd", ""])
def test_the_largest_text_is_the_title(title: str) -> None:
    pieces = [("W", 60), ("ater le", 80.77), ("v", 141.91), ("els of the r", 154.14), ("iv", 258.09), ("er T", 275.2)]
    pieces += [("ar", 314.32), ("n", 333.88)]
    content = " ".join(f"BT /F1 22 Tf {x} 760 Td ({text}) Tj ET" for text, x in pieces)
    content += " BT /F1 11 Tf 60 720 Td (The gauge at the mill shows the height of the water above the sill.) Tj ET"
    parsed = parse_pdf(text_pdf(content, f"/Title ({title}) /Author (\\(anonymous\\))"), ReadOptions())
    assert parsed.title == "Water levels of the river Tarn"
    assert "author" not in parsed.metadata
