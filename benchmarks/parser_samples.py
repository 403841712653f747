"""Write sample files for `benchmarks.parsers`: known difficulties, then bulk text."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from benchmarks.html_samples import write_pages

PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
ODF = "urn:oasis:names:tc:opendocument:xmlns"
ROWS = 20_000
PARAGRAPHS = 3_000
REPEATS = 300
SENTENCE = "The kettle boils at one hundred degrees, as every cook knows from long experience."


def write_samples(folder: Path) -> None:
    """Write all samples. Their content is the same each time."""
    folder.mkdir(parents=True)
    write_pages(folder)
    _zip(folder / "book.xlsx", _workbook())
    _zip(folder / "text.odt", _text())
    (folder / "guide.rst").write_text(RST + RST_BULK * REPEATS, "utf-8")
    (folder / "study.ipynb").write_text(json.dumps(_notebook()), "utf-8")
    for suffix, text in CODE.items():
        bulk = "".join(text.replace("Kettle", f"Kettle{n}").replace("boil", f"boil{n}") for n in range(REPEATS))
        (folder / f"code{suffix}").write_text(CODE_HEAD.get(suffix, "") + text + bulk, "utf-8")


def _zip(path: Path, parts: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


def _workbook() -> dict[str, str]:
    """Return a workbook with merged cells, a date, a formula, and a hidden sheet."""
    rich = "<si><r><t>rich te</t></r><r><rPr><b/></rPr><t>xt in one cell</t></r></si>"
    strings = f"<sst {SHEET}><si><t>Quarterly sales of kettles</t></si>{rich}</sst>"
    first = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="2"><c r="A2" t="s"><v>1</v></c>'
        '<c r="B2" s="1"><v>45356</v></c><c r="C2"><f>1000000+234567.5</f><v>1234567.5</v></c></row>'
        '<row r="900"><c r="Z900" t="inlineStr"><is><t>a cell far away</t></is></c></row>'
    )
    hidden = '<row r="1"><c r="A1" t="inlineStr"><is><t>helper list unseen</t></is></c></row>'
    bulk = "".join(
        f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="B{n}"><v>{n / 8}</v></c>'
        f'<c r="C{n}" t="inlineStr"><is><t>kettle number {n}</t></is></c></row>'
        for n in range(1, ROWS + 1)
    )
    states = ('name="Sales"', 'name="Aid" state="hidden"', 'name="Stock"')
    sheets = "".join(f'<sheet {about} sheetId="{n}" r:id="r{n}"/>' for n, about in enumerate(states, start=1))
    links = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in (1, 2, 3)
    )
    links += f'<Relationship Id="s" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    links += f'<Relationship Id="t" Type="{OFFICE}/styles" Target="styles.xml"/>'
    styles = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    named = {"workbook": "sheet.main", "sharedStrings": "sharedStrings", "styles": "styles"}
    named |= {f"worksheets/sheet{n}": "worksheet" for n in (1, 2, 3)}
    types = "".join(
        f'<Override PartName="/xl/{name}.xml" ContentType="{kind}.{what}+xml"/>' for name, what in named.items()
    )
    types = f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{types}'
    main = f'<Relationship Id="m" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{main}</Relationships>',
        "xl/workbook.xml": f'<workbook {SHEET} xmlns:r="{OFFICE}"><sheets>{sheets}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
        "xl/sharedStrings.xml": strings,
        "xl/styles.xml": f"<styleSheet {SHEET}>{styles}</styleSheet>",
    }
    for number, rows in enumerate((first, hidden, bulk), start=1):
        merged = '<mergeCells count="1"><mergeCell ref="A1:D1"/></mergeCells>' if number == 1 else ""
        sheet = f"<worksheet {SHEET}><sheetData>{rows}</sheetData>{merged}</worksheet>"
        parts[f"xl/worksheets/sheet{number}.xml"] = sheet
    return {name: head + text for name, text in parts.items()}


def _text() -> dict[str, str]:
    """Return an ODT with a note, a remark, deleted words, and nested tables."""
    spaces = " ".join(
        f'xmlns:{name}="{ODF}:{name}:1.0"' for name in ("office", "text", "table", "meta", "manifest", "style")
    )
    spaces += ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
    note = (
        '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>'
        "<text:p>so it says in the note</text:p></text:note-body></text:note>"
    )
    remark = "<office:annotation><dc:creator>x</dc:creator><text:p>remark of a reviewer</text:p></office:annotation>"
    deleted = (
        '<text:tracked-changes><text:changed-region text:id="c"><text:deletion><text:p>deleted words</text:p>'
        "</text:deletion></text:changed-region></text:tracked-changes>"
    )
    items = "<text:list><text:list-item><text:p>item {}</text:p>{}</text:list-item></text:list>"
    cell = "<table:table-row><table:table-cell>{}</table:table-cell></table:table-row>"
    inner = f"<table:table>{cell.format('<text:p>table in a table</text:p>')}</table:table>"
    body = (
        f'{deleted}<text:h text:outline-level="1">First chapter</text:h><text:p>Of{remark} kettles<text:s text:c="2"/>'
        f"and<text:tab/>pots{note}.</text:p>{items.format('without', items.format('within an item', ''))}"
        f'<text:h text:outline-level="2">Second chapter</text:h><table:table>{cell.format(inner)}</table:table>'
    )
    body += f"<text:p>{SENTENCE}</text:p>" * PARAGRAPHS
    kind = "application/vnd.oasis.opendocument.text"
    entry = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
    entry += '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    content = f"<office:body><office:text>{body}</office:text></office:body>"
    version = 'office:version="1.3"'
    return {
        "mimetype": kind,
        "META-INF/manifest.xml": f"{head}<manifest:manifest {spaces}>{entry}</manifest:manifest>",
        "content.xml": f"{head}<office:document-content {spaces} {version}>{content}</office:document-content>",
        "meta.xml": f"{head}<office:document-meta {spaces} {version}><office:meta/></office:document-meta>",
        "styles.xml": f"{head}<office:document-styles {spaces} {version}/>",
    }


def _notebook() -> dict[str, object]:
    """Return a notebook with text, code, outputs, a picture, and an error."""
    picture = {"text/plain": ["<Figure>"], "image/png": "iVBORw0KGgo" * 500}
    outputs: list[dict[str, object]] = [
        {"output_type": "stream", "name": "stdout", "text": ["printed by the cell\n"]},
        {
            "output_type": "execute_result",
            "execution_count": 1,
            "metadata": {},
            "data": {"text/plain": ["array([1., 1., 1.])"]},
        },
        {"output_type": "display_data", "metadata": {}, "data": picture},
        {
            "output_type": "error",
            "ename": "ValueError",
            "evalue": "too hot",
            "traceback": ["\x1b[0;31mValueError\x1b[0m: too hot"],
        },
    ]
    cells: list[dict[str, object]] = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Study of kettles\n", "\n", "Some **strong** words."]},
        {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": ["np.ones(3)"], "outputs": outputs},
    ]
    cells += [{"cell_type": "markdown", "metadata": {}, "source": [f"## Part {n}\n", SENTENCE]} for n in range(500)]
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": about, "cells": cells}


RST = """\
Guide to kettles
================

See :func:`~pkg.name`, :doc:`a page </page>` and `a link <http://example.org>`_, or |it|. Said [1]_.

.. remark for the authors

.. [1] So it says in the note.
.. |it| replace:: the kettle itself

.. note::

   Mind the steam.

.. code-block:: python
   :linenos:

   boil(*pots, **degrees)

.. only:: html

   Shown on pages.

.. list-table:: Metals
   :header-rows: 1

   * - Metal
     - Minutes
   * - Steel
     - 3

+--------+-------+
| grid a | right |
+========+=======+
| grid b | left  |
|        | lower |
+--------+-------+

"""
RST_BULK = f"""
Part
----

{SENTENCE} With ``code``, *emphasis* and **strength**.

- {SENTENCE}
- {SENTENCE}

"""
CODE_HEAD = {".go": "package main\n\n", ".py": '"""All about kettles."""\n\n', ".rs": "use std::fmt;\n\n"}
CODE = {
    ".py": """
class Kettle:
    \"\"\"It boils.\"\"\"

    def inner(self) -> int:
        return 1


async def boil(pot: Kettle) -> None:
    def deeper() -> None: ...
""",
    ".js": """
export default class Kettle {
  method() { return 1; }
}

export async function boil(pot) {
  return pot;
}
""",
    ".go": """
type Kettle struct {
	Degrees int
}

func (k *Kettle) boil(pot int) error {
	return nil
}
""",
    ".rs": """
pub struct Kettle {
    degrees: u8,
}

pub(crate) async fn boil(pot: &Kettle) -> u8 {
    pot.degrees
}
""",
    ".java": """
public final class Kettle {
    private int degrees;
    void boil(int pot) { }
}
""",
}
