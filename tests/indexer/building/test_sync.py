"""A file that could not be read keeps its own documents, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.building.source_reading import BuildTally
from indexer.building.sync import UnreadFiles, delete_unseen
from indexer.readers import FileOutcome, FileStatus
from retrieval.index.collection.index_reader import open_index_reader

FILES = ("a.txt", "b.pdf", "docs/c.md", "box.zip/inner/d.html", "box.zip/e.txt")
RECORDS = ("7", "docs/c", "x.pdf")


def file(name: str, status: FileStatus = FileStatus.FAILED, format: str = "", bad: int = 1) -> FileOutcome:
    return FileOutcome(f"/source/{name}", status, format, "damaged", bad=bad, name=name)


@pytest.fixture
def collection(bench: Any) -> Any:
    """Return a collection of files and of records."""
    about = {"bytes": 10.0, "format": "text"}
    paths = {name: name.partition(".zip")[0] + ".zip" if ".zip" in name else name for name in FILES}
    files = [bench.document(name, path=paths[name], **about) for name in FILES]
    bench.add(*files, *(bench.document(name, path="records.jsonl") for name in RECORDS))
    return bench


def left(bench: Any, *outcomes: FileOutcome, rejected: tuple[str, ...] = (), bad: int | None = None) -> set[str]:
    """Return the documents that are left after a run that read `new.txt` only."""
    unread = UnreadFiles(lambda _outcome: None)
    for outcome in outcomes:
        unread(outcome)
    tally = BuildTally(read=1, rejected=set(rejected))
    tally.bad = sum(outcome.bad for outcome in outcomes) + len(rejected) if bad is None else bad
    with bench.writer() as writer:
        new = bench.document("new.txt")
        writer.unchanged([new])
        bench.put(writer, [new])
        delete_unseen(writer, unread, tally)
        writer.commit()
    with open_index_reader(bench.path) as reader:
        found = {name for name in (*FILES, *RECORDS) if reader.find(name) is not None}
    assert tally.kept_unseen == bool(found) == bool(tally.problems)
    return found


def test_where_all_is_read_what_is_gone_is_deleted(collection: Any) -> None:
    assert left(collection, FileOutcome("/source/new.txt", FileStatus.READ, "text", name="new.txt")) == set()


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (file("never.pdf", format="pdf"), ()),
        (file("never.png", FileStatus.SKIPPED, bad=0), ()),
        (file("b.pdf", format="pdf"), ("b.pdf",)),
        (file("b.pdf", FileStatus.SKIPPED, bad=0), ("b.pdf",)),
        (file("box.zip/inner", format="text"), ("box.zip/inner/d.html",)),
        (file("mail.eml", FileStatus.READ, "mail"), ()),
        (file("never.csv", format="csv"), RECORDS),
        (file("never.jsonl", FileStatus.READ, "jsonl"), RECORDS),
        (file("never.json", FileStatus.SKIPPED, bad=0), RECORDS),
        (file("box.zip", format="zip"), ("box.zip/inner/d.html", "box.zip/e.txt", *RECORDS)),
        (file("docs/"), ("docs/c", "docs/c.md", *RECORDS)),
        (file(""), (*FILES, *RECORDS)),
    ],
)
def test_a_file_keeps_its_own_documents(collection: Any, outcome: FileOutcome, kept: tuple[str, ...]) -> None:
    assert left(collection, outcome) == set(kept)


def test_a_sitemap_keeps_everything(collection: Any) -> None:
    url = "https://example.org/sitemap.xml"
    assert left(collection, FileOutcome(url, FileStatus.FAILED, bad=1, name=url)) == {*FILES, *RECORDS}


def test_a_rejected_document_keeps_its_earlier_version(collection: Any) -> None:
    assert left(collection, rejected=("7",)) == {"7"}


def test_a_source_that_gives_nothing_keeps_everything(collection: Any) -> None:
    assert left(collection, bad=1) == {*FILES, *RECORDS}
