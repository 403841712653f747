"""JSONL, CSV, TSV, Parquet and BEIR folders: the same conventions, and every bad line named."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.readers import (
    FileOutcome,
    FileReport,
    FileStatus,
    ReadLimits,
    ReadOptions,
    find_beir_corpus,
    open_documents,
)
from indexer.readers.base.outcomes import MAX_LISTED_FILES
from retrieval.errors import BadDocument, StorageError
from retrieval.types import Document, FieldType


def read(source: Path, options: ReadOptions | None = None) -> tuple[list[Document], list[BadDocument]]:
    items = list(open_documents(source, options))
    return [i for i in items if isinstance(i, Document)], [i for i in items if isinstance(i, BadDocument)]


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    return path


def test_jsonl_record(tmp_path: Path) -> None:
    record = {
        "_id": "a",
        "title": "T",
        "text": "x",
        "year": 1999,
        "open": True,
        "date": "2020-01-31",
        "tags": ["p", "q"],
        "none": None,
        "metadata": {"lang": "de", "author": {"name": "N"}},
    }
    [document], bad = read(write(tmp_path / "c.jsonl", json.dumps(record)))
    assert not bad
    assert (document.id, document.title, document.text) == ("a", "T", "x")
    assert document.metadata == {
        "year": 1999.0,
        "open": True,
        "date": "2020-01-31",
        "tags": ("p", "q"),
        "lang": "de",
        "author.name": "N",
    }


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "_id": st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
                "text": st.text("ab é\n字", min_size=1),
            },
            optional={"n": st.integers(-(2**50), 2**50), "s": st.text("x\u2028\r"), "l": st.lists(st.text("y"))},
        )
    )
)
def test_what_json_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]]
) -> None:
    path = write(tmp_path_factory.mktemp("round") / "c.jsonl", *(json.dumps(r, ensure_ascii=False) for r in records))
    documents, bad = read(path)
    assert [(d.id, d.text) for d in documents] == [(r["_id"], r["text"]) for r in records]
    assert len(bad) == (0 if records else 1)
    for document, record in zip(documents, records, strict=True):
        expected = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k not in ("_id", "text")}
        assert document.metadata == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ('{"_id": "x", "text": NaN}', "NaN is not a JSON number"),
        ("[1]", "a line must be a JSON object, not list"),
        ('{"text": "x"}', "no id: field 'id' is missing or empty .fields: text.; name another with --id-field"),
        ('{"_id": "", "text": "x"}', "no id"),
        ('{"_id": 1.5, "text": "x"}', "id 1.5 is neither"),
        ('{"_id": "x", "body": "y"}', "no text: field 'text' is missing .fields: _id, body.; name another"),
        ('{"_id": "x", "text": ""}', "no text: field 'text' is empty"),
        ('{"_id": "x", "text": ["y"]}', "field 'text' is list"),
        (b'{"_id": "x", "text": "\xff"}', "invalid UTF-8 at byte 22"),
        ('{"_id": "x", "text": "\\ud800"}', "surrogate"),
        ('{"_id": "x", "text": "y", "t": ["\\udc00"]}', "surrogate"),
        ('{"_id": "x", "text": "y", "n": 1' + "0" * 400 + "}", "beyond the range"),
        ("[" * 100_000, "nested too deeply"),
        ('{"_id": "x", "text": "y", "m": ' + '{"m":' * 20 + "1" + "}" * 21, "levels deep"),
    ],
)
def test_a_bad_line_is_named_and_the_next_is_read(tmp_path: Path, line: str | bytes, message: str) -> None:
    path = write(tmp_path / "c.jsonl", '{"_id": 1, "text": "first"}', "", line, '{"id": "2", "text": "last"}')
    documents, [bad] = read(path)
    assert [d.id for d in documents] == ["1", "2"]
    assert (bad.path, bad.line) == (str(path), 3)
    with pytest.raises(BadDocument, match=message):
        raise bad


def test_an_overlong_line_is_skipped_not_held(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", '{"_id": 1, "text": "' + "x" * 5000 + '"}', '{"_id": "2", "text": "y"}')
    [document], [bad] = read(path, ReadOptions(limits=ReadLimits(record_bytes=1000)))
    assert document.id == "2"
    assert "longer than 1,000 bytes" in str(bad)
    assert bad.line == 1


def test_other_field_names(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", '{"key": "k", "name": "N", "body": "B", "id": 7}')
    [document], _ = read(path, ReadOptions(id_field="key", title_field="name", text_field="body"))
    assert document == Document("k", "B", "N", {"id": 7.0})


def test_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    [document], bad = read(write(tmp_path / "c.jsonl", b'\xef\xbb\xbf{"_id": "1", "text": "x"}'))
    assert (document.id, bad) == ("1", [])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_by_content_and_suffix(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(pack(b'{"_id": "1", "text": "x"}\n' * 1000))
    assert len(read(path)[0]) == 1000
    path.write_bytes(pack(b'{"_id": "1", "text": "x"}\n' * 1000)[:-12])
    _, bad = read(path)
    assert "damaged compressed data" in str(bad[-1])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("between", [b"", bytes(8), bytes(2 << 20)])
def test_every_stream_of_a_compressed_file_is_read(
    tmp_path: Path, pack: Callable[[bytes], bytes], between: bytes
) -> None:
    """As `cat a.xz b.xz` and parallel compressors write them; gzip and xz allow zeros between."""
    if pack is bz2.compress and between:
        pytest.skip("bzip2 has no padding")
    lines = [b'{"_id": "%d", "text": "x"}\n' % number for number in range(3)]
    path = tmp_path / "c.jsonl.packed"
    path.write_bytes(between.join(map(pack, lines)) + between)
    documents, bad = read(path, ReadOptions(format="jsonl"))
    assert ([each.id for each in documents], bad) == (["0", "1", "2"], [])


def test_what_follows_an_xz_stream_and_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.xz"
    path.write_bytes(lzma.compress(b'{"_id": "1", "text": "x"}\n') + b"more")
    [bad] = read(path)[1]
    assert "damaged compressed data" in str(bad)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"id": number, "text": f"number {number}"}).encode() + b"\n" for number in range(500))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines)[:-40])
    _, [bad] = read(tmp_path / "c.jsonl.gz")
    assert "c.jsonl.gz: damaged compressed data" in str(bad)


def test_whole_numbers_keep_their_digits(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", '{"_id": "x", "text": "y", "key": 12345678901234567890, "share": 2.5}')
    [document], _ = read(path)
    assert json.dumps(dict(document.metadata)) == '{"key": 12345678901234567890, "share": 2.5}'


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * 4_000_000))
    limits = ReadLimits(free_expansion_bytes=1 << 20, expansion=10)
    documents, [bad] = read(path, ReadOptions(limits=limits))
    assert documents == []
    assert "expands to more than 10 times" in str(bad)


def test_csv_types_are_inferred_by_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.csv",
        "id,title,text,year,postcode,open,mixed,date",
        '1,One,"first, with a comma and\na line",1999,02134,true,7,2020-01-31',
        "2,Two,second,2001,10115,FALSE,x,",
        "3,Three,third,,99999,,,",
    )
    documents, bad = read(path)
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
    path = write(tmp_path / "c.csv", "id,text,code,tags", "1,x,12,a;b", '2,y,13,"[""c"", ""d""]"')
    types = {"code": FieldType.STRING, "tags": FieldType.STRINGS}
    documents, _ = read(path, ReadOptions(types=types))
    assert [d.metadata for d in documents] == [{"code": "12", "tags": ("a", "b")}, {"code": "13", "tags": ("c", "d")}]


@pytest.mark.parametrize(("name", "mark"), [("c.tsv", "\t"), ("c.csv", ";"), ("c.csv", "|")])
def test_delimiters(tmp_path: Path, name: str, mark: str) -> None:
    [document], _ = read(write(tmp_path / name, mark.join(["id", "text"]), mark.join(["1", "a, b"])))
    assert document == Document("1", "a, b")


@pytest.mark.parametrize(
    ("row", "message"),
    [("2,x,y", "the row has 3 cells, the header 2"), (b"2,\xff", "invalid UTF-8"), (",x", "no id"), ("2,", "no text")],
)
def test_a_bad_row_is_named_and_the_next_is_read(tmp_path: Path, row: str | bytes, message: str) -> None:
    path = write(tmp_path / "c.csv", "id,text", "1,ä", row, "3,c")
    documents, [bad] = read(path)
    assert [d.id for d in documents] == ["1", "3"]
    assert message in str(bad)
    assert bad.line == 3


@pytest.mark.parametrize(
    ("header", "message"),
    [("key,text", "no column '_id' or 'id'"), ("id,body", "no column 'text'"), ("id,text,text", "twice: text")],
)
def test_a_header_that_does_not_fit(tmp_path: Path, header: str, message: str) -> None:
    documents, [bad] = read(write(tmp_path / "c.csv", header, "1,2"))
    assert documents == []
    assert message in str(bad)


def test_a_table_without_ids_is_one_document_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "prices.csv", "fruit,price", "apple,3", "pear,4")
    [document], bad = read(tmp_path)
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
        documents, bad = read(tmp_path / name)
        assert not bad
        assert [(d.id, d.text) for d in documents] == [("1", "Käse und Brötchen für Gäste"), ("2", "Größe")]


def test_the_delimiter_that_excel_names(tmp_path: Path) -> None:
    [document], bad = read(write(tmp_path / "c.csv", "sep=|", "id|text", "1|a, b; c"))
    assert (document, bad) == (Document("1", "a, b; c"), [])


def test_records_of_another_kind_are_one_document_in_a_folder(tmp_path: Path) -> None:
    """Logs and exports beside documents are no errors; named themselves, they are."""
    write(tmp_path / "log.jsonl", '{"level": "info", "message": "kettle on"}', '{"level": "warn"}')
    write(tmp_path / "list.json", '[{"fruit": "apple"}, {"fruit": "pear"}]')
    write(tmp_path / "text.json", '{"text": "of no id"}')
    pq.write_table(pa.table({"fruit": ["apple", None], "price": [3, 4]}), tmp_path / "prices.parquet")
    documents, bad = read(tmp_path)
    assert not bad
    found = {document.id: document for document in documents}
    assert found.keys() == {"log.jsonl", "list.json", "text.json", "prices.parquet"}
    assert found["log.jsonl"].text.endswith('"kettle on"}\n{"level": "warn"}')
    assert "pear" in found["list.json"].text
    assert found["prices.parquet"].text == "fruit | price\napple | 3\n | 4"
    assert found["prices.parquet"].metadata["format"] == "parquet"
    for name in found:
        documents, bad = read(tmp_path / name)
        assert documents == []
        assert bad
    [bad_table] = read(tmp_path / "prices.parquet")[1]
    assert "no column '_id' or 'id' (columns: fruit, price)" in str(bad_table)


def test_a_table_as_text_has_the_limit_of_a_text(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "fruit", *["apple"] * 3000)
    write(tmp_path / "t.jsonl", *['{"fruit": "apple"}'] * 3000)
    documents, bad = read(tmp_path, ReadOptions(limits=ReadLimits(text_bytes=9_000)))
    assert documents == []
    assert [str(each).split(": ")[1][:21] for each in bad] == ["gives more than 9,000"] * 2


def test_an_open_quote_is_an_error_not_a_document(tmp_path: Path) -> None:
    documents, [bad] = read(write(tmp_path / "c.csv", "id,text", "1,a", '2,"open', "3,c"))
    assert [d.id for d in documents] == ["1"]
    assert "unexpected end" in str(bad)


def test_parquet(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "title": "T", "text": "x", "when": datetime(2020, 1, 31, 12), "tags": ["a"], "n": 1.5, "raw": b"0"},
        {"id": 2, "title": None, "text": None, "when": None, "tags": None, "n": None, "raw": None},
        {"id": 3, "title": "", "text": "z", "when": None, "tags": [], "n": 2.0, "raw": None},
    ]
    path = tmp_path / "c.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    documents, [bad] = read(path)
    assert documents[0] == Document("1", "x", "T", {"when": "2020-01-31T12:00:00", "tags": ("a",), "n": 1.5})
    assert documents[1].id == "3"
    assert bad.line == 2
    path.write_bytes(path.read_bytes()[:-20])
    assert "not readable as Parquet" in str(read(path)[1][0])


def test_beir_folder_keeps_empty_documents(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", '{"_id": "1", "title": "", "text": ""}', '{"_id": "2", "title": "t"}')
    write(tmp_path / "queries.jsonl", '{"_id": "q", "text": "not a document"}')
    documents, [bad] = read(tmp_path)
    assert [d.id for d in documents] == ["1"]
    assert "missing" in str(bad)
    assert find_beir_corpus(tmp_path) == tmp_path / "corpus.jsonl"
    assert find_beir_corpus(tmp_path / "corpus.jsonl") is None


def test_standard_input_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one of files that are parsed as a whole, and there it is said."""
    records = b"".join(b'{"_id": "%d", "text": "some text"}\n' % number for number in range(1_000))
    limits = ReadLimits(file_bytes=1_000)
    for format_name, count in (("jsonl", 1_000), ("json", 0)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(records)))
        items = list(open_documents("-", ReadOptions(format=format_name, limits=limits)))
        assert sum(isinstance(item, Document) for item in items) == count
    assert "the file is larger than 1,000 bytes" in str(items[0])


def test_missing_and_empty_sources(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match=r"nothing\.jsonl: no such file or folder"):
        open_documents(tmp_path / "nothing.jsonl")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty.jsonl", "")
    write(tmp_path / "empty.csv", "")
    for name in ("empty", "empty.jsonl", "empty.csv"):
        documents, [bad] = read(tmp_path / name)
        assert documents == []
        assert str(bad) == f"{tmp_path / name}: holds no document"


def test_outcomes(tmp_path: Path) -> None:
    write(tmp_path / "good.jsonl", '{"_id": "1", "text": "x"}', "{")
    write(tmp_path / "none.csv", "id,text")
    heard: list[FileOutcome] = []
    list(open_documents(tmp_path, on_file=heard.append))
    assert [(Path(o.path).name, o.status, o.documents, o.bad) for o in heard] == [
        ("good.jsonl", FileStatus.READ, 1, 1),
        ("none.csv", FileStatus.FAILED, 0, 0),
    ]
    assert "good.jsonl:2: not JSON" in heard[0].reason


def test_report(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "good.jsonl", '{"_id": "1", "text": "x"}')
    write(folder / "poor.jsonl", '{"_id": "2", "text": "x"}', "{")
    write(folder / "bad.jsonl", "{")
    write(folder / "p.png", b"\x89PNG")
    with FileReport(tmp_path / "report.jsonl") as report:
        list(open_documents(folder, on_file=report))
    assert report.summary() == "2 read, 1 skipped, 1 failed"
    assert report.failed
    assert [Path(each.path).name for each in report.troubled] == ["bad.jsonl", "p.png", "poor.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["failed", "read", "skipped", "read"]
    assert lines[2]["reason"] == "image: not a format that is read"


def test_a_report_knows_of_bad_lines_behind_many_skipped_files(tmp_path: Path) -> None:
    for number in range(MAX_LISTED_FILES):
        (tmp_path / f"{number:04}.txt").touch()
    write(tmp_path / "x.jsonl", '{"_id": "2", "text": "x"}', "{")
    report = FileReport()
    list(open_documents(tmp_path, on_file=report))
    assert (report.summary(), len(report.troubled)) == ("1 read, 1,000 skipped, 0 failed", MAX_LISTED_FILES)
    assert report.failed


def test_a_source_is_a_file_or_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(BadDocument, match="neither a file nor a folder; use - for standard input"):
        open_documents(tmp_path / "pipe.jsonl")


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"), FileReport(tmp_path / "no" / "report.jsonl"):
        pass


def test_shared_collections_read_whole(shared_data: Path) -> None:
    documents, bad = read(shared_data / "cranfield")
    assert (len(documents), bad) == (1400, [])
