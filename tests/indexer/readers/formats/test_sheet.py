"""Spreadsheets: visible sheets only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.indexer.readers.reading import headed, read_one
from tests.indexer.readers.samples import workbook


def test_hidden_sheets_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    (tmp_path / "b.xlsx").write_bytes(workbook())
    document = read_one(tmp_path / "b.xlsx")
    assert document.text == "seen"
    assert headed(document) == [("Prices", "Prices", "seen")]
