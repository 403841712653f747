"""Titles and authors that a person wrote stay; those of programs are left out."""

from __future__ import annotations

import pytest

from indexer.readers.text.titles import usable_author, usable_title

PLACEHOLDERS = """(anonymous)|(unspecified)|untitled|Untitled-1|UNTITLED document|Microsoft Word - x.doc|report.docx
PowerPoint Presentation|PowerPoint-Präsentation|Présentation PowerPoint|PowerPoint 演示文稿|Presentation1|Document2
C:\\docs\\draft.indd|annual_report_v2|scan0001|IMG_20240501|1-s2.0-S0012345-main|S0012-345(01)00012-3|12345|无标题|未命名
https://example.org/a|about:blank|doi:10.1000/182|Microsoft PowerPoint - weir.pptx|Full page photo|---|Sheet1|幻灯片 1
final report v3.docx|Microsoft Word - Document1|untitled.pdf|名称未設定|Dokument1|Folie 3|x.tex|(null)|[No Title]"""


@pytest.mark.parametrize("title", [each for line in PLACEHOLDERS.split("\n") for each in line.split("|")])
def test_placeholders(title: str) -> None:
    assert usable_title(title) == ""


@pytest.mark.parametrize(
    "title",
    [
        "Water levels of the river Tarn",
        "Untitled poems of Ann Brew",
        "Report of the year 2024",
        "水位报告",
        "Node.js in the mill",
        "Document analysis",
        "The slide of 1911",
    ],
)
def test_titles(title: str) -> None:
    assert usable_title(f" {title}\n") == title


def test_a_title_after_the_name_of_a_program() -> None:
    assert usable_title("Microsoft Word - Water levels of the Tarn") == "Water levels of the Tarn"


def test_authors() -> None:
    assert [usable_author(name) for name in ("(anonymous)", "unknown", "Administrator", "python-docx", "user 1")] == [
        ""
    ] * 5
    assert [usable_author(name) for name in ("Ann Brew", "Root, Ann", "王小明")] == ["Ann Brew", "Root, Ann", "王小明"]
