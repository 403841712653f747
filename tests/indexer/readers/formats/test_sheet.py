"""Spreadsheets: visible sheets only."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.readers.formats.sheet_numbers import parse_number_format
from tests.indexer.readers.reading import headed, read_one
from tests.indexer.readers.samples import workbook


def test_hidden_sheets_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    (tmp_path / "b.xlsx").write_bytes(workbook())
    document = read_one(tmp_path / "b.xlsx")
    assert document.text == "seen"
    assert headed(document) == [("Prices", "Prices", "seen")]


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("General", 0.1 + 0.2, "0.3"),
        ("0%", 0.125, "12.5%"),
        ("0.0 %", 0.125, "12.5 %"),
        ('#,##0.00 "EUR"', 1234.5, "1234.5 EUR"),
        ("[$€-407] #,##0", 7.0, "€ 7"),
        ('_("$"* #,##0.00_);_("$"* (#,##0.00)', -5.0, "-$5"),
        ('0.0"d"', 3.5, "3.5d"),
        ("00000", 1234.0, "01234"),
        ("# ?/?", 0.5, "0.5"),
        ("0.00E+00", 1e20, "1e+20"),
    ],
)
def test_numbers_are_shown_in_their_format(code: str, value: float, shown: str) -> None:
    assert parse_number_format(code).show(value) == shown


def test_cells_are_read_as_they_are_shown(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    cells = (
        '<c r="A1" s="1"><v>0.125</v></c><c r="B1" s="2"><f>A1*14</f><v>1.75</v></c><c r="C1" t="e"><v>#N/A</v></c>'
        '<c r="D1" t="b"><v>1</v></c><c r="E1" t="str"><v>one_x000D_ line</v></c><c r="F1" s="3"><v>7</v></c>'
    )
    formats = '<numFmt numFmtId="165" formatCode="[h]:mm"/><numFmt numFmtId="166" formatCode="000"/>'
    styles = "".join(f'<xf numFmtId="{number}" applyNumberFormat="1"/>' for number in (0, 9, 165, 166))
    (tmp_path / "b.xlsx").write_bytes(workbook(f'<row r="1">{cells}</row>', formats, styles))
    assert read_one(tmp_path / "b.xlsx").text == "12.5% | 42:00 | #N/A | TRUE | one line | 007"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "<table><tr><td>City</td><td>Rain</td></tr><tr><td>Bergen</td><td>2250</td></tr></table>",
            "a.xls",
        ),
        ("City\tRain\nBergen\t2250\n", "a.xls"),
        ("City;Rain\nBergen;2250\n", "a.xlsx"),
        (
            '<?xml version="1.0"?><Workbook xmlns:ss="s"><Worksheet ss:Name="R"><Table><Row><Cell><Data>City'
            "</Data></Cell>"
            '<Cell><Data>Rain</Data></Cell></Row><Row><Cell ss:Index="1"><Data>Bergen</Data></Cell><Cell><Data>2250'
            "</Data>"
            "</Cell></Row></Table></Worksheet></Workbook>",
            "a.xml",
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_spreadsheets_that_are_text(tmp_path: Path, text: str, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert read_one(tmp_path / name).text == "City | Rain\nBergen | 2250"
