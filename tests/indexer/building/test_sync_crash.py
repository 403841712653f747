"""A synchronization is killed at each step: the collection is whole, and the next one mends the rest."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.building.item_changes import SourceChanges, find_changes
from indexer.building.item_documents import ItemDocuments
from indexer.building.source_reading import BuildTally
from indexer.maintenance.verify import verify
from indexer.sources import folders
from indexer.sources.settings import SourceSettings
from indexer.sources.source_table import open_source
from indexer.writing.sync_state import ItemRecord, RecordedSource, SyncState
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import was_committed
from retrieval.util.files import Files
from tests.indexer.faults import Died, Faulty, allowed_states, copied, state

ROOT = Path(__file__).resolve().parents[3]

# What the folder holds at first, when a synchronization dies, and at last: names of files, and ids of their records.
FIRST = {"a": ["1", "2"], "b": ["3"], "gone": ["4"]}
SECOND = {"a": ["2", "5"], "b": ["3"], "new": ["6"]}
LAST = {"a": ["2"], "b": ["3"]}


class DyingState(SyncState):
    """Calls `before` ahead of each write and after it."""

    def __init__(self, collection: Path, before: Callable[[str, Path], None]) -> None:
        super().__init__(collection)
        self._before = before

    def begin(self, records: Sequence[ItemRecord]) -> None:
        self._before("begin", self.path)
        super().begin(records)
        self._before("begun", self.path)

    def finish(self, records: Sequence[ItemRecord], gone: Any, sources: dict[str, RecordedSource]) -> None:
        self._before("finish", self.path)
        super().finish(records, gone, sources)
        self._before("finished", self.path)


def write(folder: Path, content: dict[str, list[str]], version: str) -> None:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, ids in content.items():
        lines = [json.dumps({"id": each, "text": f"{each} of {version}"}) + "\n" for each in ids]
        (folder / f"{name}.jsonl").write_text("".join(lines))


def sync(bench: Any, folder: Path, files: Files | None = None, recorded: SyncState | None = None) -> None:
    """Synchronize with hand-made vectors, as the pipeline does."""
    recorded = recorded or SyncState(bench.path)
    settings = SourceSettings(source=str(folder), delete="now")
    with open_source(settings) as source:
        changes = find_changes(settings, source, *recorded.load(settings.key))
        assert isinstance(changes, SourceChanges)
        supply = ItemDocuments([(changes, source)], recorded, lambda _: None)
        with bench.writer(files=files, wait_s=10) as writer:
            documents = list(supply.documents(tally := BuildTally()))
            changed = [each for each, same in zip(documents, writer.unchanged(documents), strict=True) if not same]
            bench.put(writer, changed)
            supply.delete_gone(writer, tally)
            writer.commit()
            supply.committed(bench.path)


def ids(bench: Any) -> list[str]:
    with open_index_reader(bench.path) as reader:
        return sorted(each.id for each in reader.documents(np.flatnonzero(reader.live_documents)))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(folders, "CLOCK_SECONDS", 0.0)


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_dying_at_any_step(bench: Any, tmp_path: Path, every: int) -> None:
    folder = tmp_path / "in"
    write(folder, FIRST, "first")
    sync(bench, folder)
    write(folder, SECOND, "second")
    steps: list[str] = []
    whole = copied(bench, "whole")

    def note(step: str, path: Path) -> None:
        del path
        steps.append(step)

    sync(whole, folder, Faulty(note), DyingState(whole.path, note))
    assert {"begin", "finished", "rename"} <= set(steps)
    allowed = allowed_states(bench)
    assert ids(whole) == ["2", "3", "5", "6"]
    own = [number for number, step in enumerate(steps) if step in ("begin", "begun", "finish", "finished")]
    for fatal in sorted({*range(0, len(steps), every), *own}):
        write(folder, SECOND, "second")
        victim = copied(bench, "victim")
        numbers = itertools.count()

        def die(step: str, path: Path, fatal: int = fatal, numbers: Iterator[int] = numbers) -> None:
            if next(numbers) >= fatal:
                raise Died(step, path)

        with suppress(Died):
            sync(victim, folder, Faulty(die), DyingState(victim.path, die))
        assert state(victim.path) in allowed
        write(folder, LAST, "last")
        sync(victim, folder)
        assert (ids(victim), steps[fatal]) == (["2", "3"], steps[fatal])


WORKER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from indexer.sources import folders
from tests.indexer.building.test_sync_crash import sync
from tests.indexer.conftest import Bench, hand_made_settings
folders.CLOCK_SECONDS = 0.0
bench = Bench(Path(sys.argv[2]), hand_made_settings())
print("started", flush=True)
while True:
    sync(bench, Path(sys.argv[3]))
"""


def storm(bench: Any, folder: Path, kills: int) -> None:
    """Change the folder while a process synchronizes, and kill that process again and again."""
    dice = random.Random(4)
    write(folder, FIRST, "first")
    for number in range(kills):
        arguments = [sys.executable, "-c", WORKER, str(ROOT), str(bench.folder), str(folder)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            deadline = time.monotonic() + dice.uniform(0.0, 0.8)
            while time.monotonic() < deadline:
                name, version = dice.choice("abcd"), f"{number} {time.monotonic()}"
                lines = [
                    json.dumps({"id": f"{name}{each}", "text": version}) + "\n" for each in range(dice.randrange(3))
                ]
                (folder / "temporary").write_text("".join(lines))
                (folder / "temporary").replace(folder / f"{name}.jsonl")
            assert process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
        if was_committed(bench.path):
            assert verify(bench.path).ok
    write(folder, LAST, "last")
    sync(bench, folder)
    assert ids(bench) == ["2", "3"]


def test_a_few_kills(bench: Any, tmp_path: Path) -> None:
    storm(bench, tmp_path / "in", 2)


@pytest.mark.slow
def test_a_storm_of_kills(bench: Any, tmp_path: Path) -> None:
    storm(bench, tmp_path / "in", 60)
