"""Near-duplicate documents: equal to a comparison of all pairs of letters."""

from __future__ import annotations

import json
import random
import re
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.writing.writer import Writer
from retrieval.index.collection import duplicates
from retrieval.index.collection.duplicates import find_duplicates
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.settings import Canaries, CollectionSettings
from retrieval.types import Document, EncoderFingerprint, Passage
from retrieval.util.minhash import SHINGLE, similarities
from service.cli import app

WORDS = "winter garden squirrel rose acorn barrel propeller slipstream aspirin stroke comet tail flour yeast".split()  # noqa: SIM905
FINGERPRINT = EncoderFingerprint("none", "w", "t", "mean", True, "", "", 32, 4)


@cache
def letters(text: str) -> set[str]:
    """Return the shingles of a text: brute force."""
    spaced = "".join(f"{word} " for word in re.findall(r"[^\W_]+", text.lower()))
    padded = spaced + " " * (SHINGLE - 1)
    return {padded[start : start + SHINGLE] for start in range(len(spaced))}


def similarity(left: str, right: str) -> float:
    return len(letters(left) & letters(right)) / len(letters(left) | letters(right))


def changed(text: str, rng: random.Random) -> str:
    words = text.split()
    for _ in range(rng.randint(0, 4)):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words).upper() if rng.random() < 0.5 else ", ".join(words)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents with near copies, one without letters and one that is deleted."""
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 40))) for _ in range(120)]
    texts += [changed(rng.choice(texts), rng) for _ in range(120)]
    texts += ["…", "!", "雪が降る夜に旅人は宿を探した", "雪が降る夜に旅人は宿を探していた", texts[0]]
    made = [Document(f"d{number}", text, title="T" * (number % 2)) for number, text in enumerate(texts)]
    path = tmp_path_factory.mktemp("duplicates") / "made"
    vectors = np.eye(4, dtype=np.float32)[:1]
    settings = CollectionSettings(FINGERPRINT, "torch", "float32", Canaries(("a",), vectors), lexical=None)
    with Writer(path, create=settings) as writer:
        for block in (made[:100], made[100:]):
            writer.add(block, [[Passage(0, len(each.text))] for each in block], np.repeat(vectors, len(block), axis=0))
        writer.delete([made[-1].id])
        writer.commit()
    return path


@pytest.mark.parametrize("threshold", [0.7, 0.8, 1.0])
def test_groups_equal_brute_force(collection: Path, threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK_CHARACTERS", 2_000)  # so that several blocks are read and compared
    with open_index_reader(collection) as reader:
        groups = find_duplicates(reader, threshold)
        rows = np.flatnonzero(reader.live_documents)
        texts = dict(zip(reader.ids(rows), (f"{title} {text}" for title, text in reader.texts(rows)), strict=True))
    pairs = {
        pair: value
        for pair in combinations(texts, 2)
        if letters(texts[pair[0]]) and (value := similarity(*(texts[each] for each in pair))) >= threshold
    }
    label = {id_: id_ for id_ in texts}
    for left, right in pairs:
        old, new = label[right], label[left]
        label = {id_: new if known == old else known for id_, known in label.items()}
    expected = {frozenset(id_ for id_ in texts if label[id_] == each) for each in label.values()}
    assert {frozenset(each.id for each in group.documents) for group in groups} == {
        group for group in expected if len(group) > 1
    }
    assert [len(group.documents) for group in groups] == sorted((len(g.documents) for g in groups), reverse=True)
    for document in (document for group in groups for document in group.documents):
        known = [value for pair, value in pairs.items() if document.id in pair]
        assert threshold <= document.similarity <= max(known) + 1e-6


def test_similarity_of_known_texts() -> None:
    texts = ["Hello, World!", "hello world", "hello there", "x"]
    pairs = np.array(list(combinations(range(4), 2)))
    expected = [similarity(texts[left], texts[right]) for left, right in pairs]
    assert similarities(texts, pairs).tolist() == expected
    assert expected[0] == 1.0


def test_the_command_reports_all_groups(collection: Path) -> None:
    found = CliRunner().invoke(app, ["duplicates", str(collection), "--threshold", "0.9", "--json"])
    report = json.loads(found.stdout)
    assert (report["documents"], report["threshold"]) == (244, 0.9)
    assert {each["id"] for each in report["groups"][-1]["documents"]} <= {f"d{number}" for number in range(244)}
    shown = CliRunner().invoke(app, ["duplicates", str(collection), "--threshold", "0.9"]).stdout
    assert f"of 244 documents in {len(report['groups'])} groups" in shown
    assert CliRunner().invoke(app, ["duplicates", str(collection), "--threshold", "0.2"]).exit_code == 2
