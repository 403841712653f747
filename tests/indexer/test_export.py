"""Export a collection, index the file, and search the copy: the same answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from indexer.building.chunking import chunk
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import document_from
from indexer.writing.writer import Writer
from retrieval.errors import BadDocument
from retrieval.index.collection.export import write_export
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.settings import ChunkSettings
from retrieval.search.searcher import open_searcher
from retrieval.types import Mode, SearchRequest
from service.cli import app

REQUEST = SearchRequest("how do squirrels store acorns", k=50, exact=True, facets=("year",), count=True)
GUIDE = "# Oaks\n\nOaks are large trees.\n\n## Acorns\n\n" + "Squirrels bury acorns. They find few of them. " * 60
RECORDS = [
    {"id": "roses", "text": "Roses are thorny.", "metadata": {"year": 2001, "at": "2020-05-01", "x": {"y": [1]}}},
    {"id": "empty", "title": "No text", "text": "", "year": 2002},
    {"id": "gone", "text": "Comets have tails."},
    {"id": "wing", "title": "Wings", "text": "A wing in the slipstream. " * 200, "metadata": {"passages": "two"}},
]  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of records and a page with headings."""
    root = tmp_path_factory.mktemp("export")
    (root / "made").mkdir()
    (root / "made/guide.md").write_text(GUIDE)
    (root / "made/records.jsonl").write_text("\n".join(map(json.dumps, RECORDS)))
    build_collection([root / "made"], root / "original", BuildSettings(chunking=ChunkSettings(max_tokens=64)))
    return root / "original"


@pytest.mark.parametrize("to", ["jsonl", "parquet"])
@pytest.mark.parametrize("vectors", [False, True])
def test_a_copy_answers_like_the_original(original: Path, tmp_path: Path, to: str, vectors: bool) -> None:
    out, copy = tmp_path / f"documents.{to}", tmp_path / "copy"
    with open_index_reader(original) as reader:
        assert write_export(reader, out, to, lambda _: None, vectors=vectors) == 5
    build_collection([out], copy, BuildSettings(chunking=ChunkSettings(max_tokens=64)))
    with open_searcher(original) as first, open_searcher(copy) as second:
        for mode in (Mode.LEXICAL, Mode.DENSE, Mode.HYBRID):
            request = replace(REQUEST, mode=mode)
            expected, found = first.search(request), second.search(request)
            assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
            scores = [hit.score for hit in expected.hits]
            assert [hit.score for hit in found.hits] == pytest.approx(scores, abs=1e-6)
            assert (found.facets, found.total) == (expected.facets, expected.total)
            for mine, theirs in zip(found.hits, expected.hits, strict=True):
                assert mine.metadata == theirs.metadata
                assert [(each.text, each.location) for each in mine.passages] == [
                    (each.text, each.location) for each in theirs.passages
                ]


def test_vectors_are_those_of_the_collection(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "documents.parquet"
    original = shutil.copytree(original, tmp_path / "copy")
    with Writer(original) as writer:
        writer.delete(["gone"])
        writer.commit()
    found = CliRunner().invoke(app, ["export", str(original), "--out", str(out), "--vectors", "--json"])
    assert json.loads(found.stdout)["documents"] == 4
    rows = pq.read_table(out).to_pylist()
    with open_index_reader(original) as reader:
        for row in rows:
            document = reader.document_row(row["id"])
            vectors = reader.vectors.rows((reader.document_of == document).nonzero()[0])
            assert [passage["vector"] for passage in row["passages"]] == vectors.tolist()
    refused = CliRunner().invoke(app, ["export", str(original), "--out", str(tmp_path / "documents.csv")])
    assert refused.exit_code == 2


def test_passages_of_a_record_are_kept() -> None:
    record = {
        "id": "a",
        "text": "One. Two.",
        "passages": [{"start": 0, "end": 4}, {"start": 5, "end": 9, "heading": "B"}],
    }
    document = document_from(record, ReadOptions())
    assert [(each.start, each.end, each.heading) for each in chunk(document, None, ChunkSettings())] == [  # type: ignore[arg-type]
        (0, 4, ""),
        (5, 9, "B"),
    ]
    assert document_from({**record, "passages": ["one"]}, ReadOptions()).metadata == {"passages": ("one",)}
    for start, end in ((5, 10), (5, 4), (-1, 3)):
        with pytest.raises(BadDocument, match=r"passage 1 is .* of a text of 9 characters"):
            document_from({**record, "passages": [{"start": start, "end": end}]}, ReadOptions())
