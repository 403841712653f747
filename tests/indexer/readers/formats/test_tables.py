"""CSV and TSV: types, delimiters, encodings, and the line of each error."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadLimits, ReadOptions
from retrieval.types import Document, FieldType
from tests.indexer.readers.reading import read_all, write_lines


def test_csv_types_are_inferred_by_column(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "c.csv",
        "id,title,text,year,postcode,open,mixed,date",
        '1,One,"first, with a comma and\na line",1999,02134,true,7,2020-01-31',
        "2,Two,second,2001,10115,FALSE,x,",
        "3,Three,third,,99999,,,",
    )
    documents, bad = read_all(path)
    assert not bad
    assert documents[0] == Document(
        "1",
        "first, with a comma and\na line",
        "One",
        {"year": 1999.0, "postcode": "02134", "open": True, "mixed": "7", "date": "2020-01-31"},
    )
    assert documents[1].metadata == {"year": 2001.0, "postcode": "10115", "open": False, "mixed": "x"}
    assert documents[2].metadata == {"postcode": "99999"}


def test_csv_types_can_be_given(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "c.csv", "id,text,code,tags", "1,x,12,a;b", '2,y,13,"[""c"", ""d""]"')
    types = {"code": FieldType.STRING, "tags": FieldType.STRINGS}
    documents, _ = read_all(path, ReadOptions(types=types))
    assert [d.metadata for d in documents] == [{"code": "12", "tags": ("a", "b")}, {"code": "13", "tags": ("c", "d")}]


@pytest.mark.parametrize(("name", "mark"), [("c.tsv", "\t"), ("c.csv", ";"), ("c.csv", "|")])
def test_delimiters(tmp_path: Path, name: str, mark: str) -> None:
    [document], _ = read_all(write_lines(tmp_path / name, mark.join(["id", "text"]), mark.join(["1", "a, b"])))
    assert document == Document("1", "a, b")


@pytest.mark.parametrize(
    ("row", "message"),
    [("2,x,y", "the row has 3 cells, the header 2"), (b"2,\xff", "invalid UTF-8"), (",x", "no id"), ("2,", "no text")],
)
def test_a_bad_row_is_named_and_the_next_is_read(tmp_path: Path, row: str | bytes, message: str) -> None:
    path = write_lines(tmp_path / "c.csv", "id,text", "1,ä", row, "3,c")
    documents, [bad] = read_all(path)
    assert [d.id for d in documents] == ["1", "3"]
    assert message in str(bad)
    assert bad.line == 3


@pytest.mark.parametrize(
    ("header", "message"),
    [("key,text", "no column '_id' or 'id'"), ("id,body", "no column 'text'"), ("id,text,text", "twice: text")],
)
def test_a_header_that_does_not_fit(tmp_path: Path, header: str, message: str) -> None:
    documents, [bad] = read_all(write_lines(tmp_path / "c.csv", header, "1,2"))
    assert documents == []
    assert message in str(bad)


def test_a_table_without_ids_is_one_document_in_a_folder(tmp_path: Path) -> None:
    write_lines(tmp_path / "prices.csv", "fruit,price", "apple,3", "pear,4")
    [document], bad = read_all(tmp_path)
    assert not bad
    assert (document.id, document.title, document.text) == (
        "prices.csv",
        "prices",
        "fruit | price\napple | 3\npear | 4",
    )
    assert document.metadata["path"] == "prices.csv"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-8-sig", "utf-8"])
def test_tables_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = "id,text\r\n1,Käse und Brötchen für Gäste\r\n2,Größe\r\n"
    (tmp_path / "c.csv").write_bytes(text.encode(encoding))
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(text.encode(encoding)))
    for name in ("c.csv", "c.csv.gz"):
        documents, bad = read_all(tmp_path / name)
        assert not bad
        assert [(d.id, d.text) for d in documents] == [("1", "Käse und Brötchen für Gäste"), ("2", "Größe")]


def test_the_delimiter_that_excel_names(tmp_path: Path) -> None:
    [document], bad = read_all(write_lines(tmp_path / "c.csv", "sep=|", "id|text", "1|a, b; c"))
    assert (document, bad) == (Document("1", "a, b; c"), [])


def test_a_table_as_text_has_the_limit_of_a_text(tmp_path: Path) -> None:
    write_lines(tmp_path / "t.csv", "fruit", *["apple"] * 3000)
    write_lines(tmp_path / "t.jsonl", *['{"fruit": "apple"}'] * 3000)
    documents, bad = read_all(tmp_path, ReadOptions(limits=ReadLimits(text_bytes=9_000)))
    assert documents == []
    assert [str(each).split(": ")[1][:21] for each in bad] == ["gives more than 9,000"] * 2


def test_an_open_quote_is_an_error_not_a_document(tmp_path: Path) -> None:
    documents, [bad] = read_all(write_lines(tmp_path / "c.csv", "id,text", "1,a", '2,"open', "3,c", "4,d"))
    assert [(d.id, d.text) for d in documents] == [("1", "a"), ("3", "c"), ("4", "d")]
    assert (bad.line, "unexpected end" in str(bad)) == (3, True)


def test_blanks_after_a_delimiter(tmp_path: Path) -> None:
    [document], bad = read_all(write_lines(tmp_path / "c.csv", "id, text", '1, "One, two."'))
    assert (document.text, bad) == ("One, two.", [])


def test_empty_rows_and_columns_are_no_error(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "c.csv", "", ",,", ",id,text,,", "0,1,a,,", ",,,,", "1,2,b", ",3,c,,,,", ",,", "2,4,d,x,"
    )
    documents, [bad] = read_all(path)
    assert [(d.id, d.text, d.metadata) for d in documents] == [
        ("1", "a", {"column 1": 0.0}),
        ("3", "c", {}),
        ("4", "d", {"column 1": 2.0, "column 4": "x"}),
    ]
    assert (bad.line, "the row has 3 cells, the header 5" in str(bad)) == (6, True)


def test_quotes_inside_quoted_cells_lose_no_row(tmp_path: Path) -> None:
    rows = ('1,"The gate" is shut.', '2,"The ""old"" weir\nleaks."', '3,"An \\"oak\\" gate"', '4,An "open" lock')
    documents, bad = read_all(write_lines(tmp_path / "c.csv", "id,text", *rows))
    assert bad == []
    assert [d.text for d in documents] == [
        "The gate is shut.",
        'The "old" weir\nleaks.',
        'An "oak" gate',
        'An "open" lock',
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_the_first_accent_of_a_table_may_come_late(tmp_path: Path, encoding: str) -> None:
    lines = [f"{number},The keeper writes a line in the book." for number in range(9000)]
    text = "\n".join(["id,text", *lines, "x,Die Schlüssel für die Schleuse hängen am Brett.", ""])
    (tmp_path / "c.csv").write_bytes(text.encode(encoding))
    documents, bad = read_all(tmp_path / "c.csv")
    assert (bad, len(documents)) == ([], 9001)
    assert documents[-1].text == "Die Schlüssel für die Schleuse hängen am Brett."


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1252", "Die Schlüssel für die Schleuse"), ("utf-8", "Die Schlüssel 水位"), ("gb18030", "水位报告")],
)
def test_an_accent_beyond_the_buffer_of_a_compressed_table(tmp_path: Path, encoding: str, text: str) -> None:
    rows = "".join(f"{number},the weir of oak and stone number {number}\n" for number in range(60_000))
    data = f"id,text\n{rows}late,{text}\nlast,{text}\n".encode(encoding)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(data, 1))
    documents, bad = read_all(tmp_path / "d.csv.gz")
    assert bad == []
    assert [document.text for document in documents[-3:]] == ["the weir of oak and stone number 59999", text, text]
