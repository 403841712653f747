"""Read damaged files of every format for a minute, without a crash or a hang."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.samples import samples

SECONDS = 60
LIMITS = ReadLimits(wall_seconds=30, cpu_seconds=10, memory_bytes=1 << 30, text_bytes=8 << 20)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return `data` with random damage: flipped bits, missing and repeated parts."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(changed) + 1)
        size = chance.choice((1, 2, 8, 64, 512))
        kind = chance.randrange(5)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del changed[at : at + size]
        elif kind == 2:
            changed[at:at] = changed[at : at + size] * chance.choice((1, 2, 50))
        elif kind == 3:
            changed[at : at + size] = chance.randbytes(size)
        else:
            changed[at:at] = chance.choice(
                (b"\0", b"\xff\xfe", b"<" * size, b"[" * size, b'"', b"99999999999", b"%%EOF")
            )
    return bytes(changed)


def check(item: Document | BadDocument) -> None:
    if isinstance(item, BadDocument):
        assert item.path
        return
    item.text.encode()
    assert item.id
    for section in item.sections:
        assert 0 <= section.start <= section.end <= len(item.text)


def test_samples_are_valid(tmp_path: Path) -> None:
    for name, data in samples().items():
        (tmp_path / name).write_bytes(data)
    items = list(open_documents(tmp_path))
    assert [item for item in items if isinstance(item, BadDocument)] == []
    named = {str(item.metadata.get("path")).split("/")[0] for item in items if isinstance(item, Document)}
    assert named >= samples().keys() - {"d.jsonl", "d.csv", "d.json", "d.parquet", "d.jsonl.gz"}


@pytest.mark.slow
def test_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"  # other runs use the system's folder
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    until = time.monotonic() + SECONDS
    originals = samples()
    rounds = 0
    while time.monotonic() < until:
        chance = random.Random(rounds)
        folder = tmp_path / str(rounds)
        folder.mkdir()
        for number in range(20):
            for name, data in originals.items():
                (folder / f"{number}-{name}").write_bytes(mutated(data, chance))
        for item in open_documents(folder, ReadOptions(limits=LIMITS)):
            check(item)
        rounds += 1
    assert rounds
    assert list(scratch.iterdir()) == []
