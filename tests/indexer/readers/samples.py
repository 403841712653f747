"""Small valid files that a reader can check by eye."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
import zlib

RELS = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def packed(parts: dict[str, str]) -> bytes:
    """Return a zip archive of these texts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def paragraph(text: str, style: str = "") -> str:
    """Return a paragraph of a Word document."""
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def word_file(body: str, title: str = "The title") -> bytes:
    """Return a Word document with the heading styles S1, S2, and B based on S2."""
    styles = "".join(f'<w:style w:styleId="S{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2))
    based = '<w:style w:styleId="B"><w:basedOn w:val="S2"/></w:style>'
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
            "word/styles.xml": f"<w:styles {WORD}>{styles}{based}</w:styles>",
            "docProps/core.xml": f'<cp xmlns:dc="d"><dc:title>{title}</dc:title><dc:creator>Ann</dc:creator></cp>',
        }
    )


def pdf_file(pages: list[list[str]], title: str = "") -> bytes:
    """Return a PDF of pages of lines; a page without lines has no text layer."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(pages):
        shown = " T* ".join(f"({line}) Tj" for line in lines)
        content = f"BT /F1 11 Tf 14 TL 60 740 Td {shown} ET" if lines else ""
        box = "/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} /Contents {5 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    objects.append(f"<< /Title ({title}) /Author (Ann) /CreationDate (D:20240102030405Z) >>")
    data, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(data)}\n%%EOF"
    return data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode()


def scanned(pages: list[list[str]], *, turned: bool = False) -> bytes:
    """Return a PDF with pictures of these pages; `turned` puts them upside down."""
    import pypdfium2

    document = pypdfium2.PdfDocument(pdf_file(pages))
    pictures = [page.render(scale=200 / 72, grayscale=True).to_numpy() for page in document]
    kids = " ".join(f"{3 + 3 * number} 0 R" for number in range(len(pages)))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode()]
    for number, picture in enumerate(pictures):
        first, (height, width) = 3 + 3 * number, picture.shape[:2]
        data = zlib.compress((picture[::-1, ::-1] if turned else picture).tobytes())
        names = f"/Resources << /XObject << /I {first + 2} 0 R >> >> /Contents {first + 1} 0 R"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {names} >>".encode())
        objects.append(b"<< /Length 26 >>\nstream\n612 0 0 792 0 0 cm /I Do  \nendstream")
        about = f"/Width {width} /Height {height} /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode"
        head = f"<< /Type /XObject /Subtype /Image {about} /Length {len(data)} >>\nstream\n"
        objects.append(head.encode() + data + b"\nendstream")
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % each for each in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + body + b"trailer << /Root 1 0 R >>\n%%EOF"


def workbook(rows: str = "", formats: str = "", styles: str = "") -> bytes:
    """Return a workbook with a visible sheet, with `rows` if they are given, and a hidden sheet."""
    spaces = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    cell = '<c r="A1" t="inlineStr"><is><t>%s</t></is></c>'
    sheet = f'<worksheet {spaces}><sheetData><row r="1">{cell}</row></sheetData></worksheet>'
    kind = f"{RELS[9:-1]}/worksheet"
    main = f'<Relationship Id="m" Type="{RELS[9:-1]}/officeDocument" Target="xl/workbook.xml"/>'
    links = "".join(f'<Relationship Id="r{n}" Type="{kind}" Target="worksheets/{n}.xml"/>' for n in (1, 2))
    sheets = '<sheet name="Prices" sheetId="1" r:id="r1"/><sheet name="Aid" sheetId="2" state="hidden" r:id="r2"/>'
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{package}">{main}</Relationships>',
        "xl/workbook.xml": f"<workbook {spaces} {RELS}><sheets>{sheets}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}">{links}</Relationships>',
        "xl/worksheets/1.xml": f"<worksheet {spaces}><sheetData>{rows}</sheetData></worksheet>"
        if rows
        else sheet % "seen",
        "xl/styles.xml": f"<styleSheet {spaces}><numFmts>{formats}</numFmts><cellXfs>{styles}</cellXfs></styleSheet>",
        "xl/worksheets/2.xml": sheet % "unseen",
    }
    return packed(parts)


def parquet() -> bytes:
    """Return a Parquet file of two records."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "text": ["x", "y"], "tags": [["a"], None]}), buffer)
    return buffer.getvalue()


def tar_file(parts: dict[str, str]) -> bytes:
    """Return a tar archive of these texts."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def samples() -> dict[str, bytes]:
    """Return a valid file of every format, by name."""
    cells = [{"cell_type": "markdown", "source": "# A"}, {"cell_type": "code", "source": "1", "outputs": []}]
    mail = b"From: a@example.org\nSubject: s\nDate: Mon, 01 Jan 2024 10:00:00 +0100\nMIME-Version: 1.0\n\nbody\n"
    package = '<package><manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="a"/></spine></package>'
    odt = '<c xmlns:t="t"><body><text><h>H</h><p>text</p></text></body></c>'
    show = '<p xmlns:r="r"><sldIdLst><sldId r:id="r1"/></sldIdLst></p>'
    return {
        "d.jsonl": b'{"_id": "1", "text": "x"}\n{"_id": "2", "text": "y", "n": 1}\n',
        "d.csv": b'id,text,n\n1,x,2\n2,"y\nz",3\n',
        "d.json": b'[{"id": 1, "text": "x"}]',
        "d.ipynb": json.dumps({"nbformat": 4, "cells": cells}).encode(),
        "d.txt": b"some text",
        "d.md": b"---\na: b\n---\n# H\n\n- x\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        "d.rst": b"T\n===\n\n.. note:: x\n\n   y\n",
        "d.py": b"def f():\n    pass\n",
        "d.html": b"<!doctype html><html><body><main><h1>T</h1><p>x<table><tr><td>1</table></main></body></html>",
        "d.pdf": pdf_file([["one line", "and another"], ["page two"]]),
        "d.docx": word_file(paragraph("One", "S1") + paragraph("text")),
        "d.odt": packed(
            {"mimetype": "application/vnd.oasis.opendocument.text", "META-INF/manifest.xml": "<m/>", "content.xml": odt}
        ),
        "d.epub": packed(
            {"META-INF/container.xml": '<c><rootfile full-path="p.opf"/></c>', "p.opf": package, "a.xhtml": "<p>x</p>"}
        ),
        "d.pptx": packed(
            {
                "[Content_Types].xml": "<Types/>",
                "ppt/presentation.xml": show,
                "ppt/_rels/presentation.xml.rels": '<R><R Id="r1" Target="s.xml"/></R>',
                "ppt/s.xml": "<s><sp><p><t>slide</t></p></sp></s>",
            }
        ),
        "d.odp": packed(
            {
                "mimetype": "application/vnd.oasis.opendocument.presentation",
                "META-INF/manifest.xml": "<m/>",
                "content.xml": "<c><body><presentation><page><p>slide</p></page></presentation></body></c>",
            }
        ),
        "d.xlsx": workbook(),
        "d.parquet": parquet(),
        "d.jsonl.gz": gzip.compress(b'{"id": "3", "text": "z"}\n'),
        "d.eml": mail,
        "d.mbox": b"From a Mon Jan  1 10:00:00 2024\n" + mail,
        "d.zip": packed({"a.txt": "text", "b.md": "# x"}),
        "d.tar": tar_file({"a.txt": "text", "b.md": "# x"}),
    }


def with_part(data: bytes, parts: dict[str, bytes]) -> bytes:
    """Return a zip archive with further parts, and with all namespaces in its main part."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as archive:
        for name in source.namelist():
            text = source.read(name).replace(WORD.encode(), f'{WORD} {RELS} xmlns:mc="m"'.encode())
            archive.writestr(name, text)
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()
