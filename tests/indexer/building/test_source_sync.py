"""A synchronization reads what changed, and deletes what is gone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.building.document_changes import delete_documents
from indexer.building.pipeline import build_collection
from indexer.building.source_sync import SyncReport, plan_sync, sync_collection
from indexer.maintenance.rollback import roll_back
from indexer.maintenance.verify import verify
from indexer.readers import opening
from indexer.readers.base.outcomes import FileOutcome
from indexer.sources import folders
from indexer.sources.settings import SourceSettings
from indexer.writing.sync_state import SYNC_STATE, SyncState
from retrieval.errors import CollectionLocked, CorruptCollection, InputError, SettingsError
from retrieval.index.collection.index_reader import open_index_reader

DAMAGED = "{not json\n"


def note(path: Path, text: str) -> None:
    path.write_text(json.dumps({"id": path.stem, "text": text}) + "\n")


def rows(*names: str) -> str:
    return "".join(json.dumps({"id": name, "text": f"About {name}."}) + "\n" for name in names)


@pytest.fixture(autouse=True)
def exact_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the times of files as they are: a test writes faster than a clock of a file system steps.

    One parser process is enough.
    """
    monkeypatch.setattr(folders, "CLOCK_SECONDS", 0.0)
    monkeypatch.setattr(opening, "MAX_WORKERS", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of files and of records, one of them never readable."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jsonl", "sub/b.jsonl", "gone.jsonl"):
        note(folder / name, f"The text of {name}.")
    (folder / "rows.jsonl").write_text(rows("1", "2"))
    (folder / "never.jsonl").write_text(DAMAGED)
    return folder


ALL = {"a", "b", "gone", "1", "2"}


def run(folder: Path, *, on_file: Callable[[FileOutcome], None] = lambda _: None, **settings: Any) -> SyncReport:
    allow_empty = settings.pop("allow_empty", False)
    source = SourceSettings(source=str(folder), **{"delete": "now", **settings})
    return sync_collection(folder.parent / "c", [source], on_file=on_file, allow_empty=allow_empty)


def ids(folder: Path) -> set[str]:
    with open_index_reader(folder.parent / "c") as reader:
        return {document.id for document in reader.documents(np.flatnonzero(reader.live_documents))}


def counts(report: SyncReport) -> tuple[int, int, int]:
    """Return how many items were read, are unchanged, and were deleted."""
    [source] = report.sources
    return source.read, source.unchanged, source.deleted


def test_only_what_changed_is_read(folder: Path) -> None:
    assert counts(run(folder)) == (5, 0, 0)
    assert ids(folder) == ALL
    second = run(folder)
    assert (counts(second), second.build) == ((0, 5, 0), None)
    note(folder / "a.jsonl", "Another text.")
    note(folder / "new.jsonl", "A new text.")
    (folder / "gone.jsonl").unlink()
    third = run(folder)
    assert counts(third) == (2, 3, 1)
    assert third.build is not None
    assert (third.build.encoded_texts, third.generation) == (2, 2)
    assert ids(folder) == ALL - {"gone"} | {"new"}


def test_a_record_that_a_file_no_longer_has_is_deleted(folder: Path) -> None:
    run(folder)
    (folder / "rows.jsonl").write_text(rows("2", "3"))
    run(folder)
    assert ids(folder) == ALL - {"1"} | {"3"}


def test_a_record_that_moved_to_another_file_stays(folder: Path) -> None:
    run(folder)
    (folder / "rows.jsonl").rename(folder / "moved.jsonl")
    run(folder)
    assert ids(folder) == ALL
    (folder / "other.jsonl").write_text(rows("1"))
    run(folder)
    (folder / "moved.jsonl").unlink()
    run(folder)
    assert ids(folder) == ALL - {"2"}


def test_documents_of_other_origin_stay(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(rows("own"))
    build_collection([tmp_path / "own.jsonl"], tmp_path / "c")
    run(folder)
    shutil.rmtree(folder / "sub")
    run(folder)
    assert ids(folder) == ALL - {"b"} | {"own"}


def test_delete_never(folder: Path) -> None:
    run(folder)
    (folder / "gone.jsonl").unlink()
    for _ in range(3):
        report = run(folder, delete="never")
    assert (ids(folder), counts(report)) == (ALL, (0, 4, 0))


def test_delete_after_seen_missing_twice(folder: Path) -> None:
    """A file that is back in between was not missing twice."""
    policy = {"delete": "after-seen-missing-twice"}
    run(folder, **policy)
    (folder / "gone.jsonl").unlink()
    first = run(folder, **policy)
    assert (first.sources[0].missing, ids(folder)) == (1, ALL)
    note(folder / "gone.jsonl", "The text of gone.jsonl.")
    run(folder, **policy)
    (folder / "gone.jsonl").unlink()
    assert (run(folder, **policy).sources[0].missing, ids(folder)) == (1, ALL)
    assert (counts(run(folder, **policy))[2], ids(folder)) == (1, ALL - {"gone"})


@pytest.mark.parametrize(
    ("name", "data", "kept"),
    [
        ("a.jsonl", b"", {"a"}),
        ("rows.jsonl", b"", {"1", "2"}),
        ("rows.jsonl", b'{"id": "1", "text": "New."}\n{not json\n', {"1", "2"}),
        ("sub/b.jsonl", bytes(600), {"b"}),
    ],
)
def test_a_file_that_cannot_be_read_keeps_its_own_documents_only(
    folder: Path, name: str, data: bytes, kept: set[str]
) -> None:
    run(folder)
    (folder / "gone.jsonl").unlink()
    (folder / name).write_bytes(data)
    report = run(folder)
    assert ids(folder) == ALL - {"gone"}
    assert report.sources[0].failed == 2
    (folder / name).unlink()
    run(folder)
    assert ids(folder) == ALL - {"gone"} - kept


def test_a_failed_file_is_reported_each_time_and_read_once(folder: Path) -> None:
    outcomes: list[FileOutcome] = []
    run(folder)
    report = run(folder, on_file=outcomes.append)
    assert [(outcome.name, str(outcome.status)) for outcome in outcomes] == [("never.jsonl", "failed")]
    assert (report.sources[0].failed, report.build) == (1, None)


def test_a_document_that_was_rejected_keeps_its_earlier_version(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.md").write_text(f"---\nyear: 2024\n---\nThe text of {name}.")
    run(folder)
    (folder / "a.md").write_text("---\nyear: unknown\n---\nOther text.")
    (folder / "b.md").unlink()
    report = run(folder)
    assert (ids(folder), report.sources[0].failed) == ({"a.md"}, 1)


def test_a_folder_that_vanished_or_is_empty_deletes_nothing(folder: Path) -> None:
    run(folder)
    shutil.move(folder, folder.with_name("away"))
    missing = run(folder)
    folder.mkdir()
    empty = run(folder)
    assert "the folder is missing" in missing.sources[0].error
    assert "is it mounted" in empty.sources[0].error
    assert ids(folder) == ALL
    assert counts(run(folder, allow_empty=True)) == (0, 0, 5)
    assert ids(folder) == set()


def test_a_folder_that_cannot_be_listed_keeps_what_it_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == folder / "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (folder / "gone.jsonl").unlink()
    report = run(folder)
    assert (ids(folder), report.sources[0].failed) == (ALL - {"gone"}, 2)


def test_renamed_folders_replaced_files_and_links(folder: Path) -> None:
    """An editor writes a temporary file and renames it; a link to a parent folder is not followed."""
    (folder / "sub" / "c.txt").write_text("The text of c.")
    run(folder)
    (folder / "sub").rename(folder / "renamed")
    note(folder / "a.tmp", "Saved by an editor.")
    (folder / "a.tmp").replace(folder / "a.jsonl")
    (folder / "loop").symlink_to(folder)
    report = run(folder)
    assert ids(folder) == ALL | {"renamed/c.txt"}
    assert report.build is not None
    assert (report.build.added, report.build.deleted) == (2, 1)


def test_a_file_with_an_older_time_and_the_same_size_is_read(folder: Path) -> None:
    run(folder)
    before = (folder / "a.jsonl").stat()
    note(folder / "a.jsonl", "The text of b.jsonl.")
    os.utime(folder / "a.jsonl", ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert counts(run(folder))[0] == 1


def test_a_file_that_was_just_written_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later write may not change the time of the file."""
    monkeypatch.setattr(folders, "CLOCK_SECONDS", 60.0)
    run(folder)
    assert counts(run(folder))[0] == 5
    monkeypatch.setattr(folders, "CLOCK_SECONDS", 0.0)
    assert counts(run(folder))[0] == 5
    assert counts(run(folder))[0] == 0


def test_a_rollback_lets_the_items_be_read_again(folder: Path) -> None:
    run(folder)
    note(folder / "a.jsonl", "Another text.")
    run(folder)
    roll_back(folder.parent / "c")
    report = run(folder)
    assert counts(report)[0] == 5
    assert report.build is not None
    assert report.build.added == 1


def test_other_reading_options_let_the_items_be_read_again(folder: Path) -> None:
    run(folder)
    assert counts(run(folder, title_field="id"))[0] == 5
    assert counts(run(folder, title_field="id", exclude=("rows.jsonl",))) == (0, 4, 1)


def test_a_deleted_document_comes_back_with_its_file(folder: Path) -> None:
    run(folder)
    delete_documents(folder.parent / "c", ["a"])
    run(folder)
    assert "a" not in ids(folder)
    note(folder / "a.jsonl", "Another text.")
    run(folder)
    assert "a" in ids(folder)


def test_one_source_that_fails_does_not_stop_the_others(folder: Path) -> None:
    sources = [SourceSettings(source=str(path), prefix=f"{path.name}/") for path in (folder / "no", folder)]
    report = sync_collection(folder.parent / "c", sources)
    assert [bool(each.error) for each in report.sources] == [True, False]
    assert ids(folder) == ALL


def test_a_document_of_two_sources_is_reported_and_read_again_when_one_has_it_no_longer(folder: Path) -> None:
    first, second = folder.parent / "first", folder.parent / "second"
    for path in (first, second):
        path.mkdir()
        note(path / "a.jsonl", f"The text of {path.name}.")
        note(path / f"{path.name}.jsonl", "Its own.")
    sources = [SourceSettings(source=str(path), delete="now") for path in (first, second)]
    sync_collection(folder.parent / "c", sources[:1])
    seen: list[FileOutcome] = []
    report = sync_collection(folder.parent / "c", sources, on_file=seen.append)
    assert [each.failed for each in report.sources] == [0, 1]
    [problem] = [outcome.reason for outcome in seen if outcome.reason]
    assert f"the source {first} gives its document 'a' too" in problem
    (second / "a.jsonl").unlink()
    sync_collection(folder.parent / "c", sources)
    sync_collection(folder.parent / "c", sources)
    with open_index_reader(folder.parent / "c") as reader:
        texts = {each.id: each.text for each in reader.documents(np.flatnonzero(reader.live_documents))}
    assert texts["a"] == "The text of first."


def test_two_synchronizations_at_once(folder: Path) -> None:
    run(folder)
    state = SyncState(folder.parent / "c")
    state.load(str(folder))
    note(folder / "a.jsonl", "Another text.")
    run(folder)
    with pytest.raises(CollectionLocked, match="another synchronization"):
        state.begin([])


def test_a_damaged_record_is_an_error_that_says_what_to_do(folder: Path) -> None:
    run(folder)
    path = folder.parent / "c" / SYNC_STATE
    assert verify(folder.parent / "c").ok
    path.write_bytes(b"damaged" * 100)
    assert not verify(folder.parent / "c").ok
    with pytest.raises(CorruptCollection, match="remove it: the next synchronization reads every item again"):
        run(folder)
    path.unlink()
    report = run(folder)
    assert (counts(report)[0], report.build and report.build.encoded_texts) == (5, 0)


def test_a_plan_changes_nothing(folder: Path) -> None:
    source = SourceSettings(source=str(folder))
    [planned] = plan_sync(folder.parent / "c", [source])
    assert (planned.items, planned.read, (folder.parent / "c").exists()) == (5, 5, False)


def test_a_first_run_without_documents_makes_no_collection(folder: Path) -> None:
    with pytest.raises(InputError, match="no collection was made"):
        run(folder, include=("never.jsonl",))
    assert not (folder.parent / "c" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "s4://bucket"}, "no source has the scheme s4://"),
        ({"source": "in", "query": "SELECT 1"}, "query is no setting of folders"),
    ],
)
def test_wrong_settings(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        sync_collection(tmp_path / "c", [SourceSettings(**values)])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "imaps://me:secret@host/INBOX"}, "password_env or password_file"),
        ({"source": "in", "every": "10"}, "write 30s, 10m, 2h or 1d"),
        ({"source": "in", "delete": "later"}, "after-seen-missing-twice"),
    ],
)
def test_values_that_settings_refuse(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SourceSettings(**values)


def test_too_many_items_are_an_error(folder: Path) -> None:
    assert "more than 3 items" in run(folder, items=3).sources[0].error
