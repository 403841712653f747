"""PDF files in embedded fonts that tell their characters, tell them wrongly, or do not tell them."""

from __future__ import annotations

import io

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

PAGE = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 5 0 R >> >> /Contents 4 0 R >>"


def font_file(characters: str, *, with_names: bool = True) -> bytes:
    """Return a TrueType font of boxes; without names, nothing in it tells the characters."""
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", *(f"glyph{number}" for number in range(1, len(characters) + 1))]
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for point in ((50, 700), (450, 700), (450, 0)):
        pen.lineTo(point)
    pen.closePath()
    box = pen.glyph()
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, characters), names[1:], strict=True)) if with_names else {})
    builder.setupGlyf(dict.fromkeys(names, box))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (500, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost(keepGlyphNames=False)
    buffer = io.BytesIO()
    builder.save(buffer)
    return buffer.getvalue()


def glyph_pdf(lines: list[str], *, with_names: bool = True, shown_as: dict[str, str] | None = None) -> bytes:
    """Return a PDF whose text consists of glyph numbers.

    `shown_as` adds a table of characters (ToUnicode), which may be wrong.
    """
    characters = "".join(sorted(set("".join(lines))))
    glyphs = {character: number for number, character in enumerate(characters, start=1)}
    codes = ("".join(f"{glyphs[character]:04X}" for character in line) for line in lines)
    content = "BT /F1 11 Tf 14 TL 60 740 Td " + " ".join(f"<{line}> Tj T*" for line in codes) + " ET"
    font = font_file(characters, with_names=with_names)
    table = "".join(
        f"<{number:04X}> <{(shown_as or {}).get(character, character).encode('utf-16-be').hex()}>\n"
        for character, number in glyphs.items()
    )
    cmap = (
        f"begincmap 1 begincodespacerange <0000> <FFFF> endcodespacerange {len(glyphs)} beginbfchar\n{table}endbfchar"
    )
    to_unicode = "/ToUnicode 9 0 R" if shown_as is not None else ""
    return pdf_of(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            PAGE,
            stream_of(content.encode()),
            "<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Boxes /Encoding /Identity-H "
            f"/DescendantFonts [6 0 R] {to_unicode} >>",
            "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Boxes /FontDescriptor 7 0 R "
            "/CIDToGIDMap /Identity /DW 500 "
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
            "<< /Type /FontDescriptor /FontName /ABCDEF+Boxes /Flags 4 /FontBBox [0 -200 500 800] /ItalicAngle 0 "
            "/Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 /FontFile2 8 0 R >>",
            stream_of(font),
            stream_of(cmap.encode()),
        ]
    )


def text_pdf(content: str, about: str = "", font: str = "") -> bytes:
    """Return a PDF of one page with this content, in Helvetica or `font`; `about` is its metadata."""
    return pdf_of(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            PAGE,
            stream_of(content.encode("cp1252")),
            font or "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            f"<< {about} >>",
        ],
        "/Info 6 0 R",
    )


def stream_of(data: bytes) -> bytes:
    """Return a stream object."""
    return b"<< /Length %d /Length1 %d >>\nstream\n%s\nendstream" % (len(data), len(data), data)


def pdf_of(objects: list[str | bytes], trailer: str = "") -> bytes:
    """Return a PDF of these objects, the first of which is its catalog."""
    data, places = b"%PDF-1.5\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each if isinstance(each, bytes) else each.encode("latin-1"))
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    return (
        data
        + f"{end}trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF".encode()
    )
