"""reStructuredText: headings, directives, tables, notes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from indexer.readers.formats.rst import plain_text
from tests.indexer.readers.reading import headed, read_one


def read(tmp_path: Path, text: str) -> str:
    (tmp_path / "d.rst").write_text(text)
    return read_one(tmp_path / "d.rst").text


def test_restructured_text(tmp_path: Path) -> None:
    text = "Title\n=====\n\nSee :func:`~pkg.name` and `this <http://x>`_.\n\n.. note:: Mind\n   the gap.\n\n"
    text += ".. comment\n   gone\n\nPart\n----\n\n.. code-block:: python\n   :linenos:\n\n   x = 1\n"
    (tmp_path / "d.rst").write_text(text)
    document = read_one(tmp_path / "d.rst")
    assert document.title == "Title"
    assert "See pkg.name and this." in document.text
    assert "Mind" in document.text
    assert "the gap." in document.text
    assert "gone" not in document.text
    assert document.text.endswith("Part\n\nx = 1")
    assert [section.location for section in document.sections] == ["Title", "Title › Part"]


def test_tables_become_rows(tmp_path: Path) -> None:
    grid = "+----+------+\n| a  | b    |\n+====+======+\n| c  | d    |\n|    | on   |\n+----+------+\n\nafter\n"
    assert read(tmp_path, grid) == "a | b\nc | d on\n\nafter"
    simple = "====  ====\nA     B\n====  ====\none   two\n      more\n3     4\n====  ====\n\nafter\n"
    assert read(tmp_path, simple) == "A | B\none | two more\n3 | 4\n\nafter"
    listed = (
        ".. list-table:: Title\n   :header-rows: 1\n\n   * - A\n     - B\n   * - ``1``\n     - 2\n       on\n\nafter\n"
    )
    assert read(tmp_path, listed) == "Title\n\nA | B\n1 | 2 on\n\nafter"
    commas = '.. csv-table::\n   :header: A, B\n\n   1, "2, 3"\n\nafter\n'
    assert read(tmp_path, commas) == "A | B\n1 | 2, 3\n\nafter"


def test_literal_blocks_stay_as_they_are(tmp_path: Path) -> None:
    text = "Example::\n\n    x = **kwargs\n\n    y = `z`\n\nafter *it*\n\n.. code:: python\n\n   f(*a, **k)\n"
    assert read(tmp_path, text) == "Example:\n\nx = **kwargs\n\ny = `z`\n\nafter it\n\nf(*a, **k)"


def test_notes_and_substitutions(tmp_path: Path) -> None:
    text = "Said [1]_ of |it|.\n\n.. [1] By *Ann*.\n.. |it| replace:: the kettle\n.. _target:\n\n.. math:: a + b\n"
    assert read(tmp_path, text) == "Said [1] of the kettle.\n\n[1] By Ann.\n\na + b"


def test_fields_below_the_title(tmp_path: Path) -> None:
    (tmp_path / "d.rst").write_text("Title\n=====\n\n:Author: Ann\n:Date: 2024-01-02\n\nText.\n")
    document = read_one(tmp_path / "d.rst")
    assert (document.metadata["author"], document.metadata["date"]) == ("Ann", "2024-01-02")
    assert document.text == "Title\n\nText."
    assert headed(document) == [("Title", "", "Title")]


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        (r"H\ :sub:`2`\ O and *re*\ ``Structured``\ Text.", "H2O and reStructuredText."),
        (r"A \*backslash\* and \`quotes\`.", "A *backslash* and `quotes`."),
        (r"``a\b`` stays, 2*3*4 too.", r"a\b stays, 2*3*4 too."),
        ("`2`:sub: and :ref:`the title <target>`.", "2 and the title."),
        (r"*a \* b* and **strong**", "a * b and strong"),
        ("The _`target` and `a link`_.", "The target and a link."),
        ("f(*args, **kwargs)", "f(*args, **kwargs)"),
    ],
)
def test_inline_markup(tmp_path: Path, markup: str, shown: str) -> None:
    assert read(tmp_path, markup + "\n") == shown


def test_open_marks_take_linear_time() -> None:
    started = time.process_time()
    for mark in ("*a ", "**a ", "`a ", "``a ", "[a "):
        plain_text(mark * 3_000)
    assert time.process_time() - started < 10
