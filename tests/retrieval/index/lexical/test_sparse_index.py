"""The sparse index, after any history, against dot products of quantised weights in numpy."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import InputError
from retrieval.index.lexical.impact_writer import ImpactWriter, quantise
from retrieval.index.lexical.postings_writer import open_segments
from retrieval.index.lexical.sparse_reader import SparseReader, open_sparse
from retrieval.index.storage.manifest import LEXICAL, PostingsRecord
from retrieval.index.storage.settings import SparseSettings
from retrieval.types import EncoderFingerprint, SparseVector
from tests.retrieval.index.lexical.samples import UnsyncedFiles
from tests.retrieval.index.lexical.test_writer import pruning

TOKENS = ("[CLS]", "wing", "##s", "猫", "air", "flow")
ENCODER = EncoderFingerprint("hand-made", "w", "t", "splade max", False, "", "", 32, len(TOKENS))
HOW = SparseSettings(ENCODER, scale=0.02)
WEIGHT = st.one_of(st.just(0.0), st.floats(2.0**-20, 6.0, width=32))  # a product of tiny weights would be 0
WEIGHTS = st.dictionaries(st.integers(0, 5), WEIGHT, max_size=6)
CHANGES = st.lists(
    st.tuples(st.lists(WEIGHTS, max_size=6), st.lists(st.integers(0, 20), max_size=3), st.booleans()), max_size=4
)


def vector(weights: dict[int, float]) -> SparseVector:
    terms = sorted(weights)
    return SparseVector(np.array(terms, np.int32), np.array([weights[term] for term in terms], np.float32))


@dataclass
class Weighed:
    """The expected content of an index: weights of live passages by key, and its record."""

    folder: Path
    live: dict[int, dict[int, float]] = field(default_factory=dict)
    given: list[int] = field(default_factory=list)
    record: PostingsRecord | None = None

    def change(self, add: list[dict[int, float]], delete: list[int], *, compact: bool) -> None:
        (self.folder / LEXICAL).mkdir(parents=True, exist_ok=True)
        writer = ImpactWriter(self.folder, HOW, self.record, UnsyncedFiles())
        for rank in delete:
            if self.live:
                self.live.pop(sorted(self.live)[rank % len(self.live)])
        keys = [10 + 3 * (len(self.given) + i) for i in range(len(add))]
        self.given += keys
        self.live |= dict(zip(keys, add, strict=True))
        writer.add(np.array(keys, np.uint64), [vector(each) for each in add], TOKENS)
        self.record = writer.commit(np.array(sorted(self.live), np.uint64), compact=compact)

    def open(self) -> SparseReader:
        assert self.record
        keys = np.array(self.given, np.uint64)
        return open_sparse(self.folder, self.record, HOW, keys, np.isin(keys, list(self.live)))

    def scores(self, query: dict[int, float]) -> np.ndarray:
        """Compute the score of each row by its definition; 0 for a dead row."""
        found = np.zeros(len(self.given))
        for row, key in enumerate(self.given):
            for term, weight in self.live.get(key, {}).items():
                impact = min(255, round(np.float32(weight) / np.float32(HOW.scale)))
                found[row] += query.get(term, 0.0) * HOW.scale * impact
        return found


@settings(max_examples=150, deadline=None)
@given(changes=CHANGES, query=WEIGHTS, k=st.integers(1, 8), prunes=st.booleans(), filters=st.booleans())
def test_any_history_scores_as_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[list[dict[int, float]], list[int], bool]],
    query: dict[int, float],
    k: int,
    prunes: bool,
    filters: bool,
) -> None:
    index = Weighed(tmp_path_factory.mktemp("c"))
    index.change([{1: 1.0}], [], compact=False)
    for add, delete, compact in changes:
        index.change(add, delete, compact=compact)
    allowed = np.arange(len(index.given)) % 3 != 1 if filters else None
    with pruning() if prunes else nullcontext():
        found = index.open().query({TOKENS[term]: weight for term, weight in query.items()}, allowed)
        ranking, everywhere = found.rank(k), found.score(np.arange(len(index.given)))
        matching = np.flatnonzero(found.matches()).tolist()
    expected = index.scores(query)
    assert everywhere == pytest.approx(expected, rel=1e-5, abs=1e-30)
    possible = [row for row in np.flatnonzero(everywhere > 0).tolist() if allowed is None or allowed[row]]
    assert matching == possible
    best = sorted(possible, key=lambda row: (-everywhere[row], row))[:k]
    assert ranking.rows.tolist() == best
    assert ranking.scores.tolist() == everywhere[best].tolist()


@settings(max_examples=40, deadline=None)
@given(changes=CHANGES)
def test_after_compaction_the_files_are_those_of_a_fresh_build(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[list[dict[int, float]], list[int], bool]]
) -> None:
    index = Weighed(tmp_path_factory.mktemp("c"))
    for add, delete, compact in changes:
        index.change(add, delete, compact=compact)
    index.change([], [], compact=True)
    fresh = Weighed(tmp_path_factory.mktemp("f"))
    (fresh.folder / LEXICAL).mkdir()
    writer = ImpactWriter(fresh.folder, HOW, None, UnsyncedFiles())
    keys = sorted(index.live)
    writer.add(np.array(keys, np.uint64), [vector(index.live[key]) for key in keys], TOKENS)
    fresh.record = writer.commit(np.array(keys, np.uint64))
    assert index.record
    one, other = open_segments(index.folder, index.record), open_segments(fresh.folder, fresh.record)
    assert len(one) == len(other) <= 1
    for mine, theirs in zip(one, other, strict=True):
        for name, array in mine.arrays.items():
            assert np.array_equal(array.read(), theirs.arrays[name].read())


def test_a_score_is_the_sum_of_its_terms(tmp_path: Path) -> None:
    index = Weighed(tmp_path)
    index.change([{1: 2.0, 4: 0.5}, {4: 0.004}], [], compact=False)
    found = index.open().weighted_terms({"wing": 1.5, "air": 2.0, "unknown": 1.0}, 0)
    assert [(each.term, each.query_weight) for each in found] == [("wing", 1.5), ("air", 2.0)]
    assert [each.passage_weight for each in found] == pytest.approx([2.0, 0.5])
    assert [each.score for each in found] == pytest.approx([3.0, 1.0])
    assert index.open().weighted_terms({"air": 2.0}, 1) == ()  # a weight below half a step is 0


def test_weights_are_rounded_to_steps() -> None:
    weights = np.array([0.0, 0.009, 0.011, 0.02, 1.0, 5.1, 9.0], np.float32)
    assert quantise(weights, 0.02).tolist() == [0, 0, 1, 1, 50, 255, 255]
    with pytest.raises(InputError, match="scale"):
        SparseSettings(ENCODER, scale=0.0)
