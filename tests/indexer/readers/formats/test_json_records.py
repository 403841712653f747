"""JSON lines, JSON and BEIR: conventions of records, and the line of each error."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.opening import open_documents
from indexer.sources.folders import find_beir_corpus
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.reading import read_all, read_one, write_lines


def test_json_list_object_and_anything(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"id": 1, "text": "x"}, {"id": 2}, 3]')
    first, no_text, no_object = open_documents(tmp_path / "a.json")
    assert isinstance(first, Document)
    assert isinstance(no_text, BadDocument)
    assert isinstance(no_object, BadDocument)
    assert (no_text.line, no_object.line) == (2, 3)
    (tmp_path / "b.json").write_text('{"data": [{"id": 1, "text": "x"}]}')
    assert read_one(tmp_path / "b.json").id == "1"
    (tmp_path / "c.json").write_text('{"some": {"setting": true}}')
    assert '"setting": true' in read_one(tmp_path / "c.json").text


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
    [document], bad = read_all(write_lines(tmp_path / "c.jsonl", json.dumps(record)))
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
def test_records_survive_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]]
) -> None:
    path = write_lines(
        tmp_path_factory.mktemp("round") / "c.jsonl", *(json.dumps(r, ensure_ascii=False) for r in records)
    )
    documents, bad = read_all(path)
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
    path = write_lines(tmp_path / "c.jsonl", '{"_id": 1, "text": "first"}', "", line, '{"id": "2", "text": "last"}')
    documents, [bad] = read_all(path)
    assert [d.id for d in documents] == ["1", "2"]
    assert (bad.path, bad.line) == (str(path), 3)
    with pytest.raises(BadDocument, match=message):
        raise bad


def test_a_line_beyond_the_limit_is_skipped(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "c.jsonl", '{"_id": 1, "text": "' + "x" * 5000 + '"}', '{"_id": "2", "text": "y"}')
    [document], [bad] = read_all(path, ReadOptions(limits=ReadLimits(record_bytes=1000)))
    assert document.id == "2"
    assert "longer than 1,000 bytes" in str(bad)
    assert bad.line == 1


def test_other_field_names(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "c.jsonl", '{"key": "k", "name": "N", "body": "B", "id": 7}')
    [document], _ = read_all(path, ReadOptions(id_field="key", title_field="name", text_fields=("body",)))
    assert document == Document("k", "B", "N", {"id": 7.0})


def test_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    [document], bad = read_all(write_lines(tmp_path / "c.jsonl", b'\xef\xbb\xbf{"_id": "1", "text": "x"}'))
    assert (document.id, bad) == ("1", [])


def test_whole_numbers_keep_their_digits(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "c.jsonl", '{"_id": "x", "text": "y", "key": 12345678901234567890, "share": 2.5}')
    [document], _ = read_all(path)
    assert json.dumps(dict(document.metadata)) == '{"key": 12345678901234567890, "share": 2.5}'


def test_records_without_ids_are_one_document_in_a_folder(tmp_path: Path) -> None:
    """A log or an export is a document in a folder, and an error as a source."""
    write_lines(tmp_path / "log.jsonl", '{"level": "info", "message": "kettle on"}', '{"level": "warn"}')
    write_lines(tmp_path / "list.json", '[{"fruit": "apple"}, {"fruit": "pear"}]')
    write_lines(tmp_path / "text.json", '{"text": "of no id"}')
    pq.write_table(pa.table({"fruit": ["apple", None], "price": [3, 4]}), tmp_path / "prices.parquet")
    documents, bad = read_all(tmp_path)
    assert not bad
    found = {document.id: document for document in documents}
    assert found.keys() == {"log.jsonl", "list.json", "text.json", "prices.parquet"}
    assert found["log.jsonl"].text.endswith('"kettle on"}\n{"level": "warn"}')
    assert "pear" in found["list.json"].text
    assert found["prices.parquet"].text == "fruit | price\napple | 3\n | 4"
    assert found["prices.parquet"].metadata["format"] == "parquet"
    for name in found:
        documents, bad = read_all(tmp_path / name)
        assert documents == []
        assert bad
    [bad_table] = read_all(tmp_path / "prices.parquet")[1]
    assert "no column '_id' or 'id' (columns: fruit, price)" in str(bad_table)


def test_beir_folder_keeps_empty_documents(tmp_path: Path) -> None:
    write_lines(tmp_path / "corpus.jsonl", '{"_id": "1", "title": "", "text": ""}', '{"_id": "2", "title": "t"}')
    write_lines(tmp_path / "queries.jsonl", '{"_id": "q", "text": "not a document"}')
    documents, [bad] = read_all(tmp_path)
    assert [d.id for d in documents] == ["1"]
    assert "missing" in str(bad)
    assert find_beir_corpus(tmp_path) == tmp_path / "corpus.jsonl"
    assert find_beir_corpus(tmp_path / "corpus.jsonl") is None


@pytest.mark.parametrize("text", ['{"id": "a", "text": "x"}\n\n{"id": "b", "text": "y"}\n', None])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_lines_and_objects_in_a_row_in_a_json_file(tmp_path: Path, text: str | None, encoding: str) -> None:
    text = text or json.dumps({"id": "a", "text": "x"}, indent=1) + json.dumps({"id": "b", "text": "y"}, indent=1)
    (tmp_path / "r.json").write_bytes(text.encode(encoding))
    documents, bad = read_all(tmp_path / "r.json")
    assert (bad, [(d.id, d.text) for d in documents]) == ([], [("a", "x"), ("b", "y")])


def test_a_bad_line_of_a_json_file_is_one_error(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.json", '{"id": "a", "text": "x"}', "{", '{"id": "b", "text": "y"}')
    documents, [bad] = read_all(path)
    assert ([d.id for d in documents], bad.line) == (["a", "b"], 2)


def test_indented_objects_under_the_suffix_of_lines(tmp_path: Path) -> None:
    records = [{"id": each, "text": each} for each in "ab"]
    (tmp_path / "r.jsonl").write_text("\n".join(json.dumps(record, indent=1) for record in records))
    for source in (tmp_path, tmp_path / "r.jsonl"):
        documents, bad = read_all(source)
        assert (bad, [d.id for d in documents]) == ([], ["a", "b"])


def test_a_number_that_is_none_is_an_error_of_its_record(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.json", '[{"id": "a", "text": "x", "n": [NaN]}, {"id": "b", "text": "y"}]')
    documents, [bad] = read_all(path)
    assert ([d.id for d in documents], "NaN or Infinity" in str(bad)) == (["b"], True)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["d.jsonl", "d.jsonl.gz", "d.ndjson"])
def test_lines_in_wide_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    lines = [{"id": str(number), "text": f"the weir № {number} 水位"} for number in range(300)]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\r\n" for line in lines).encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    documents, bad = read_all(tmp_path / name)
    assert bad == []
    assert [(document.id, document.text) for document in documents] == [(line["id"], line["text"]) for line in lines]
