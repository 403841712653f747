"""Plain text and source code: pages, definitions, invisible characters."""

from __future__ import annotations

from pathlib import Path

from tests.indexer.readers.reading import read_one


def test_split_words_are_joined(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("The ket-\ntle boils, as a well-\nknown rule says: a well-known one.\n- item\n")
    text = "The kettle boils, as a well-known rule says: a well-known one.\n- item"
    assert read_one(tmp_path / "t.txt").text == text


def test_a_title_from_a_file_name_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd \u202ename\n.txt").write_text("text")
    assert read_one(tmp_path / "odd \u202ename\n.txt").title == "odd name"


def test_pages_of_plain_text(tmp_path: Path) -> None:
    (tmp_path / "rfc.txt").write_text("page one\n\x0cpage two\n")
    document = read_one(tmp_path / "rfc.txt")
    assert [(s.location, document.text[s.start : s.end].strip()) for s in document.sections] == [
        ("p. 1", "page one"),
        ("p. 2", "page two"),
    ]


def test_invisible_characters_are_removed(tmp_path: Path) -> None:
    seen = "in\u00adtro\u00adduc\u00adtory o\ufb03ce \u202eabc\u202c \x1b[31mred\x1b[0m \u0645\u06cc\u200c\u062e"
    for name in ("t.txt", "t.md", "t.html"):
        (tmp_path / name).write_text(seen)
        assert read_one(tmp_path / name).text == "introductory office abc red \u0645\u06cc\u200c\u062e"


def test_code_has_its_definitions_as_sections(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text('"""Doc."""\n\ndef first():\n    pass\n\nclass Second:\n    pass\n')
    document = read_one(tmp_path / "m.py")
    assert [section.location for section in document.sections] == ["", "first", "Second"]
    assert document.title == "m.py"
