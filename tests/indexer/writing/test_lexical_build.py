"""A lexical index built in the background equals the one built at the commit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.writing import pending_generation as writing
from indexer.writing.lexical_build import BackgroundLexicalBuild
from indexer.writing.pending_generation import SegmentLimits
from retrieval.errors import StorageError
from retrieval.util.files import Files

LONG = "a text that is long enough for two passages"
ALWAYS, NEVER = 0, 1_000_000


def lexical_files(bench: Any) -> list[bytes]:
    """Return the files of the newest generation's lexical index."""
    newest = max((bench.path / "lexical").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    return [path.read_bytes() for path in sorted(newest.iterdir())]


def build(bench: Any, folder: Path, *, replaced: bool, deleted: bool) -> list[bytes]:
    """Make two generations, the second from two blocks in two segments."""
    bench = replace(bench, folder=folder)
    bench.add(*(bench.document(f"old{n}", f"{LONG} {n}") for n in range(9)))
    with bench.writer(limits=SegmentLimits(passages=8)) as writer:
        bench.put(writer, [bench.document(f"new{n}", f"{LONG} and {n}") for n in range(9)])
        bench.put(writer, [bench.document("new1" if replaced else "late", "short"), bench.document("old2", LONG)])
        if deleted:
            writer.delete(["new3", "old4"])
        writer.commit()
    return lexical_files(bench)


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("deleted", [False, True])
def test_ahead_or_at_the_commit_the_files_are_the_same(
    bench: Any, monkeypatch: pytest.MonkeyPatch, replaced: bool, deleted: bool
) -> None:
    found = []
    for passages in (ALWAYS, NEVER):
        monkeypatch.setattr(writing, "BACKGROUND_LEXICAL_PASSAGES", passages)
        found.append(build(bench, bench.folder / str(passages), replaced=replaced, deleted=deleted))
    assert found[0] == found[1]


def test_a_background_build_of_other_passages_is_not_used(bench: Any) -> None:
    bench.add()
    document = bench.document("a", LONG)
    ahead = BackgroundLexicalBuild(bench.path, bench.settings.lexical, None, Files())
    ahead.add([document], [bench.cut(document)], 5)
    assert ahead.finish(np.array([5], np.uint64)) is None
    assert ahead.finish(np.array([5, 6], np.uint64)) is not None


def test_an_error_in_the_thread_ends_the_commit(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("the disk is full", path=bench.path)

    monkeypatch.setattr(writing, "BACKGROUND_LEXICAL_PASSAGES", ALWAYS)
    monkeypatch.setattr(BackgroundLexicalBuild, "_index", refuse)
    with pytest.raises(StorageError, match="the disk is full"):
        bench.add(bench.document("a"))
    monkeypatch.undo()
    assert bench.add(bench.document("a")) == 1
