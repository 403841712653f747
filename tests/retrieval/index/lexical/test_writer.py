"""The lexical index, after any history, against BM25 in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import BadQuery, CorruptCollection
from retrieval.index.lexical import inverter as inversion
from retrieval.index.lexical import postings_merge, term_scores
from retrieval.index.lexical import reader as lexical_reader
from retrieval.index.lexical import writer as lexical
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrases import ParsedQuery, parse_query
from retrieval.index.lexical.postings_writer import open_segments
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.writer import LexicalWriter, open_lexical
from retrieval.index.storage.manifest import LEXICAL, PostingsRecord
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Syntax
from tests.retrieval.index.lexical.samples import UnsyncedFiles

PLAIN = LexicalSettings(language="none")


@dataclass
class Passages:
    """The expected content of an index: live passages by key, and its record."""

    folder: Path
    settings: LexicalSettings = PLAIN
    live: dict[int, tuple[str, str]] = field(default_factory=dict)
    given: list[int] = field(default_factory=list)  # keys of all rows, dead ones included
    record: PostingsRecord | None = None

    def change(self, add: list[tuple[str, str]], delete: list[int] = [], *, compact: bool = False) -> None:  # noqa: B006
        """Add passages, delete live ones by their rank, and commit."""
        (self.folder / LEXICAL).mkdir(exist_ok=True)
        writer = LexicalWriter(self.folder, self.settings, self.record, UnsyncedFiles())
        for rank in delete:
            if self.live:
                self.live.pop(sorted(self.live)[rank % len(self.live)])
        for title, text in add:
            key = 10 + 3 * len(self.given)
            self.given.append(key)
            self.live[key] = (title, text)
        new = np.array([key for key in self.given[len(self.given) - len(add) :] if key in self.live], dtype=np.uint64)
        writer.add(new, *zip(*(self.live[int(key)] for key in new), strict=True) if len(new) else ((), ()))
        self.record = writer.commit(np.array(sorted(self.live), dtype=np.uint64), compact=compact)

    def open(self) -> LexicalReader:
        assert self.record
        keys = np.array(self.given, dtype=np.uint64)
        return open_lexical(self.folder, self.record, self.settings, keys, np.isin(keys, list(self.live)))

    def brute_force(self, query: str) -> dict[int, float]:
        """Compute BM25 of the live rows that have a term of the query, by row."""
        analyzer = Analyzer(self.settings.language)
        k1, weight = self.settings.k1, self.settings.title_weight
        found: dict[int, Counter[str]] = {}
        for key, (title, text) in self.live.items():
            found[key] = Counter(analyzer.terms(analyzer.split(text)))
            for term in analyzer.terms(analyzer.split(title)):
                found[key][term] += weight  # type: ignore[assignment]
        average = sum(sum(each.values()) for each in found.values()) / max(1, len(found))
        b = self.settings.b * average**2 / (average**2 + self.settings.short**2) if average else 0.0
        scores: dict[int, float] = {}
        for term, times in Counter(analyzer.terms(analyzer.split(query))).items():
            frequency = sum(term in each for each in found.values())
            idf = math.log(1 + (len(found) - frequency + 0.5) / (frequency + 0.5))
            for key, each in found.items():
                if term in each:
                    norm = k1 * (1 - b + b * sum(each.values()) / average)
                    part = times * idf * (k1 + 1) * each[term] / (each[term] + norm)
                    row = self.given.index(key)
                    scores[row] = scores.get(row, 0.0) + part
        return scores


@contextmanager
def pruning() -> Iterator[None]:
    """Use the MaxScore scorer, even for few passages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_scores, "_EXHAUSTIVE_LIMIT", 0)
        yield


def ranked(index: LexicalReader, query: str, k: int = 10, allowed: np.ndarray | None = None) -> list[int]:
    return index.search(ParsedQuery(query), k, allowed=allowed).rows.tolist()


def obeyed(index: LexicalReader, query: str) -> list[int]:
    """Rank with the operators of a query."""
    return index.search(parse_query(query, Syntax.OPERATORS), 10).rows.tolist()


@pytest.fixture
def animals(tmp_path: Path) -> Passages:
    passages = Passages(tmp_path, LexicalSettings(stop_words="none"))
    passages.change(
        [
            ("Cats", "A cat sleeps. The cat purrs."),
            ("Dogs", "A dog barks at the cat, and str.rstrip removes blanks"),
            ("", "个体工商户可以起字号"),
            ("Tools", "snake_case and camelCase in C++"),
            ("", ""),
            ("Birds", "The birds sing: to be or not to be"),
        ]
    )
    return passages


def test_words_rank_passages(animals: Passages) -> None:
    index = animals.open()
    assert ranked(index, "cats") == [0, 1]
    assert ranked(index, "工商户") == [2]
    assert ranked(index, "工業") == [2]  # one character of the two
    assert ranked(index, "rstrip") == ranked(index, "str.rstrip") == [1]
    assert ranked(index, "camel") == ranked(index, "c++") == ranked(index, "SNAKE_CASE") == [3]
    assert set(ranked(index, "the to be or not")) == {0, 1, 5}
    assert ranked(index, "unheard-of") == []


def test_phrases_and_exclusions(animals: Passages) -> None:
    index = animals.open()
    assert obeyed(index, '"the cat"') == [0, 1]
    assert obeyed(index, '"cat sleeps" dog') == [0]
    assert obeyed(index, '"sleeps cat"') == []
    assert obeyed(index, '"cats a"') == []  # title and text do not touch
    assert obeyed(index, '"not to be"') == [5]
    assert obeyed(index, "“not to be” cat") != [5]  # prose, not an operator
    assert obeyed(index, '"snake case"') == [3]
    assert obeyed(index, '"个体工商户"') == [2]
    assert obeyed(index, '"个工"') == []
    assert obeyed(index, "cat -dogs") == [0]
    assert obeyed(index, 'cat -"cat purrs"') == [1]
    assert obeyed(index, "-cat") == []
    assert obeyed(index, '"cat') == [0, 1]
    assert obeyed(index, '"..." cat') == [0, 1]


@pytest.mark.parametrize(
    "query", ["", " ", "\x00\x1e\x07", "😀😀", '"' * 10_000, "\u202e\u200f", "-", "--", '""', "\ud800"]
)
def test_queries_without_words_find_nothing(animals: Passages, query: str) -> None:
    index = animals.open()
    assert ranked(index, query) == obeyed(index, query) == []
    assert index.score(ParsedQuery(query), np.array([0, 1])).tolist() == [0.0, 0.0]


def test_too_many_phrases_are_refused(animals: Passages) -> None:
    with pytest.raises(BadQuery, match="at most 64"):
        obeyed(animals.open(), " ".join(f'"cat {i}"' for i in range(100)))


def test_a_word_in_the_title_weighs_more(tmp_path: Path) -> None:
    passages = Passages(tmp_path, LexicalSettings(title_weight=3.0))
    passages.change([("x y", "cat dog"), ("cat y", "x dog")])
    assert ranked(passages.open(), "cat") == [1, 0]


def test_parts_add_up(animals: Passages) -> None:
    index = animals.open()
    query = ParsedQuery("the cat str.rstrip cat")
    parts = index.term_parts(query, 1)
    assert [part.term for part in parts] == ["the", "cat", "str.rstrip", "str", "rstrip"]
    assert sum(part.score for part in parts) == pytest.approx(index.score(query, np.array([1]))[0])


def test_terms_worth_showing(tmp_path: Path) -> None:
    passages = Passages(tmp_path, LexicalSettings(stop_words="none"))
    passages.change([("", f"the cat number {i} 个体户") for i in range(90)] + [("", "the dog 体")] * 300)
    index = passages.open()
    # "and" is nowhere, "the" and "dog" are nearly everywhere
    assert index.telling_terms(ParsedQuery("the cats and dogs")) == {"cat"}
    assert index.telling_terms(ParsedQuery("the")) == {"the"}
    assert index.telling_terms(ParsedQuery("个体户")) == {"个体", "体户"}
    assert index.telling_terms(ParsedQuery("个")) == {"个"}


def test_terms_are_forgotten_before_they_hold_too_many_rows(animals: Passages, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = ("cats and dogs", "the birds", "a cat", "birds to be", "dogs bark")
    expected = [ranked(animals.open(), query) for query in queries]
    monkeypatch.setattr(lexical_reader, "_MAX_CACHED_ROWS", 3 * lexical_reader._ROWS_PER_TERM + 3)
    index = animals.open()
    for _ in range(2):
        assert [ranked(index, query) for query in queries] == expected
    assert 0 < len(index._term_scores) < 4


def test_an_index_of_nothing(tmp_path: Path) -> None:
    passages = Passages(tmp_path)
    passages.change([])
    assert ranked(passages.open(), "cat") == []
    passages.change([("", "cat")])
    passages.change([], [0])
    assert ranked(passages.open(), "cat") == []


def test_nothing_to_change_makes_nothing(animals: Passages) -> None:
    before = animals.record
    animals.change([], [0])
    assert animals.record == before
    assert ranked(animals.open(), "cats") == [1]


def test_deleted_words_leave_the_disk(tmp_path: Path) -> None:
    passages = Passages(tmp_path)
    passages.change([("", "ordinary words"), ("", "zyzzyva"), ("", "more of them")])
    passages.change([], [1], compact=True)
    assert passages.record
    folder = tmp_path / LEXICAL / passages.record.name
    assert not any(b"zyzzyva" in file.read_bytes() for file in folder.iterdir())
    assert b"ordinary" in (folder / "000002-terms.npy").read_bytes()


def test_small_changes_leave_large_segments_as_they_are(tmp_path: Path) -> None:
    passages = Passages(tmp_path)
    passages.change([("", f"word{i}") for i in range(100)])
    assert passages.record
    inodes = {file.stat().st_ino for file in (tmp_path / LEXICAL / passages.record.name).iterdir()}
    for i in range(10):
        passages.change([("", f"new {i}")])
    names = {file.name.partition("-")[0] for file in (tmp_path / LEXICAL / passages.record.name).iterdir()}
    assert inodes < {file.stat().st_ino for file in (tmp_path / LEXICAL / passages.record.name).iterdir()}
    assert len(names) <= 4
    assert ranked(passages.open(), "new 7", 1) == [107]


def test_damage_is_noticed(animals: Passages) -> None:
    assert animals.record
    for record in animals.record.files:
        path = animals.folder / LEXICAL / animals.record.name / record.name
        whole = path.read_bytes()
        for place in range(0, len(whole), 37):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            with pytest.raises(CorruptCollection):
                animals.open().matches(parse_query('the cat "the cat"', Syntax.OPERATORS))
        path.write_bytes(whole[:-1])
        with pytest.raises(CorruptCollection):
            animals.open()
        path.write_bytes(whole)
    assert ranked(animals.open(), "cats") == [0, 1]


WORDS = st.sampled_from(["a", "b", "c", "d.e", "fG", "个体", "体个"])
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)
PASSAGE = st.tuples(st.lists(WORDS, max_size=2).map(" ".join), TEXTS)
CHANGES = st.lists(
    st.tuples(st.lists(PASSAGE, max_size=6), st.lists(st.integers(0, 9), max_size=3), st.booleans()),
    min_size=1,
    max_size=5,
)
SETTINGS = st.builds(
    LexicalSettings,
    language=st.just("none"),
    k1=st.sampled_from([0.0, 0.9, 1.5]),
    b=st.sampled_from([0.0, 0.75, 1.0]),
    title_weight=st.sampled_from([0.5, 1.0, 3.0]),
    short=st.sampled_from([0.0, 2.0, 45.0]),
)


@settings(max_examples=120, deadline=None)
@given(
    how=SETTINGS,
    changes=CHANGES,
    query=TEXTS,
    k=st.integers(1, 12),
    mask=st.none() | st.lists(st.booleans(), min_size=30, max_size=30),
    pruned=st.booleans(),
)
def test_any_history_scores_as_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    how: LexicalSettings,
    changes: list[tuple[list[tuple[str, str]], list[int], bool]],
    query: str,
    k: int,
    mask: list[bool] | None,
    pruned: bool,
) -> None:
    passages = Passages(tmp_path_factory.mktemp("c"), how)
    for add, delete, compact in changes:
        passages.change(add, delete, compact=compact)
    index = passages.open()
    allowed = None if mask is None else np.array(mask, dtype=bool)[: len(passages.given)]
    expected = passages.brute_force(query)
    everywhere = np.arange(len(passages.given))
    with pruning() if pruned else nullcontext():
        scores = index.score(ParsedQuery(query), everywhere)
        found = index.search(ParsedQuery(query), k, allowed=allowed)
    assert scores == pytest.approx([expected.get(row, 0.0) for row in everywhere.tolist()], rel=1e-6, abs=1e-9)
    possible = [row for row in expected if allowed is None or allowed[row]]
    best = sorted(possible, key=lambda row: (-scores[row], row))[:k]
    assert found.rows.tolist() == best
    assert found.scores.tolist() == scores[best].tolist()
    assert np.flatnonzero(index.matches(ParsedQuery(query), allowed)).tolist() == sorted(possible)


def test_large_additions_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [("", f"word{i} other{i % 7} 个{'é' * (i % 3)}") for i in range(50)]
    whole = Passages(tmp_path / "whole")
    pieces = Passages(tmp_path / "pieces")
    for each in (whole, pieces):
        each.folder.mkdir()
        each.change(texts)
        monkeypatch.setattr(lexical, "_BATCH_CHARACTERS", 40)
        monkeypatch.setattr(lexical, "_BATCH_PASSAGES", 3)
        monkeypatch.setattr(lexical, "_SEGMENT_OCCURRENCES", 30)
        monkeypatch.setattr(inversion, "_MAX_KEPT_STRETCHES", 10)
    assert whole.record
    assert pieces.record
    (one,), (other,) = open_segments(whole.folder, whole.record), open_segments(pieces.folder, pieces.record)
    assert np.array_equal(one.terms, other.terms)
    assert np.array_equal(one.lexicon, other.lexicon)
    assert np.array_equal(one.arrays["places"].read(), other.arrays["places"].read())


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_after_compaction_the_files_are_those_of_a_fresh_build(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[list[tuple[str, str]], list[int], bool]]
) -> None:
    passages = Passages(tmp_path_factory.mktemp("c"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings_merge, "_RANGE_POSTINGS", 4)  # so that there are several ranges
        for add, delete, compact in changes:
            passages.change(add, delete, compact=compact)
        passages.change([], [], compact=True)
    fresh = Passages(tmp_path_factory.mktemp("f"), PLAIN, dict(passages.live), list(passages.given))
    (fresh.folder / LEXICAL).mkdir()
    writer = LexicalWriter(fresh.folder, PLAIN, None, UnsyncedFiles())
    keys = np.array(sorted(fresh.live), dtype=np.uint64)
    writer.add(keys, [fresh.live[int(key)][0] for key in keys], [fresh.live[int(key)][1] for key in keys])
    fresh.record = writer.commit(keys)
    assert passages.record
    one, other = open_segments(passages.folder, passages.record), open_segments(fresh.folder, fresh.record)
    assert len(one) == len(other) <= 1
    for mine, theirs in zip(one, other, strict=True):
        for name in ("passages", "lexicon", "terms"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name))
        for name in ("members", "frequencies", "counts", "places"):
            assert np.array_equal(mine.arrays[name].read(), theirs.arrays[name].read())


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(PASSAGE, max_size=10), phrase=st.lists(WORDS, min_size=1, max_size=3))
def test_phrases_as_brute_force(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]], phrase: list[str]
) -> None:
    passages = Passages(tmp_path_factory.mktemp("c"))
    passages.change(texts)
    wanted = " ".join(phrase)
    expected = [any(f" {wanted} " in f" {part} " for part in pair) for pair in texts]
    assert passages.open().matches(parse_query(f'"{wanted}"', Syntax.OPERATORS)).tolist() == expected


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 30), k=st.integers(1, 60))
def test_pruning_loses_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int, k: int) -> None:
    """Frequent and rare words let the scorer skip terms; the results are bit-equal."""
    random = np.random.default_rng(seed)
    words = np.array([f"w{i}" for i in range(200)])
    odds = 1.0 / np.arange(1, 201)
    passages = Passages(tmp_path_factory.mktemp("c"))
    for size in (250, 60):
        passages.change(
            [("", " ".join(random.choice(words, random.integers(1, 30), p=odds / odds.sum()))) for _ in range(size)],
            random.integers(0, 200, 20).tolist(),
        )
    query = " ".join(random.choice(words, 12, replace=False))
    index = passages.open()
    everywhere = np.arange(310)
    scores, found = index.score(ParsedQuery(query), everywhere), ranked(index, query, k)
    with pruning():
        assert index.score(ParsedQuery(query), everywhere).tobytes() == scores.tobytes()
        assert ranked(index, query, k) == found
    assert found == sorted(passages.brute_force(query), key=lambda row: (-scores[row], row))[:k]
