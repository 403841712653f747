"""Each format gives its text, its structure and its metadata."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.readers import FileOutcome, FileReport, FileStatus, ReadOptions, open_documents
from indexer.readers.formats.dispatch import utc_date
from indexer.readers.sources.folders import walk
from retrieval.errors import BadDocument, InputError
from retrieval.types import Document
from tests.indexer.readers.reading import headed, read_one
from tests.indexer.readers.samples import packed

WALK_AS_NOBODY = """
import os, pathlib, sys, pathspec
from indexer.readers import ReadOptions, find_beir_corpus
from indexer.readers.sources.folders import walk
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.seteuid(65534)
print(find_beir_corpus(pathlib.Path("entered")))
for found in walk(pathlib.Path("."), ReadOptions()):
    print(found.origin.name, found.failed, sep=": ")
"""


def test_epub(tmp_path: Path) -> None:
    package = (
        '<package xmlns:dc="d"><metadata><dc:title>Book</dc:title><dc:language>de-AT</dc:language>'
        "<dc:creator>Ann</dc:creator><dc:creator>Bob</dc:creator></metadata>"
        "<manifest>"
        '<item id="n" href="nav.xhtml" properties="nav"/><item id="a" href="text/a.xhtml"/>'
        '<item id="b" href="text/b.xhtml"/></manifest><spine>'
        '<itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine></package>'
    )
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<c><rootfile full-path="O/p.opf"/></c>',
        "O/p.opf": package,
        "O/nav.xhtml": '<nav><a href="text/b.xhtml">Opening</a></nav>',
        "O/text/a.xhtml": "<html><body><h2>Closing</h2><p>the end</p></body></html>",
        "O/text/b.xhtml": "<html><body><p>it begins<a epub:type='noteref' href='#n'>1</a></p></body></html>",
    }
    (tmp_path / "b.epub").write_bytes(packed(parts))
    document = read_one(tmp_path / "b.epub")
    assert document.text == "it begins\n\nClosing\n\nthe end"
    assert [section.location for section in document.sections] == ["Opening", "Opening › Closing"]
    assert document.metadata["author"] == "Ann, Bob"
    assert (document.title, document.metadata["language"]) == ("Book", "de")


def test_markdown(tmp_path: Path) -> None:
    text = "---\ntitle: Named\ntags: [a, b]\ndraft: false\ndate: 2024-01-02\n---\n\n"
    text += "# Top\n\nA [link](http://x) and `code`.\n\n## Sub\n\n- one\n- two\n"
    text += "\n| h | i |\n|---|---|\n| 1 | 2 |\n\n```py\nx  = 1\n```\n"
    (tmp_path / "d.md").write_text(text)
    document = read_one(tmp_path / "d.md")
    assert document.title == "Named"
    assert document.metadata["tags"] == ("a", "b")
    assert document.metadata["draft"] is False
    assert document.metadata["date"] == "2024-01-02"
    assert document.text == "Top\n\nA link and code.\n\nSub\n- one\n- two\n\nh | i\n1 | 2\n\nx  = 1"
    assert headed(document) == [("Top", "Top", "Top"), ("Top › Sub", "Top › Sub", "Sub")]


def test_front_matter(tmp_path: Path) -> None:
    """Texts of several lines, lists, fields within fields, comments; and TOML."""
    lines = [
        'title: "Kettles: a study"',
        "summary: >",
        "  folded: text",
        "  goes on",
        "tags:",
        "  - a",
        "  - 'b: c'",
        "author:",
        "  name: Ann  # the first",
        "editors:",
        "  - name: Bob",
        "# nothing",
        "year: 2024",
    ]
    (tmp_path / "y.md").write_text("\n".join(["---", *lines, "---", "text"]))
    document = read_one(tmp_path / "y.md")
    about = {key: document.metadata[key] for key in ("summary", "tags", "author.name", "editors", "year")}
    assert about == {
        "summary": "folded: text goes on",
        "tags": ("a", "b: c"),
        "author.name": "Ann",
        "editors": ("Bob",),
        "year": 2024.0,
    }
    assert (document.title, document.text) == ("Kettles: a study", "text")
    (tmp_path / "t.md").write_text('+++\ntitle = "Hugo"\ndate = 2024-05-06\n[params]\nn = 1\n+++\ntext')
    document = read_one(tmp_path / "t.md")
    assert (document.title, document.text) == ("Hugo", "text")
    assert (document.metadata["date"], document.metadata["params.n"]) == ("2024-05-06", 1.0)


def test_markdown_with_html(tmp_path: Path) -> None:
    (tmp_path / "d.md").write_text(
        "one<br/>two &amp; <b>three</b>\n\n<!-- a <b> comment -->\n\n<p>fish &amp; chips</p>\n"
    )
    assert read_one(tmp_path / "d.md").text == "one\ntwo & three\n\nfish & chips"


def test_notebook(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "of things"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"data": {"text/plain": ["2"]}}, {"text": "printed"}]},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells, "metadata": {}}))
    document = read_one(tmp_path / "n.ipynb")
    assert (document.title, document.text) == ("Study", "Study\n\nof things\n\n1 + 1\n\n2\n\nprinted")


def test_notebook_language_and_errors(tmp_path: Path) -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": ["\x1b[0;31mValueError"]}
    cells = [
        {"cell_type": "markdown", "source": "Some short text"},
        {"cell_type": "code", "source": "import numpy as np; a = e = o = 1; as_e = a, e, o, a, e", "outputs": [error]},
        {"cell_type": "code", "source": "x", "outputs": [{"data": None}, None]},
    ]
    about = {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}}
    (tmp_path / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells, "metadata": about}))
    document = read_one(tmp_path / "n.ipynb")
    assert "ValueError: bad" in document.text
    assert document.metadata["programming_language"] == "python"
    assert "language" not in document.metadata, "code is no prose"


def test_words_parted_in_plain_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("The ket-\ntle boils, as a well-\nknown rule says: a well-known one.\n- item\n")
    text = "The kettle boils, as a well-known rule says: a well-known one.\n- item"
    assert read_one(tmp_path / "t.txt").text == text


def test_names_of_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd \u202ename\n.txt").write_text("text")
    assert read_one(tmp_path / "odd \u202ename\n.txt").title == "odd name"


def test_pages_of_plain_text(tmp_path: Path) -> None:
    (tmp_path / "rfc.txt").write_text("page one\n\x0cpage two\n")
    document = read_one(tmp_path / "rfc.txt")
    assert [(s.location, document.text[s.start : s.end].strip()) for s in document.sections] == [
        ("p. 1", "page one"),
        ("p. 2", "page two"),
    ]


def test_what_is_not_seen_is_not_kept(tmp_path: Path) -> None:
    seen = "in\u00adtro\u00adduc\u00adtory o\ufb03ce \u202eabc\u202c \x1b[31mred\x1b[0m \u0645\u06cc\u200c\u062e"
    for name in ("t.txt", "t.md", "t.html"):
        (tmp_path / name).write_text(seen)
        assert read_one(tmp_path / name).text == "introductory office abc red \u0645\u06cc\u200c\u062e"


def test_code_has_its_definitions_as_sections(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text('"""Doc."""\n\ndef first():\n    pass\n\nclass Second:\n    pass\n')
    document = read_one(tmp_path / "m.py")
    assert [section.location for section in document.sections] == ["", "first", "Second"]
    assert document.title == "m.py"


def test_json_list_object_and_anything(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"id": 1, "text": "x"}, {"id": 2}, 3]')
    first, no_text, no_object = open_documents(tmp_path / "a.json")
    assert isinstance(first, Document)
    assert isinstance(no_text, BadDocument)
    assert isinstance(no_object, BadDocument)
    assert (no_text.line, no_object.line) == (2, 3)
    (tmp_path / "b.json").write_text('{"data": [{"id": 1, "text": "x"}]}')
    assert read_one(tmp_path / "b.json").id == "1"
    (tmp_path / "c.json").write_text('{"some": {"setting": true}}')
    assert '"setting": true' in read_one(tmp_path / "c.json").text


def archives(folder: Path) -> Iterator[Path]:
    parts = {
        "in/a.md": "# A\n\ntext",
        "in/r.jsonl": '{"id": "r", "text": "x"}\n{',
        "in/p.png": "\x89PNG",
        ".hidden.md": "h",
    }
    (folder / "z.zip").write_bytes(packed(parts))
    yield folder / "z.zip"
    with tarfile.open(folder / "t.tgz", "w:gz") as archive:
        for name, text in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("in/link.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    yield folder / "t.tgz"


def test_archives(tmp_path: Path) -> None:
    for path in archives(tmp_path):
        items = list(open_documents(path))
        documents = [item for item in items if isinstance(item, Document)]
        assert [d.id for d in documents] == [f"{path.name}/in/a.md", "r"]
        assert documents[0].metadata["path"] == f"{path.name}/in/a.md"
        [bad] = [item for item in items if isinstance(item, BadDocument)]
        assert f"{path}/in/r.jsonl:2: not JSON" in str(bad)


def test_an_odd_member_ends_alone(tmp_path: Path) -> None:
    parts = {
        "a.txt": "first",
        "b.ipynb": '{"nbformat": 3, "worksheets": 5}',
        "c.json": '{"x":' + "[" * 988 + "]" * 988 + "}",
        "d.txt": "last",
    }
    (tmp_path / "odd.zip").write_bytes(packed(parts))
    first, *odd, last = open_documents(tmp_path / "odd.zip")
    assert [getattr(each, "text", "") for each in (first, last)] == ["first", "last"]
    assert "odd.zip/b.ipynb: damaged or unreadable: TypeError" in str(odd[0])


def test_dates_that_are_none(tmp_path: Path) -> None:
    """A year beyond 9999, as damaged disks and archives have: the file is read, without its date."""
    (tmp_path / "a.txt").write_text("Some text")
    with contextlib.suppress(OSError):  # there are disks that keep no such date
        os.utime(tmp_path / "a.txt", (1e12, 1e12))
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("c.txt")
        member.size, member.mtime = 5, 10**13
        archive.addfile(member, io.BytesIO(b"hello"))
    one, other = open_documents(tmp_path)
    assert isinstance(one, Document)
    assert isinstance(other, Document)
    assert one.text == "Some text"
    assert "modified" not in other.metadata
    assert [utc_date(seconds) for seconds in (0, 1e12, float("nan"))] == ["1970-01-01T00:00:00+00:00", "", ""]


def test_gzipped_document(tmp_path: Path) -> None:
    (tmp_path / "d.md.gz").write_bytes(gzip.compress(b"# Zipped\n\ntext"))
    assert read_one(tmp_path / "d.md.gz").title == "Zipped"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("schön".encode("utf-16"), "schön"),
        ("schön und gut, oder".encode("utf-16-le"), "schön und gut, oder"),
        ("Der Käse kostet 5 €.".encode("cp1252"), "Der Käse kostet 5 €."),
        ("un café".encode("cp1252"), "un café"),
        (b"x" * 300_000 + "é".encode("cp1252"), "x" * 300_000 + "é"),
        ("这是一个简单的中文文本，用于测试编码检测。".encode("gb18030"), "这是一个简单的中文文本，用于测试编码检测。"),
        (
            "Привет, как дела? Это обычный русский текст.".encode("cp1251"),
            "Привет, как дела? Это обычный русский текст.",
        ),
        (b"\xef\xbb\xbfmark\r\nline", "mark\nline"),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "t.txt").write_bytes(data)
    assert read_one(tmp_path / "t.txt").text == text


def test_utf8_with_a_bad_byte_is_still_utf8(tmp_path: Path) -> None:
    text = "这是一个简单的中文文本，用于测试编码检测。"
    (tmp_path / "t.txt").write_bytes(text.encode() + b"\xff" + text.encode())
    assert read_one(tmp_path / "t.txt").text == f"{text}\ufffd{text}"


def test_folder_walk(tmp_path: Path) -> None:
    files = ("b/x.md", "a.txt", ".hidden/y.md", "b/skip.log", "b/keep.log", "out/z.md", "node_modules/n.md", "p.png")
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" if name == "p.png" else b"# Some text")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\nout/\n")
    (tmp_path / "link.md").symlink_to(tmp_path / "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "nothing.txt").touch()
    heard: list[FileOutcome] = []

    def names(options: ReadOptions) -> list[str]:
        heard.clear()
        return [item.id for item in open_documents(tmp_path, options, heard.append) if isinstance(item, Document)]

    assert names(ReadOptions()) == ["a.txt", "b/keep.log", "b/x.md"]
    assert [(o.path, o.status) for o in heard if o.status is not FileStatus.READ] == [
        (str(tmp_path / "nothing.txt"), FileStatus.SKIPPED),
        (str(tmp_path / "p.png"), FileStatus.SKIPPED),
    ]
    assert names(ReadOptions(include=("*.md",), hidden=True)) == [".hidden/y.md", "b/x.md"]
    assert names(ReadOptions(exclude=("b/",), ignore_files=False, id_prefix="n/")) == ["n/a.txt", "n/out/z.md"]


@pytest.mark.parametrize("content", [("txt", "Some text"), ("jsonl", "not JSON"), ("pdf", "%PDF-1.4")])
def test_names_that_are_no_text(tmp_path: Path, content: tuple[str, str]) -> None:
    """Old disks and archives have them in other encodings than UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/caf\xe9." + content[0].encode()))
    path.parent.mkdir()
    path.write_text(content[1])
    with FileReport(tmp_path / "report.jsonl") as report:
        [item] = open_documents(path.parent, on_file=report)
    [line] = (tmp_path / "report.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["path"] == f"{tmp_path}/in/caf\\xe9.{content[0]}"
    if isinstance(item, Document):
        assert (item.id, item.title, item.metadata["path"]) == ("caf\\xe9.txt", "caf\\xe9", "caf\\xe9.txt")
        assert item.text == "Some text"
    else:
        assert str(item).startswith(f"{tmp_path}/in/caf\\xe9.{content[0]}")


def test_patterns_that_are_none(tmp_path: Path) -> None:
    """What git does not understand in an ignore file it leaves out; the caller's own slip is named."""
    for name in ("a.txt", "b.log"):
        (tmp_path / name).write_text("Some text")
    (tmp_path / ".gitignore").write_text("!\n*.log\na\\\n")
    assert [each.origin.name for each in walk(tmp_path, ReadOptions())] == ["a.txt"]
    with pytest.raises(InputError, match="'!' is not a pattern"):
        open_documents(tmp_path, ReadOptions(exclude=("!",)))


def test_what_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    """A folder too deep for the system's calls stands for all that cannot be listed: it fails, its siblings do not."""
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=deep)
        outer, deep = deep, os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
        os.close(outer)
    os.close(deep)
    (tmp_path / "e.txt").write_text("Some text")
    heard: list[FileOutcome] = []
    bad, document = open_documents(tmp_path, on_file=heard.append)
    assert isinstance(document, Document)
    assert "cannot be listed: File name too long" in str(bad)
    assert [outcome.status for outcome in heard] == [FileStatus.FAILED, FileStatus.READ]


def test_folders_and_ignore_files_without_permission(tmp_path: Path) -> None:
    for name in ("shut", "entered", "silent", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text("Some text")
    tmp_path.chmod(0o755)
    (tmp_path / "silent" / ".gitignore").touch(mode=0)
    (tmp_path / "entered").chmod(0o644)  # its names can be read, and nothing else
    (tmp_path / "shut").chmod(0)
    command = [sys.executable, "-c", WALK_AS_NOBODY, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    for name in ("entered", "shut"):
        (tmp_path / name).chmod(0o755)
    assert found == [
        "None",
        "entered: cannot be listed: Permission denied",
        "open/x.txt: ",
        "shut: cannot be listed: Permission denied",
        "silent/: its .gitignore cannot be read: Permission denied",
    ]


def test_file_metadata_and_language(tmp_path: Path) -> None:
    path = tmp_path / "brief.txt"
    path.write_text("Dies ist ein Brief in deutscher Sprache, der lang genug ist, um seine Sprache zu erkennen. " * 2)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    metadata = read_one(path).metadata
    assert metadata["modified"] == "2023-11-14T22:13:20+00:00"
    assert metadata["bytes"] == float(path.stat().st_size)
    assert (metadata["path"], metadata["format"], metadata["language"]) == ("brief.txt", "text", "de")


def test_missing_parser_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "d.pdf").write_bytes(b"%PDF-1.4")
    [bad] = open_documents(tmp_path / "d.pdf")
    assert "damaged" in str(bad)
