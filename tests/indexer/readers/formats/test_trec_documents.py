"""Documents of TREC collections, with the fields of several collections."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.indexer.readers.reading import read_all, write_lines

NEWS = """<DOC>
<DOCNO> FT911-3 </DOCNO>
<PROFILE>_AN-BEOA7AAIFT</PROFILE>
<DATE>910514
</DATE>
<HEADLINE>
FT  14 MAY 91 / Levels of the river &amp; its weirs
</HEADLINE>
<TEXT>
<P>
The gauge at the mill&hyph;house is read at noon.
</P>
<P>The keeper <F P=105>opens</F> the gate.</P>
</TEXT>
<PUB>The Tarn Times
</PUB>
</DOC>
<DOC>
<DOCNO>FT911-4</DOCNO>
<HL>Eels</HL>
<LP>They go to sea.</LP>
<TEXT>They come &sect; back: 2 < 3.</TEXT>
</DOC><DOC><DOCNO>FT911-5</DOCNO>Text without a field</DOC>
"""


@pytest.mark.parametrize("name", ["ft911_1", "ft911.txt", "ft911.xml", "ft911_1.gz", "fr940104.0"])
def test_news(tmp_path: Path, name: str) -> None:
    data = NEWS.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    documents, bad = read_all(tmp_path / name)
    assert bad == []
    assert [document.id for document in documents] == ["FT911-3", "FT911-4", "FT911-5"]
    first, second, third = documents
    assert first.title == "FT 14 MAY 91 / Levels of the river & its weirs"
    assert first.text == "The gauge at the mill-house is read at noon.\n\nThe keeper opens the gate."
    assert first.metadata == {"profile": "_AN-BEOA7AAIFT", "date": "910514", "pub": "The Tarn Times"}
    assert (second.title, second.text) == ("Eels", "They go to sea.\n\nThey come § back: 2 < 3.")
    assert third.text == "Text without a field"


def test_web_pages_and_extracts(tmp_path: Path) -> None:
    page = "<html><head><title>Weirs</title></head><body><nav><a href=x>Home</a></nav><p>Of oak.</p></body></html>"
    lines = [
        "<DOC>",
        "<DOCNO>WTX-1</DOCNO>",
        "<DOCHDR>",
        "http://tarn.example/weirs 10.0.0.1 text/html",
        "HTTP/1.0 200 OK",
    ]
    write_lines(tmp_path / "wtx", *lines, "</DOCHDR>", page, "</DOC>")
    [document], bad = read_all(tmp_path / "wtx")
    assert bad == []
    assert (document.id, document.title, document.text) == ("WTX-1", "Weirs", "Of oak.")
    assert document.metadata["url"] == "http://tarn.example/weirs"
    extract = '<doc id="12" url="https://wiki.example/weir" title="Weir &amp; lock">\nWeir\n\nA weir is low.\n</doc>'
    write_lines(tmp_path / "wiki_00", extract)
    [document], bad = read_all(tmp_path / "wiki_00")
    assert (document.id, document.title, document.text) == ("12", "Weir & lock", "Weir\n\nA weir is low.")
    assert document.metadata["url"] == "https://wiki.example/weir"


def test_documents_without_id_or_end(tmp_path: Path) -> None:
    text = "<DOC>\n<DOCNO>1</DOCNO>\n<TEXT>one\n<DOC>\n<TEXT>two</TEXT>\n</DOC>\n<DOC>\n<DOCNO>3</DOCNO>\n</DOC>\n"
    write_lines(tmp_path / "d", text)
    [document], bad = read_all(tmp_path / "d")
    assert (document.id, document.text) == ("1", "one")
    assert [str(each).rpartition("/")[2] for each in bad] == [
        "d:4: no id: the document has no <DOCNO>",
        "d:7: document '3' has no text",
    ]


def test_a_legacy_encoding(tmp_path: Path) -> None:
    many = "".join(
        f"<DOC>\n<DOCNO>{n}</DOCNO>\n<TEXT>每天中午由管理员读取水位计的数据。</TEXT>\n</DOC>\n" for n in range(20)
    )
    (tmp_path / "d").write_bytes(many.encode("gb18030"))
    documents, _ = read_all(tmp_path / "d")
    assert {document.text for document in documents} == {"每天中午由管理员读取水位计的数据。"}
