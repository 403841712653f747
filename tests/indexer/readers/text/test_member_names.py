"""Names of archive members: the encoding in which they are plausible."""

from __future__ import annotations

import pytest

from indexer.readers.text.member_names import member_names


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp437", ["Müller.txt", "Größe/Übersicht.txt", "pâtisserie.txt", "Ärger.md"]),
        ("cp1252", ["Schlüssel.txt"]),
        ("cp852", ["Příloha.txt", "hladina řeky.txt"]),
        ("cp1250", ["Příloha č. 3 – žádost.txt"]),
        ("cp932", ["テスト.txt", "報告書.txt", "写真/東京.txt", "ﾃｽﾄ表示.txt"]),
        ("gbk", ["水位记录.txt", "新建文件夹/文件.txt"]),
        ("cp949", ["보고서.txt", "새 폴더/문서.txt"]),
        ("big5", ["會議記錄.txt", "中文檔案.txt"]),
        ("cp866", ["Отчёт.txt", "документы/письмо.txt"]),
        ("cp1251", ["река.txt", "документы/письмо.txt"]),
        ("cp737", ["Αναφορά.txt", "Έγγραφα/λογαριασμός.txt"]),
        ("cp1253", ["έκθεση.txt", "Έγγραφα/λογαριασμός.txt"]),
        ("utf-8", ["Müller.txt", "報告書.txt"]),
    ],
)
def test_names_in_legacy_encodings(encoding: str, names: list[str]) -> None:
    assert member_names([name.encode(encoding) for name in names]) == names
    assert [member_names([name.encode(encoding)])[0] for name in names] == names


def test_names_that_no_encoding_fits_stay_names() -> None:
    assert member_names([b"a.txt", b"\xb0\xb1\xff"])[0] == "a.txt"
    assert member_names([]) == []
