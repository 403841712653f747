"""A writer dies or fails at each step: the old or the new generation survives.

Every operation runs once to count its steps, and then once for each step: the process dies there (a write may be torn),
or the file system says that the disk is full from there on, or that this one step failed.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from retrieval.errors import BadDocument, StorageError
from retrieval.util.files import Files, storage_errors
from tests.indexer.faults import (
    CHANGES,
    Died,
    Faulty,
    Operation,
    add,
    allowed_states,
    check_survivor,
    copied,
    delete,
    dying_at,
    garbage,
    grown,
    index,
    merge,
    nothing_half_done,
    rollback,
    steps_of,
    update,
)

GROWING = frozenset({"create", "write", "link", "make_directory"})  # what a full disk refuses


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync: the collections at the start need not survive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def refusing(fatal: int, code: int, *, for_good: bool) -> Faulty:
    """Return a file system in which step number `fatal` fails with an error number.

    `for_good` makes all later steps that need space fail too.
    """
    numbers = itertools.count()

    def before(step: str, path: Path) -> None:
        number = next(numbers)
        if number == fatal or (for_good and number > fatal and step in GROWING):
            with storage_errors(path):
                raise OSError(code, os.strerror(code))

    return Faulty(before)


def refusal(operation: Operation, bench: Any, files: Files) -> str | None:
    """Return the error of an operation; None if it did not need the step that failed."""
    try:
        operation(bench, files)
    except StorageError as error:
        return str(error)
    return None


def die_at_each_step(bench: Any, operation: Operation) -> None:
    steps = steps_of(bench, operation)
    allowed = allowed_states(bench)
    for fatal in range(len(steps)):
        victim = copied(bench, "victim")
        with suppress(Died):
            operation(victim, dying_at(fatal))
        check_survivor(victim, allowed)


@pytest.mark.parametrize("operation", CHANGES)
def test_dying_at_any_step(bench: Any, operation: Operation) -> None:
    grown(bench)
    die_at_each_step(bench, operation)


def test_dying_at_any_step_of_a_first_build(bench: Any) -> None:
    die_at_each_step(bench, index)


def fail(bench: Any, files: Files) -> None:
    """Run a first build with a bad document before any segment is finished."""
    with bench.writer(files=files) as writer:
        bench.put(writer, [bench.document("a")])
        raise BadDocument("is no document")


def test_a_first_build_that_fails_leaves_nothing_even_where_one_died_before(bench: Any) -> None:
    steps: list[str] = []
    with pytest.raises(BadDocument):
        fail(bench, Faulty(lambda step, _: steps.append(step)))
    assert not bench.path.exists()
    for fatal in range(len(steps)):
        victim = copied(bench, "victim")
        with suppress(Died):
            fail(victim, dying_at(fatal))
        with pytest.raises(BadDocument):
            fail(victim, Files())
        left = list(victim.folder.rglob("*"))
        assert left in ([], [victim.path])  # one died before anything was in the directory: it may be the user's


CHANGING = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"})


class Auditor:
    """Records, by Python's audit hook, which paths under a folder change."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.changed: set[str] = set()
        self.on = True
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or not (event in CHANGING or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))):
            return
        paths = [os.fspath(each) for each in arguments[:2] if isinstance(each, str | os.PathLike)]
        path = paths[1] if event in ("os.rename", "os.link") else paths[0]
        if str(path).startswith(self.folder) and not str(path).endswith("lock"):
            self.changed.add(str(path))


@pytest.mark.parametrize("operation", [index, *CHANGES])
def test_every_change_of_a_file_is_a_step(bench: Any, operation: Operation) -> None:
    if operation is not index:
        grown(bench)
    stepped: set[str] = set()
    files = Faulty(lambda _, path: stepped.add(str(path)))
    auditor = Auditor(bench.folder)
    operation(bench, files)
    auditor.on = False
    assert auditor.changed
    assert auditor.changed <= stepped


@pytest.mark.parametrize(("code", "for_good"), [(errno.EIO, False), (errno.ENOSPC, True)])
@pytest.mark.parametrize(
    "operation",
    [add, *(pytest.param(each, marks=pytest.mark.slow) for each in (index, update, delete, merge, rollback, garbage))],
)
def test_being_refused_any_step(bench: Any, operation: Operation, code: int, for_good: bool) -> None:
    if operation is not index:
        grown(bench)
    steps = steps_of(bench, operation)
    allowed = allowed_states(bench)
    for fatal in range(len(steps)):
        victim = copied(bench, "victim")
        told = refusal(operation, victim, refusing(fatal, code, for_good=for_good))
        assert told is None or (os.strerror(code) in told and str(victim.folder) in told)
        assert nothing_half_done(victim.path)
        check_survivor(victim, allowed)
