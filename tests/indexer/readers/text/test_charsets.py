"""Character sets: byte order marks, UTF-8, and legacy encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.indexer.readers.reading import read_one


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("schön".encode("utf-16"), "schön"),
        ("schön und gut, oder".encode("utf-16-le"), "schön und gut, oder"),
        ("Der Käse kostet 5 €.".encode("cp1252"), "Der Käse kostet 5 €."),
        ("un café".encode("cp1252"), "un café"),
        (b"x" * 300_000 + "é".encode("cp1252"), "x" * 300_000 + "é"),
        ("这是一个简单的中文文本，用于测试编码检测。".encode("gb18030"), "这是一个简单的中文文本，用于测试编码检测。"),
        (
            "Привет, как дела? Это обычный русский текст.".encode("cp1251"),
            "Привет, как дела? Это обычный русский текст.",
        ),
        (b"\xef\xbb\xbfmark\r\nline", "mark\nline"),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "t.txt").write_bytes(data)
    assert read_one(tmp_path / "t.txt").text == text


def test_utf8_with_a_bad_byte_is_still_utf8(tmp_path: Path) -> None:
    text = "这是一个简单的中文文本，用于测试编码检测。"
    (tmp_path / "t.txt").write_bytes(text.encode() + b"\xff" + text.encode())
    assert read_one(tmp_path / "t.txt").text == f"{text}\ufffd{text}"
