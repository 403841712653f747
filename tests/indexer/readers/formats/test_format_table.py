"""The table of formats: one row and one module are enough for a new format."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadOptions, WebOptions
from indexer.readers.formats import format_table
from indexer.readers.formats.format_table import FORMATS, Format
from indexer.readers.opening import open_documents
from retrieval.types import Document
from tests.indexer.readers.reading import add_format, read_one

TOY_MODULE = """
import sys
from indexer.readers.text.text_builder import ParsedDocument

def parse_toy(data, options):
    is_sandboxed = "indexer.readers.sandbox.worker" in sys.orig_argv
    return ParsedDocument(data.decode("latin-1").removeprefix("\\x89TOY"), metadata={"sandboxed": is_sandboxed})
"""


def check_toy(document: Document) -> None:
    assert document.text == "some text"
    assert document.metadata["format"] == "toy"
    assert document.metadata["sandboxed"] is True


@pytest.mark.parametrize(
    ("row", "name", "data"),
    [
        ('Format("toy", parser="toy:parse_toy", suffixes=(".toy",))', "a.toy", b"some text"),
        ('Format("toy", parser="toy:parse_toy", magic=(Magic(b"\\x89TOY"),))', "a.bin", b"\x89TOYsome text"),
    ],
    ids=["suffix", "magic"],
)
def test_a_new_row_is_detected_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, name: str, data: bytes
) -> None:
    add_format(monkeypatch, tmp_path / "site", row, TOY_MODULE)
    (tmp_path / name).write_bytes(data)
    check_toy(read_one(tmp_path / name))


class ToySite(BaseHTTPRequestHandler):
    """A site whose pages have the media type of the toy format."""

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/robots.txt" else 200)
        self.send_header("Content-Type", "text/x-toy; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"some text")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def toy_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ToySite) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_new_row_is_detected_by_media_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_site: str) -> None:
    row = 'Format("toy", parser="toy:parse_toy", media_types=("text/x-toy",))'
    add_format(monkeypatch, tmp_path / "site", row, TOY_MODULE)
    web = WebOptions(allow_private=True, delay_seconds=0.0)
    [document] = open_documents(f"{toy_site}/page", ReadOptions(web=web))
    assert isinstance(document, Document)
    check_toy(document)


def test_a_missing_parser_names_the_extra_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = 'Format("toy", parser="toy:parse_toy", suffixes=(".toy",), extra="pdf")'
    add_format(monkeypatch, tmp_path / "site", row, "")
    (tmp_path / "site" / "toy_format.py").write_text("def __getattr__(name): raise ImportError(name)\n")
    (tmp_path / "a.toy").write_bytes(b"some text")
    [bad] = open_documents(tmp_path / "a.toy")
    hint = "install them with: pip install 'fonttools>=4.40' 'pypdf>=6.0' 'pypdfium2>=5.0'"
    assert str(bad).endswith(f"reading toy files needs packages that are not installed; {hint}")


@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_each_row_has_one_function_that_can_be_imported(row: Format) -> None:
    assert bool(row.parser) != bool(row.reader)
    module, _, function = (row.parser or row.reader).partition(":")
    source = Path(format_table.__file__).parent / f"{module}.py"
    assert f"def {function}(" in source.read_text(encoding="utf-8")


def test_no_suffix_names_two_formats() -> None:
    counts = Counter(suffix for row in FORMATS.values() for suffix in row.suffixes)
    assert [suffix for suffix, count in counts.items() if count > 1] == []
