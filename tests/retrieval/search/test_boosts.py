"""Boosts: equal to factors computed from the metadata of each hit of the whole ranking."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.boosts import Boost, parse_boosts
from retrieval.errors import BadQuery, FilterError
from retrieval.results import Hit
from retrieval.search.searcher import Searcher
from retrieval.types import GroupBy, Matching, Mode, SearchRequest

REQUEST = SearchRequest("trees and squirrels", k=400)
DAY_S = 86_400.0


def value_of(boost: Boost, hit: Hit) -> float:
    """Return the value of a boost by its definition."""
    given = hit.metadata.get(boost.field)
    if boost.filter == "year > 2002":
        return float(hit.metadata["year"] > 2002)
    if boost.filter == 'tags = "roses"':
        return float("roses" in hit.metadata["tags"])
    if given is None:
        return 0.0
    if boost.curve == "value":
        return float(min(1.0, max(0.0, given) / (boost.max or 2006.0)))
    if boost.curve == "log1p":
        return min(1.0, math.log(1 + given) / math.log(1 + (boost.max or 2006.0)))
    if boost.field == "date":
        distance = abs(datetime.fromisoformat(str(given)) - datetime(2024, 1, 9, tzinfo=UTC)).total_seconds()
        steps = max(0.0, distance - 2 * DAY_S) / (4 * DAY_S)
    else:
        steps = max(0.0, abs(given - 2003) - 0) / 2
    decay = 0.5 if boost.decay is None else boost.decay
    curves = {"linear": max(0.0, 1 - (1 - decay) * steps), "exponential": decay**steps, "gaussian": decay ** (steps**2)}
    return curves[boost.curve]


def boosted(score: float, factor: float, zero: float) -> float:
    distance = score - zero
    return float(np.float32(zero + (distance * factor if distance > 0 else distance / factor)))


weights = st.sampled_from([0.25, 0.8, 1.0, 1.3, 2.0, 5.0])
decays = st.sampled_from(["linear", "exponential", "gaussian"])
boosts = st.one_of(
    st.builds(Boost, weights, filter=st.sampled_from(["year > 2002", 'tags = "roses"'])),
    st.builds(Boost, weights, field=st.just("year"), curve=st.just("value"), max=st.sampled_from([None, 2003.0])),
    st.builds(Boost, weights, field=st.just("year"), curve=st.just("log1p"), max=st.sampled_from([None, 9000.0])),
    st.builds(Boost, weights, field=st.just("year"), curve=decays, origin=st.just(2003), scale=st.just(2)),
    st.builds(
        *(Boost, weights),
        field=st.just("date"),
        curve=decays,
        origin=st.sampled_from(["2024-01-09", "2024-01-09T01:00:00+01:00"]),
        scale=st.sampled_from(["4d", "96h"]),
        offset=st.just("2d"),
        decay=st.sampled_from([0.2, None]),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    boosts=st.lists(boosts, min_size=1, max_size=3),
    query=st.sampled_from(["trees and squirrels", "python lists", "*"]),
    mode=st.sampled_from(list(Mode)),
    fusion=st.sampled_from(["convex", "rrf"]),
    group_by=st.sampled_from(list(GroupBy)),
    filter_=st.sampled_from(["", "year > 2001"]),
)
def test_the_ranking_equals_brute_force(
    sparse_library: Searcher,
    boosts: list[Boost],
    query: str,
    mode: Mode,
    fusion: str,
    group_by: GroupBy,
    filter_: str,
) -> None:
    request = replace(REQUEST, query=query, mode=mode, fusion=fusion, filter=filter_, group_by=group_by)
    plain = sparse_library.search(replace(request, facets=("year",)))
    background = sparse_library.reader.manifest.background
    zero = background.mean if background is not None and mode is Mode.DENSE else 0.0
    expected = []
    for hit in plain.hits:
        factor = math.prod(1 + (boost.weight - 1) * value_of(boost, hit) for boost in boosts)
        expected.append((-boosted(1.0 if query == "*" else hit.score, factor, zero), hit.id, hit.passages[0].number))
    found = sparse_library.search(replace(request, boosts=tuple(boosts), facets=("year",)))
    assert [hit.score for hit in found.hits] == pytest.approx([-each[0] for each in sorted(expected)], abs=1e-6)
    scores = {each[1:]: -each[0] for each in expected}
    assert [hit.score for hit in found.hits] == pytest.approx(
        [scores[hit.id, hit.passages[0].number] for hit in found.hits], abs=1e-6
    )
    assert (found.total, found.facets, found.confidence) == (plain.total, plain.facets, plain.confidence)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
def test_pages_collapse_and_least_scores_are_of_one_ranking(library: Searcher, mode: Mode) -> None:
    request = replace(REQUEST, mode=mode, boosts=(Boost(3.0, filter="year > 2002"),), matching=Matching.ALL)
    whole = library.search(request).hits
    pages = [library.search(replace(request, k=7, offset=offset)).hits for offset in range(0, len(whole), 7)]
    assert tuple(hit for page in pages for hit in page) == whole
    years = {hit.metadata["year"]: hit.id for hit in reversed(whole)}
    assert {hit.id for hit in library.search(replace(request, collapse="year")).hits} == set(years.values())
    least = whole[len(whole) // 2].score
    cut = library.search(replace(request, min_score=least))
    assert list(cut.hits) == [hit for hit in whole if hit.score >= least]
    assert cut.total.value == len(cut.hits)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("query", ["trees and squirrels", "*"])
def test_the_explanation_has_the_parts_of_the_score(sparse_library: Searcher, mode: Mode, query: str) -> None:
    chosen = (Boost(0.4, filter='tags = "oaks"'), Boost(2.0, field="year", curve="gaussian", origin=2003, scale=2))
    request = replace(REQUEST, query=query, mode=mode, k=5, boosts=chosen)
    for hit in sparse_library.search(replace(request, explain=True)).hits:
        assert hit.explanation is not None
        parts = hit.explanation.boosts
        assert parts is not None
        assert [part.condition for part in parts.boosts] == ['tags = "oaks"', "gaussian(year)"]
        expected = [float("oaks" in hit.metadata["tags"]), value_of(chosen[1], hit)]
        assert [part.value for part in parts.boosts] == pytest.approx(expected)
        assert parts.factor == pytest.approx(math.prod(part.factor for part in parts.boosts))
        assert hit.score == pytest.approx(boosted(parts.first, parts.factor, parts.zero), abs=1e-6)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize("weight", [0.3, 1.5, 40.0])
def test_pages_of_many_documents_equal_the_whole_ranking(many: Searcher, mode: Mode, weight: float) -> None:
    boost = Boost(weight, field="size", curve="log1p")
    request = SearchRequest("a rose in the barn", mode=mode, k=1500)
    plain = many.search(request).hits
    sizes = {hit.id: float(hit.metadata["size"]) for hit in plain}
    zero = many.reader.manifest.background.mean if mode is Mode.DENSE and many.reader.manifest.background else 0.0
    expected = {
        hit.id: boosted(hit.score, 1 + (weight - 1) * math.log1p(sizes[hit.id]) / math.log1p(1499), zero)
        for hit in plain
    }
    order = sorted(expected.values(), reverse=True)
    for offset, k in ((0, 1), (0, 25), (60, 30)):
        page = many.search(replace(request, boosts=(boost,), k=k, offset=offset))
        assert [hit.score for hit in page.hits] == pytest.approx(order[offset : offset + k], abs=1e-5)
        assert [hit.score for hit in page.hits] == pytest.approx([expected[hit.id] for hit in page.hits], abs=1e-5)
        counted = many.search(replace(request, count=True, k=1)).total.value
        assert page.total.value <= counted


def test_a_weight_of_one_changes_nothing(library: Searcher) -> None:
    plain = library.search(REQUEST)
    found = library.search(replace(REQUEST, boosts=(Boost(1.0, filter="year > 2002"),)))
    assert found.hits == plain.hits


def test_recent_documents_come_first_without_an_origin(library: Searcher) -> None:
    boost = Boost(50.0, field="date", curve="exponential", scale="52w")
    found = library.search(replace(REQUEST, query="*", boosts=(boost,))).hits
    dates = [str(hit.metadata["date"]) for hit in found if "date" in hit.metadata]
    assert len(dates) == 10
    assert dates == sorted(dates, reverse=True)
    assert all("date" in hit.metadata for hit in found[:10])


def test_the_examples_of_a_search_are_boosted(library: Searcher) -> None:
    request = replace(REQUEST, query="*", like=("d00",))
    plain = {hit.id: hit.score for hit in library.search(request).hits}
    found = library.search(replace(request, boosts=(Boost(3.0, filter='tags = "roses"'),))).hits
    expected = [boosted(plain[hit.id], 3.0 if "roses" in hit.metadata["tags"] else 1.0, 0.0) for hit in found]
    assert [hit.score for hit in found] == pytest.approx(expected, abs=1e-6)
    assert len(found) == len(plain)


@pytest.mark.parametrize(
    ("boost", "says"),
    [
        ('{"filter": "draft"}', "a boost has no weight"),
        ('{"filter": "year > 2000", "weigth": 2}', "no option 'weigth'; did you mean weight"),
        ("year > 2000", "is not JSON"),
        ('"year"', "a boost is 'year'"),
        ('{"weight": 2}', r"boosts\[0\]: give either filter, or field and curve"),
        ('{"weight": 2, "filter": "year > 2000", "field": "year"}', "give either filter"),
        ('{"weight": 0, "filter": "year > 2000"}', "weight is 0; give a factor from 0.01 to 100"),
        ('{"weight": "2", "filter": "year > 2000"}', "weight is '2'; give a number"),
        ('{"weight": 2, "filter": "year > 2000", "curve": "log1p"}', "a filter has no curve"),
        ('{"weight": 2, "field": "year"}', "curve is ''; it is value, log1p, linear"),
        ('{"weight": 2, "field": "year", "curve": "log1p", "scale": 3}', "the curve log1p has no scale"),
        ('{"weight": 2, "field": "year", "curve": "linear"}', "the curve linear needs scale"),
        ('{"weight": 2, "field": "year", "curve": "linear", "scale": 1, "max": 3}', "the curve linear has no max"),
        ('{"weight": 2, "field": "year", "curve": "linear", "scale": 1}', "origin is None; give a number"),
        ('{"weight": 2, "field": "year", "curve": "linear", "scale": 0, "origin": 1}', "give a scale above 0"),
        ('{"weight": 2, "field": "year", "curve": "value", "max": 0}', "max is 0; give a number above 0"),
        ('{"weight": 2, "field": "year", "curve": "linear", "scale": 1, "decay": 1}', "decay is 1; give a number betw"),
    ],
)
def test_wrong_boosts_are_refused(library: Searcher, boost: str, says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        library.search(replace(REQUEST, boosts=parse_boosts(boost)))


@pytest.mark.parametrize(
    ("boost", "says"),
    [
        (Boost(2.0, filter="yaer > 2000"), "unknown field 'yaer'; did you mean 'year'"),
        (Boost(2.0, field="yaer", curve="value"), "boosts: unknown field 'yaer'; did you mean 'year'"),
        (Boost(2.0, field="author", curve="value"), "boosts: 'author' is a string field"),
        (Boost(2.0, field="date", curve="linear", scale=9), "boosts: scale is 9, which is no duration; write 7d"),
        (Boost(2.0, field="date", curve="linear", scale="9d", origin="soon"), "boosts: origin: 'soon' is not a date"),
        (Boost(2.0, field="date", curve="linear", scale="9d", origin=2024), "boosts: origin: '2024' is not a date"),
        (Boost(2.0, field="date", curve="value"), "boosts: 'date' is a date field; use a curve of linear"),
    ],
)
def test_fields_must_fit(library: Searcher, boost: Boost, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        library.search(replace(REQUEST, boosts=(boost,)))


def test_contradictions_are_refused(library: Searcher) -> None:
    boost = Boost(2.0, filter="year > 2000")
    with pytest.raises(BadQuery, match="orders by 'year', which leaves nothing to boost"):
        library.search(replace(REQUEST, boosts=(boost,), sort="year"))
    with pytest.raises(BadQuery, match="has 17 boosts; at most 16"):
        library.search(replace(REQUEST, boosts=(boost,) * 17))
