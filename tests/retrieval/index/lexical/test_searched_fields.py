"""Scores over several fields are those of BM25F, computed word by word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.bm25_options import Bm25Options
from retrieval.errors import BadQuery, InputError
from retrieval.index.lexical import term_scores
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.writer import LexicalWriter, open_lexical
from retrieval.index.storage.manifest import LEXICAL
from retrieval.index.storage.settings import (
    CollectionSettings,
    LexicalSettings,
    settings_from_json,
    settings_to_json,
)
from retrieval.index.storage.synonyms import SynonymRule
from tests.indexer.conftest import hand_made_settings
from tests.retrieval.index.lexical.samples import PLAIN, UnsyncedFiles

Fields = tuple[str, ...]  # title, searched fields, text

TEXT = st.lists(st.sampled_from(["cat", "dog", "bird", "fish"]), max_size=5).map(" ".join)
WEIGHT = st.sampled_from([0.5, 1.0, 1.7, 3.0])


def make(
    folder: Path, passages: list[Fields], how: LexicalSettings, parts: int = 1, synonyms: Sequence[SynonymRule] = ()
) -> LexicalReader:
    """Index passages in several segments, which the commit merges."""
    (folder / LEXICAL).mkdir(parents=True)
    keys = np.arange(len(passages), dtype=np.uint64)
    record = None
    for some in np.array_split(keys, parts):
        writer = LexicalWriter(folder, how, record, UnsyncedFiles())
        titles, *searched, texts = zip(*(passages[key] for key in some), strict=True)
        writer.add(some, titles, texts, searched)
        record = writer.commit(keys[: int(some[-1]) + 1])
    assert record is not None
    return open_lexical(folder, record, how, keys, np.ones(len(keys), np.bool_), synonyms)


def bm25f(query: str, passages: list[Fields], weights: list[float], how: LexicalSettings) -> list[float]:
    """Score passages as Robertson, Zaragoza and Taylor (2004): fields before saturation."""
    words = [[field.split() for field in fields] for fields in passages]
    lengths = [sum(w * len(field) for w, field in zip(weights, fields, strict=True)) for fields in words]
    average = sum(lengths) / len(lengths) or 1.0
    scores = [0.0] * len(passages)
    for term in query.split():
        having = sum(any(term in field for field in fields) for fields in words)
        idf = math.log(1 + (len(passages) - having + 0.5) / (having + 0.5))
        for i, fields in enumerate(words):
            frequency = sum(w * field.count(term) for w, field in zip(weights, fields, strict=True))
            norm = how.k1 * (1 - how.b_at(average) + how.b_at(average) * lengths[i] / average)
            scores[i] += idf * (how.k1 + 1) * frequency / (frequency + norm) if frequency else 0.0
    return scores


@settings(max_examples=60, deadline=None)
@given(
    passages=st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=2, max_size=8),
    weights=st.tuples(WEIGHT, WEIGHT, WEIGHT),
    query=st.lists(st.sampled_from(["cat", "dog", "bird", "newt"]), min_size=1, max_size=4).map(" ".join),
    parts=st.integers(1, 2),
)
def test_scores_are_those_of_bm25f(
    tmp_path_factory: pytest.TempPathFactory, passages: list[Fields], weights: Fields, query: str, parts: int
) -> None:
    title, brand, tags = map(float, weights)
    how = replace(PLAIN, title_weight=title, searched=(("brand", brand), ("tags", tags)))
    reader = make(tmp_path_factory.mktemp("fields"), passages, how, parts)
    expected = bm25f(query, passages, [title, brand, tags, 1.0], how)
    assert reader.score(ParsedQuery(query), np.arange(len(passages))) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    found = reader.search(ParsedQuery(query), len(passages))
    assert set(found.rows.tolist()) == {i for i, score in enumerate(expected) if score}


@settings(max_examples=60, deadline=None)
@given(
    passages=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=2, max_size=8),
    weights=st.tuples(WEIGHT, WEIGHT),
    chosen=WEIGHT,
    query=st.lists(st.sampled_from(["cat", "dog", "bird", "newt"]), min_size=1, max_size=4).map(" ".join),
    parts=st.integers(1, 2),
)
def test_a_search_chooses_the_weight_of_the_title(
    tmp_path_factory: pytest.TempPathFactory,
    passages: list[Fields],
    weights: Fields,
    chosen: float,
    query: str,
    parts: int,
) -> None:
    title, brand = map(float, weights)
    how = replace(PLAIN, title_weight=title, searched=(("brand", brand),))
    reader = make(tmp_path_factory.mktemp("titles"), passages, how, parts)
    expected = bm25f(query, passages, [chosen, brand, 1.0], how)
    parsed = ParsedQuery(query, bm25=Bm25Options(title_weight=chosen))
    rows = np.arange(len(passages))
    assert reader.score(parsed, rows) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_scores, "_EXHAUSTIVE_LIMIT", 0)  # so that bounds decide
        found = make(tmp_path_factory.mktemp("pruned"), passages, how, parts).search(parsed, 3)
    ranked = sorted(expected, reverse=True)[:3]
    assert found.scores == pytest.approx([score for score in ranked if score], rel=1e-5)
    unweighted = reader.score(ParsedQuery(query), rows)
    assert unweighted == pytest.approx(bm25f(query, passages, [title, brand, 1.0], how), rel=1e-5, abs=1e-6)


def test_phrases_count_once_in_titles_of_any_weight(tmp_path: Path) -> None:
    rules = [SynonymRule(("pet",), ("cat dog",))]
    passages = [("cat dog", "bird"), ("bird", "cat dog"), ("", "fish")]
    readers = [
        make(tmp_path / str(weight), passages, replace(PLAIN, title_weight=weight), 1, rules) for weight in (1, 3)
    ]
    parsed = [ParsedQuery("pet", synonyms=True, bm25=options) for options in (Bm25Options(title_weight=3.0), None)]
    chosen, own = (reader.score(each, np.arange(3)) for reader, each in zip(readers, parsed, strict=True))
    assert chosen == pytest.approx(own)
    assert chosen[1] > 0


def test_an_older_index_says_that_it_lacks_the_ends_of_titles(tmp_path: Path) -> None:
    reader = make(tmp_path, [("cat", "bird"), ("bird", "cat")], PLAIN)
    for segment in reader.live_rows.segments:
        segment.postings.titles = None
    with pytest.raises(BadQuery, match=r"an earlier version wrote the lexical index.*reindex DIR --title-weight"):
        reader.search(ParsedQuery("cat", bm25=Bm25Options(title_weight=2.0)), 1)
    assert len(reader.search(ParsedQuery("cat", bm25=Bm25Options(title_weight=1.0)), 2).rows) == 2  # its own


def test_no_phrase_spans_two_fields(tmp_path: Path) -> None:
    how = replace(PLAIN, searched=(("brand", 2.0),))
    reader = make(tmp_path, [("red", "cat dog", "bird"), ("", "cat", "dog bird")], how)

    def rows(phrase: str) -> list[int]:
        return np.flatnonzero(reader.matches(ParsedQuery(phrase, phrases=(phrase,)))).tolist()

    assert rows("cat dog") == [0]
    assert rows("dog bird") == [1]
    assert rows("red cat") == []


def test_settings_without_searched_fields_are_as_before() -> None:
    made = hand_made_settings()
    body = settings_to_json(made)
    assert "searched" not in body["lexical"]
    with_fields = replace(made, lexical=LexicalSettings(searched=(("brand", 2.0), ("id", 1.0))))
    body = settings_to_json(with_fields)
    assert body["lexical"]["searched"] == {"brand": 2.0, "id": 1.0}
    assert lexical(settings_from_json(body)) == with_fields.lexical
    assert not LexicalSettings().same_postings(lexical(with_fields))


def lexical(made: CollectionSettings) -> LexicalSettings:
    assert made.lexical is not None
    return made.lexical


@pytest.mark.parametrize("searched", [(("a", 0.0),), (("a", 1.0), ("a", 2.0)), (("title", 2.0),), (("", 1.0),)])
def test_bad_searched_fields_are_refused(searched: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(InputError, match="searched"):
        LexicalSettings(searched=searched)
