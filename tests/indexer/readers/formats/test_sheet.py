"""Spreadsheets: visible sheets only."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import xlwt

from indexer.readers.formats.sheet_numbers import parse_number_format
from tests.indexer.readers.reading import headed, read_one
from tests.indexer.readers.samples import packed, workbook


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
        ("000-0000", 1234567.0, "123-4567"),
        (r"\(000\) 000\-0000", 15551234567.0, "(1555) 123-4567"),
        (r"000\-00\-0000", 12345678.0, "012-34-5678"),
        ("# ?/?", 0.5, "0.5"),
        ("0.00E+00", 1e20, "1e+20"),
    ],
)
def test_numbers_are_shown_in_their_format(code: str, value: float, shown: str) -> None:
    assert parse_number_format(code).show(value) == shown


@pytest.mark.parametrize("places", ["A1 B1 C1 D1 E1 F1", "C4 D4 E4 F4 G4 H4"])
def test_cells_are_read_as_they_are_shown(tmp_path: Path, places: str) -> None:
    pytest.importorskip("python_calamine")
    cells = (
        '<c r="A1" s="1"><v>0.125</v></c><c r="B1" s="2"><f>A1*14</f><v>1.75</v></c><c r="C1" t="e"><v>#N/A</v></c>'
        '<c r="D1" t="b"><v>1</v></c><c r="E1" t="str"><v>one_x000D_ line</v></c><c r="F1" s="3"><v>7</v></c>'
    )
    for letter, place in zip("ABCDEF", places.split(), strict=True):
        cells = cells.replace(f'r="{letter}1"', f'r="{place}"')
    formats = '<numFmt numFmtId="165" formatCode="[h]:mm"/><numFmt numFmtId="166" formatCode="000"/>'
    styles = "".join(f'<xf numFmtId="{number}" applyNumberFormat="1"/>' for number in (0, 9, 165, 166))
    (tmp_path / "b.xlsx").write_bytes(workbook(f'<row r="{places[1]}">{cells}</row>', formats, styles))
    assert read_one(tmp_path / "b.xlsx").text == "12.5% | 42:00 | #N/A | TRUE | one line | 007"


def test_cells_of_xls_are_read_as_they_are_shown(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    book = xlwt.Workbook()
    sheet = book.add_sheet("Prices")
    cells = ((0.125, "0.0%"), (7, "000"), (5, '0.0" kg"'), (1.75, "[h]:mm"), (12, "General"), (9.5, '"$"#,##0.00'))
    for column, (value, code) in enumerate(cells, start=1):
        sheet.write(2, column, value, xlwt.easyxf(num_format_str=code))
    sheet.row(2).set_cell_error(8, 0x2A)  # N/A
    sheet.write(3, 1, datetime(2024, 4, 14), xlwt.easyxf(num_format_str="D. MMM YYYY"))
    sheet.write(3, 2, True)
    book.add_sheet("Hidden").write(0, 0, "not shown")
    book.get_sheet(1).visibility = 1
    book.save(str(tmp_path / "b.xls"))
    assert read_one(tmp_path / "b.xls").text == ("12.5% | 007 | 5 kg | 42:00 | 12 | $9.5 |  | #N/A\n2024-04-14 | TRUE")


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
        (
            'MIME-Version: 1.0\nX-Document-Type: Workbook\nContent-Type: multipart/related; boundary="b"\n\n--b\n'
            "Content-Type: text/html\n\n<table><tr><td>City<td>Rain<tr><td>Bergen<td>2250</table>\n--b--\n",
            "a.xls",
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_spreadsheets_that_are_text(tmp_path: Path, text: str, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert read_one(tmp_path / name).text == "City | Rain\nBergen | 2250"


def test_numbers_of_ods_are_shown_in_their_format(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")

    def cell(kind: str, value: str, shown: str, attributes: str = "") -> str:
        name = {"time": "time-value", "date": "date-value"}.get(kind, "value")
        typed = f'office:value-type="{kind}" office:{name}="{value}"'
        return f"<table:table-cell {typed} {attributes}><text:p>{shown}</text:p></table:table-cell>"

    words = '<table:table-cell office:value-type="string"><text:p>kind</text:p></table:table-cell>'
    rows = [
        words + cell("percentage", "0.125", "12.50 %") + cell("currency", "1234.5", "1.234,50 &#8364;"),
        words + cell("time", "PT42H00M00S", "42:00") + cell("float", "7", "007", 'table:number-columns-repeated="2"'),
        '<table:table-cell table:number-columns-repeated="2"/>' + cell("date", "2024-04-14", "14. April 2024"),
    ]
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    ns = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = " ".join(f'xmlns:{name}="{ns}:{name}:1.0"' for name in ("office", "text", "table"))
    content = (
        f"<office:document-content {spaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="A &amp; B">{table}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    parts = {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "META-INF/manifest.xml": "<m/>"}
    (tmp_path / "b.ods").write_bytes(packed({**parts, "content.xml": content}))
    assert read_one(tmp_path / "b.ods").text.split("\n") == [
        "kind | 12.50 % | 1.234,50 €",
        "kind | 42:00 | 007 | 007",
        " |  | 2024-04-14",
    ]
