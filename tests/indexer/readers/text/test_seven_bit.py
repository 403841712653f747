"""Text in 7-bit encodings."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from indexer.readers.text.charsets import decode
from indexer.readers.text.seven_bit import ISO_2022, seven_bit_codec
from tests.indexer.readers.reading import read_all, read_one

JAPANESE = "来月の予算会議は第二水曜日です。"
KOREAN = "회의는 세 시입니다.\n도서관은 아홉 시에 엽니다."
CHINESE = "明天的会议改到下午三点。"


def iso_2022_cn(text: str) -> bytes:
    """Encode Chinese text between shift-out and shift-in; Python has no such codec."""
    return b"\x1b$)A\x0e" + bytes(byte & 0x7F for byte in text.encode("gb2312")) + b"\x0f"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (JAPANESE.encode("iso2022_jp"), JAPANESE),
        ("①番 丂 ｱｲ".encode("iso2022_jp_2004", "ignore") + "ｱｲ".encode("iso2022_jp_ext"), "①番 丂 ｱｲ"),
        (b"\x1b$B-!HV\x1b(B", "①番"),
        (KOREAN.encode("iso2022_kr"), KOREAN),
        (iso_2022_cn(CHINESE) + b" ok", CHINESE + " ok"),
        (CHINESE.encode("hz"), CHINESE),
        ("Die Prüfung der Brücke – „gut“".encode("utf-7"), "Die Prüfung der Brücke – „gut“"),
        (JAPANESE.encode("utf-7"), JAPANESE),
    ],
)
def test_text_is_found_without_a_declaration(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "t.txt").write_bytes(data)
    (tmp_path / "t.html").write_bytes(b"<html><body><p>" + data.replace(b"\n", b" ") + b"</p></body></html>")
    assert read_one(tmp_path / "t.txt").text.replace("丂 ", "") == text.replace("丂 ", "")
    if not data.startswith((b"Die", b"+")):  # an equals sign of HTML ends no run of UTF-7, a slash does not begin one
        assert read_one(tmp_path / "t.html").text.replace("丂 ", "") == text.replace("丂 ", "").replace("\n", " ")


@pytest.mark.parametrize(
    "text",
    [
        '(format t "~{~a~^, ~}" names)',
        "~{NAMES~}",
        "C++ a+b-c, +ABC-, tel. +49-123 and 1+1=2",
        "colours: \x1b[31mred\x1b[0m",
        "price \x1b$ 5",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert seven_bit_codec(text.encode()) == ""
    assert decode(text.encode()) == text


def test_a_declaration_needs_no_evidence() -> None:
    assert decode(b"~{CwLl~}", "hz-gb-2312") == "明天"
    assert decode(b"Pr+APw-fung", "UTF-7") == "Prüfung"


@pytest.mark.parametrize("encoding", ["iso2022_jp", "iso2022_kr", "hz"])
def test_rows(tmp_path: Path, encoding: str) -> None:
    cells = {"iso2022_jp": JAPANESE, "iso2022_kr": "도서관은 아홉 시에 엽니다.", "hz": CHINESE}[encoding]
    rows = "".join(f"{n},{cells}\n" for n in range(3000))
    (tmp_path / "t.csv").write_bytes(("id,text\n" + rows).encode(encoding))
    documents, bad = read_all(tmp_path / "t.csv")
    assert not bad
    assert {document.text for document in documents} == {cells}
    assert len(documents) == 3000


def test_lines_are_decoded_one_by_one() -> None:
    data = (KOREAN + "\n").encode("iso2022_kr") * 5
    stream = io.TextIOWrapper(io.BytesIO(data), ISO_2022)
    stream._CHUNK_SIZE = 7  # type: ignore[attr-defined]
    assert stream.read() == (KOREAN + "\n") * 5
