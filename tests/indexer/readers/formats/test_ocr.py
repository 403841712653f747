"""OCR: pages that the real tesseract reads, and the errors without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument, InputError
from retrieval.types import Document
from tests.indexer.readers.samples import pdf_file, scanned

OCR = ReadOptions(ocr=True)
PAGES = [
    ["The kettle boils at one hundred degrees,", "as every cook knows from long experi-", "ence in the kitchen."],
    ["Descaling is done with vinegar."],
]


@pytest.fixture
def tesseract() -> None:
    if shutil.which("tesseract") is None:
        pytest.skip("needs the program tesseract, and it is not installed")


@pytest.mark.usefixtures("tesseract")
def test_scanned_pages_become_sections(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(scanned(PAGES))
    [bad] = open_documents(tmp_path / "scan.pdf")
    assert "has no text layer: its 2 page(s) are pictures; read them with --ocr" in str(bad)
    [document] = open_documents(tmp_path / "scan.pdf", OCR)
    assert isinstance(document, Document)
    text = "The kettle boils at one hundred degrees, as every cook knows from long experience in the kitchen."
    assert document.text == f"{text}\n\nDescaling is done with vinegar."
    assert [section.location for section in document.sections] == ["p. 1", "p. 2"]
    assert document.metadata["ocr_pages"] == 2.0


@pytest.mark.usefixtures("tesseract")
def test_an_unreadable_page_has_no_text(tmp_path: Path) -> None:
    (tmp_path / "turned.pdf").write_bytes(scanned(PAGES[:1], turned=True))
    (tmp_path / "white.pdf").write_bytes(pdf_file([[], []]))
    turned, white = open_documents(tmp_path, OCR)
    assert "tesseract can make no words of them in eng; name their language with --ocr-languages" in str(turned)
    assert "its 2 page(s) are pictures, and tesseract found none on them" in str(white)


@pytest.mark.usefixtures("tesseract")
def test_pages_with_letters_are_not_read_as_pictures(tmp_path: Path) -> None:
    (tmp_path / "d.pdf").write_bytes(pdf_file(PAGES))
    [document] = open_documents(tmp_path / "d.pdf", OCR)
    assert isinstance(document, Document)
    assert "ocr_pages" not in document.metadata


@pytest.mark.usefixtures("tesseract")
def test_no_more_pictures_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(scanned([*PAGES, *PAGES]))
    [bad] = open_documents(tmp_path / "scan.pdf", ReadOptions(ocr=True, limits=ReadLimits(ocr_pages=2)))
    assert isinstance(bad, BadDocument)
    assert "more than 2 of its pages are pictures" in str(bad)


@pytest.mark.usefixtures("tesseract")
def test_a_missing_language_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no language 'xx_yy'; it has .*eng.*apt install tesseract-ocr-xx-yy"):
        open_documents(tmp_path, ReadOptions(ocr=True, ocr_languages="eng+xx_yy"))


def test_a_missing_tesseract_is_named_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"--ocr needs the program tesseract.*apt install tesseract-ocr"):
        open_documents(tmp_path, OCR)
