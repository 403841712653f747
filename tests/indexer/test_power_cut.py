"""A power cut at each step: bytes and names that were not fsynced are lost.

The model keeps, beside the real files, what the disk would hold: a file's bytes as of its last fsync, a directory's
names as of its last fsync.  A cut leaves that, or by chance some of what came later.  (Stricter than file systems are.)
"""

from __future__ import annotations

import os
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from retrieval.index.storage.manifest import MANIFEST
from tests.indexer.faults import (
    CHANGES,
    Died,
    Faulty,
    Operation,
    add,
    allowed_states,
    bring_in,
    check_survivor,
    copied,
    delete,
    dying_at,
    garbage,
    grown,
    index,
    state,
    steps_of,
)


class Node:
    """A file or a directory: the bytes written, and the bytes that survive."""

    def __init__(self, *, directory: bool = False, durable: bytes = b"") -> None:
        self.directory = directory
        self.written = self.durable = durable


class Disk(Faulty):
    """Dies at step `fatal`, and knows what a power cut would leave."""

    def __init__(self, root: Path, fatal: int) -> None:
        super().__init__(dying_at(fatal).before)
        self.root = root
        self.names: dict[Path, Node] = {}
        for path in root.rglob("*"):
            self.names[path] = Node(directory=True) if path.is_dir() else Node(durable=path.read_bytes())
        self.durable_names = dict(self.names)

    def goes_on(self, fatal: int) -> None:
        """Another process uses the disk, and dies at its step `fatal`."""
        self.before = dying_at(fatal).before
        self.torn = False

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self.names[path] = Node()
        return descriptor

    def write(self, descriptor: int, path: Path, data: bytes | memoryview) -> int:
        try:
            return super().write(descriptor, path, data)
        finally:
            if path in self.names:
                self.names[path].written = path.read_bytes()

    def sync(self, descriptor: int, path: Path) -> None:
        super().sync(descriptor, path)
        self.names[path].durable = self.names[path].written

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        for each in {*self.names, *self.durable_names}:
            if each.parent == path:
                settle(self.durable_names, each, self.names.get(each))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.names[target] = self.names.pop(source)

    def link(self, source: Path, target: Path) -> None:
        super().link(source, target)
        self.names[target] = self.names[source]

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.names.pop(path, None)

    def make_directory(self, path: Path) -> None:
        super().make_directory(path)
        self.names.setdefault(path, Node(directory=True))

    def remove_directory(self, path: Path) -> None:
        super().remove_directory(path)
        del self.names[path]

    def cut(self, lucky: random.Random | None) -> None:
        """Leave the durable bytes and names, and some others that `lucky` chooses."""
        shutil.rmtree(self.root)
        self.root.mkdir()
        for path in sorted({*self.names, *self.durable_names}):
            sure, hoped = self.durable_names.get(path), self.names.get(path)
            node = hoped if lucky and lucky.random() < 0.5 else sure
            if node is None or not path.parent.is_dir():
                continue
            if node.directory:
                path.mkdir()
            else:
                path.write_bytes(lucky.choice(remains(node)) if lucky else node.durable)


def settle(names: dict[Path, Node], path: Path, node: Node | None) -> None:
    if node is None:
        names.pop(path, None)
    else:
        names[path] = node


def remains(node: Node) -> list[bytes]:
    """Return the possible contents of a file; an fsynced one has exactly its bytes."""
    if node.written == node.durable:
        return [node.durable]
    return [node.durable, node.written, node.written[: len(node.written) // 2], bytes(len(node.written))]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync: the tests model the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def cut_at_each_step(bench: Any, operation: Operation, seeds: list[int | None]) -> None:
    steps = steps_of(bench, operation)
    old, new = allowed_states(bench)
    for fatal in range(len(steps) + 1):
        for seed in seeds:
            victim = copied(bench, "victim")
            disk = Disk(victim.folder, fatal)
            with suppress(Died):
                operation(victim, disk)
            disk.cut(None if seed is None else random.Random(f"{seed} {fatal}"))
            if fatal == len(steps):
                assert state(victim.path) == new  # what was reported as committed is there
            check_survivor(victim, [old, new])


def test_power_cut(bench: Any) -> None:
    grown(bench)
    cut_at_each_step(bench, add, [None])


def cut_while_the_next_writer_works(
    bench: Any, operation: Operation, chances: random.Random, *, every: int = 1
) -> None:
    """Kill a writer at each step, or every few; cut the power at a random step of the next writer."""
    steps = steps_of(bench, operation)
    allowed = allowed_states(bench)
    allowed += [{**(each or {}), "z": "text of z"} for each in allowed]
    for fatal in range(0, len(steps), every):
        victim = copied(bench, "victim")
        disk = Disk(victim.folder, fatal)
        with suppress(Died):
            operation(victim, disk)
        disk.goes_on(chances.randrange(len(steps) + 20))
        with suppress(Died):
            bring_in(victim, disk)
            victim.add(victim.document("z"), files=disk)
        disk.cut(chances if chances.random() < 0.7 else None)
        check_survivor(victim, allowed)


def test_power_cut_while_the_next_writer_works(bench: Any) -> None:
    grown(bench)
    cut_while_the_next_writer_works(bench, add, random.Random(3), every=4)


def test_nothing_is_collected_before_the_manifest_is_sure(bench: Any) -> None:
    """A writer dies after it replaced the manifest and before that is durable."""
    grown(bench)
    renamed: list[bool] = []
    delete(copied(bench, "whole"), Faulty(lambda step, path: renamed.append((step, path.name) == ("rename", MANIFEST))))
    allowed = allowed_states(bench)
    for fatal in range(60):
        victim = copied(bench, "victim")
        disk = Disk(victim.folder, renamed.index(True) + 1)
        with suppress(Died):
            delete(victim, disk)
        disk.goes_on(fatal)
        with suppress(Died):
            garbage(victim, disk)
        disk.cut(random.Random(fatal))
        check_survivor(victim, allowed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("operation", [index, *CHANGES])
def test_power_cut_while_the_next_writer_works_in_every_way(bench: Any, operation: Operation, seed: int) -> None:
    if operation is not index:
        grown(bench)
    cut_while_the_next_writer_works(bench, operation, random.Random(seed))


@pytest.mark.slow
@pytest.mark.parametrize("operation", [index, *CHANGES])
def test_power_cut_in_every_way(bench: Any, operation: Operation) -> None:
    if operation is not index:
        grown(bench)
    cut_at_each_step(bench, operation, [None, *range(8)])
