"""BM25 with numbers to check by hand, and with statistics of several indexes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.bm25_options import Bm25Options
from retrieval.index.lexical import term_scores
from retrieval.index.lexical.bm25 import CollectionStatistics, LengthNorms
from retrieval.index.lexical.phrases import ParsedQuery
from tests.retrieval.index.lexical.samples import PLAIN, make_index

TEXTS = ("cat cat dog", "dog", "bird bird bird bird bird", "cat dog bird")  # lengths 3, 1, 5, 3: 3 on average


def test_statistics_count_passages_terms_and_frequencies(tmp_path: Path) -> None:
    found = make_index(tmp_path, TEXTS).statistics(ParsedQuery("cat bird unicorn"))
    assert found == CollectionStatistics(4, 12.0, {"cat": 2, "bird": 2, "unicorn": 0})
    assert found.average_length == 3.0
    assert found.idf("cat") == math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))  # ln 2


def test_statistics_of_nothing_have_a_length() -> None:
    assert CollectionStatistics(0, 0.0, {}).average_length == 1.0


def test_statistics_add_up() -> None:
    one, other = CollectionStatistics(4, 12.0, {"cat": 2}), CollectionStatistics(6, 28.0, {"cat": 1, "dog": 5})
    assert one + other == CollectionStatistics(10, 40.0, {"cat": 3, "dog": 5})
    assert (one + other).average_length == 4.0


def test_long_passages_have_greater_norms() -> None:
    norms = LengthNorms(np.array([3.0, 1.0, 5.0]), PLAIN, 3.0)
    # k1 · (1 - b + b · length / average), with k1 = 1 and b = 0.5
    assert norms.values == pytest.approx([0.5 + 0.5 * 3 / 3, 0.5 + 0.5 * 1 / 3, 0.5 + 0.5 * 5 / 3])


def test_a_score_is_the_formula(tmp_path: Path) -> None:
    scores = make_index(tmp_path, TEXTS).score(ParsedQuery("cat"), np.arange(4))
    idf = math.log(2)
    # idf · (k1 + 1) · f / (f + norm); rows 0 and 3 have the average length, so their norm is k1 = 1
    assert scores == pytest.approx([idf * 2 * 2 / (2 + 1), 0, 0, idf * 2 * 1 / (1 + 1)])


def test_a_term_counts_as_often_as_the_query_has_it(tmp_path: Path) -> None:
    reader = make_index(tmp_path, TEXTS)
    once, twice = (reader.score(ParsedQuery(query), np.arange(4)) for query in ("cat", "cat cat"))
    assert twice == pytest.approx(2 * once)


def test_no_passage_exceeds_the_bound_of_a_term(tmp_path: Path) -> None:
    reader = make_index(tmp_path, TEXTS)
    for text in ("cat", "dog", "bird"):
        (term,) = reader.query(ParsedQuery(text)).terms
        assert term.score(np.arange(4)).max() <= term.max_score


def test_rank_score_matches_and_bound_agree(tmp_path: Path) -> None:
    query = make_index(tmp_path, TEXTS).query(ParsedQuery("cat bird"))
    ranking = query.rank(10)
    assert set(ranking.rows.tolist()) == {0, 2, 3}
    assert query.matches().tolist() == [True, False, True, True]
    assert query.score(ranking.rows).tolist() == ranking.scores.tolist()
    assert query.upper_bound(0) == query.upper_bound(1) == ranking.scores[0]
    assert query.upper_bound(2) == ranking.scores[1]
    assert query.upper_bound(4) == 0.0  # rank(4) returns all rows that match


WORDS = st.sampled_from(["cat", "dog", "bird", "fish", "newt"])
PASSAGES = st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    left=PASSAGES, right=PASSAGES, query=st.lists(WORDS, min_size=1, max_size=5).map(" ".join), exhaustive=st.booleans()
)
def test_two_halves_with_common_statistics_score_as_one_collection(
    tmp_path_factory: pytest.TempPathFactory, left: list[str], right: list[str], query: str, exhaustive: bool
) -> None:
    folder = tmp_path_factory.mktemp("halves")
    readers = [make_index(folder / str(number), texts) for number, texts in enumerate((left, right))]
    whole = make_index(folder / "whole", left + right)
    parsed = ParsedQuery(query)
    common = readers[0].statistics(parsed) + readers[1].statistics(parsed)
    assert common == whole.statistics(parsed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_scores, "_EXHAUSTIVE_LIMIT", 1 << 17 if exhaustive else 0)
        halves = [
            reader.query(parsed, statistics=common).score(np.arange(len(texts)))
            for reader, texts in zip(readers, (left, right), strict=True)
        ]
        expected = whole.score(parsed, np.arange(len(left + right)))
        assert np.concatenate(halves).tolist() == expected.tolist()
        assert whole.query(parsed, statistics=common).rank(5).rows.tolist() == whole.search(parsed, 5).rows.tolist()


def test_another_collections_statistics_change_scores_until_they_are_left_out(tmp_path: Path) -> None:
    reader = make_index(tmp_path, TEXTS)
    before = reader.score(ParsedQuery("cat"), np.arange(4)).tolist()
    large = CollectionStatistics(1000, 5000.0, {"cat": 1})
    rare = reader.query(ParsedQuery("cat"), statistics=large).score(np.arange(4)).tolist()
    assert all(score > low for score, low in zip(rare, before, strict=True) if low)
    assert reader.score(ParsedQuery("cat"), np.arange(4)).tolist() == before


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    k1=st.sampled_from([None, 0.0, 0.9, 3.0]), b=st.sampled_from([None, 0.0, 1.0]), short=st.sampled_from([None, 9.0])
)
def test_parameters_of_a_search_are_those_of_an_index(
    tmp_path_factory: pytest.TempPathFactory, k1: float | None, b: float | None, short: float | None
) -> None:
    options = Bm25Options(k1, b, short)
    texts = ["a b a", "b", "a b c c c c", "c"]
    index = make_index(tmp_path_factory.mktemp("one"), texts)
    other = make_index(tmp_path_factory.mktemp("two"), texts, PLAIN.with_bm25(options))
    rows = np.arange(len(texts))
    assert (
        index.score(ParsedQuery("a c", bm25=options), rows).tolist() == other.score(ParsedQuery("a c"), rows).tolist()
    )
