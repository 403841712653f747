"""Character sets: byte order marks, UTF-8, and legacy encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.readers.text.charsets import codec_of, decode, wide_encoding
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


def test_pairs_of_surrogates_in_utf8_are_letters() -> None:
    text = "Größe 😀 und 🐟"
    cesu = "".join(map(chr, memoryview(text.encode("utf-16-le")).cast("H"))).encode("utf-8", "surrogatepass")
    assert decode(cesu) == text


def test_utf8_with_a_bad_byte_is_still_utf8(tmp_path: Path) -> None:
    text = "这是一个简单的中文文本，用于测试编码检测。"
    (tmp_path / "t.txt").write_bytes(text.encode() + b"\xff" + text.encode())
    assert read_one(tmp_path / "t.txt").text == f"{text}\ufffd{text}"


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850", "cp1252"])
@pytest.mark.parametrize("times", [1, 40])
@pytest.mark.parametrize(
    "text",
    [
        "Die Größe der Übung hängt von den Möglichkeiten ab. Wie schön!",
        "Il a mangé des crêpes près du château, où êtes-vous allés ?",
        "La città è più bella di così, perché la libertà.",
        "As crianças não são más; a emoção da manhã é única.",
        "Är det så här att åka båt på älven?",
        "Rødgrød med fløde på en æbleskive. Åen løber gennem byen.",
        "Hän käy työssä päivällä, mutta yöllä hän nukkuu.",
    ],
)
def test_encodings_of_old_systems(text: str, times: int, encoding: str) -> None:
    assert decode((text * times).encode(encoding)) == text * times


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        "id,text\n1,図書館は九時に開きます。\n2,貸出カードをお持ちください。\n",
        "Библиотека открывается в 9 часов.\n",
        "도서관은 9시에 엽니다. 카드를 가져오세요.\n",
        "تفتح المكتبة في الساعة 9.\n",
        "The library opens at nine.\n",
    ],
)
def test_wide_text_without_a_mark(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "data", [b"a\0b text with nul " * 5, b"one\0two\0", bytes(range(1, 256)) * 2, "é\0ü\0".encode()]
)
def test_other_bytes_are_not_wide(data: bytes) -> None:
    assert wide_encoding(data) == ""


def test_punctuation_of_an_old_mac() -> None:
    text = "It’s a “quoted” text – with dashes… and a café."
    assert decode(text.encode("mac_roman")) == text
    assert decode(text.encode("cp1252")) == text
    assert decode("Berlin–Paris, word—word, 5×3 ± 2, InnenÖffnung".encode("cp1252")).startswith("Berlin–Paris")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Die Schlüssel liegen bei Frau Böhm.", "cp1252"),
        ("La città è più bella di sera.", "cp1252"),
        ("Lunedì e venerdì chiuso", "cp1252"),
        ("A reunião da câmara é amanhã às dez horas.", "cp1252"),
        ("Äiti käy työssä tehtaalla.", "cp1252"),
        ("España", "cp1252"),
        ("Wstęp wolny, proszę dzwonić później.", "cp1250"),
        ("Wstęp wolny, proszę dzwonić później.", "iso8859-2"),
        ("Şimdi gidiyoruz, görüşürüz", "cp1254"),
        ("Ключи у сторожа", "cp1251"),
        ("Ключи у сторожа", "koi8-r"),
        ("Καλημέρα κόσμε", "cp1253"),
        ("שלום עולם", "cp1255"),
        ("こんにちは世界", "euc_jp"),
        ("图书馆九点开门", "gb18030"),
        ("안녕하세요 세계", "cp949"),
        ("Die Schlüssel für die Schleuse liegen bei Frau Böhm.", "cp850"),
    ],
)
def test_short_texts_in_legacy_encodings(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "head",
    [
        '<script src="a.js" charset="utf-8"></script><meta charset=iso-8859-2>',
        '<!-- <meta charset="utf-8"> --><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">',
        '<link charset="koi8-r" rel="x"><meta content="text/html; charset=ISO-8859-2" http-equiv=content-type>',
        '<meta name="about" content="charset=koi8-r"><meta charset="latin2">',
    ],
)
def test_the_declaration_of_a_page_is_in_its_meta_elements(head: str) -> None:
    page = f"<html><head>{head}</head><body><p>Źródło wody ąę</p></body></html>"
    assert decode(page.encode("iso8859-2"), declares=True) == page


def test_a_declared_encoding_wins_despite_a_bad_byte() -> None:
    text = "<?xml version='1.0' encoding='Shift_JIS'?><p>" + "来月の予算会議は第二水曜日です。" * 20
    assert decode(text.encode("cp932") + b"\xa0\xff</p>", declares=True).startswith(text)


def test_names_of_charsets() -> None:
    found = {
        name: codec_of(name) for name in ("x-sjis", "windows-949", "ISO-8859-8-I", "windows-31j", "punycode", "zlib")
    }
    assert found == {
        "x-sjis": "cp932",
        "windows-949": "cp949",
        "ISO-8859-8-I": "iso8859-8",
        "windows-31j": "cp932",
        "punycode": "",
        "zlib": "",
    }
