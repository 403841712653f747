"""PDF: pages, outline, passwords, form fields, and pages that are pictures."""

from __future__ import annotations

import io
from pathlib import Path

import pypdf

from indexer.readers import ReadOptions, open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
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
