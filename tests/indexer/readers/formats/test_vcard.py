"""Address books: a document for each card, of any version of vCard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.indexer.readers.reading import read_all

CARDS = (
    "BEGIN:VCARD",
    "VERSION:4.0",
    "FN:Ann O\\, Weir",
    "N:Weir;Ann;;;",
    "ORG:Waterworks;Locks",
    "item1.EMAIL;TYPE=work:ann@example.org",
    'TEL;VALUE=uri;TYPE="voice,home":tel:+49-30-1',
    "ADR:;;Dam 1;Berlin;;10115;Germany",
    "NOTE:She counts herons\\; and the",
    "  weirs.\\nDaily.",
    "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQ",
    "END:VCARD",
    "BEGIN:VCARD",
    "VERSION:2.1",
    "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E5=B1=B1=E7=94=B0;=E5=A4=AA=",
    "=E9=83=8E",
    "TEL;CELL:1234",
    "END:VCARD",
    "BEGIN:VCARD",
    "FN:Cut",
)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_each_card_is_a_document(tmp_path: Path, end: str, encoding: str) -> None:
    (tmp_path / "a.vcf").write_bytes(end.join(CARDS).encode(encoding))
    documents, problems = read_all(tmp_path / "a.vcf")
    assert problems == []
    assert [(each.id, each.title) for each in documents] == [
        ("a.vcf/1", "Ann O, Weir"),
        ("a.vcf/2", "山田, 太郎"),
        ("a.vcf/3", "Cut"),
    ]
    assert documents[0].text.split("\n") == [
        "Waterworks, Locks",
        "ann@example.org",
        "tel:+49-30-1",
        "Dam 1, Berlin, 10115, Germany",
        "She counts herons; and the weirs.",
        "Daily.",
    ]
    assert documents[1].text == "1234"


def test_a_file_of_genes_is_no_address_book(tmp_path: Path) -> None:
    (tmp_path / "genes.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\n1\t1000\n")
    (tmp_path / "a.txt").write_text("A weir is a low dam.")
    documents, _ = read_all(tmp_path)
    assert [each.id for each in documents] == ["a.txt"]
