"""Pins: the pinned documents come first, and the rest of the ranking follows as before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.maintenance.change_settings import SettingsChange, change_settings
from retrieval.boosts import Boost
from retrieval.errors import InputError
from retrieval.index.storage.pins import PinRule, parse_pins, pin_line
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Detail, GroupBy, Matching, Mode, SearchRequest

PINNED = ("d07", "d00", "d11")
REQUEST = SearchRequest("Trees, and squirrels", k=40, pins=False)


@pytest.fixture(scope="module")
def pinned(library: Searcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """Open a copy of the library with pins for two queries."""
    path = tmp_path_factory.mktemp("pinned") / "library"
    shutil.copytree(library.reader.path, path)
    rules = (
        PinRule(("trees and squirrels", "acorns"), PINNED[:2]),
        PinRule(("TREES and  Squirrels!",), ("d00", "nothing", "d11")),
        PinRule(("sweet flowers",), ("d10",)),
    )
    change_settings(path, SettingsChange(pins=rules))
    with open_searcher(path, encoder=library.encoder) as opened:
        yield opened


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from([Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]),
    fusion=st.sampled_from(["convex", "rrf"]),
    filter_=st.sampled_from(["", "year > 2000", "year = 1900"]),
    boosts=st.sampled_from([(), (Boost(2.0, filter="year > 2002"),)]),
    diversity=st.sampled_from([0.0, 0.5]),
    matching=st.sampled_from(list(Matching)),
    k=st.integers(1, 9),
)
def test_the_ranking_equals_brute_force(
    pinned: Searcher,
    mode: Mode,
    fusion: str,
    filter_: str,
    boosts: tuple[Boost, ...],
    diversity: float,
    matching: Matching,
    k: int,
) -> None:
    request = replace(
        *(REQUEST,), mode=mode, fusion=fusion, filter=filter_, boosts=boosts, diversity=diversity, matching=matching
    )
    plain = pinned.search(replace(request, facets=("year",)))
    years = {hit.id: hit.metadata["year"] for hit in pinned.search(replace(REQUEST, query="*")).hits}
    first = [each for each in PINNED if not filter_ or (years[each] > 2000 if ">" in filter_ else years[each] == 1900)]
    expected = [*first, *(hit.id for hit in plain.hits if hit.id not in first)]
    pages = [pinned.search(replace(request, k=k, offset=offset, pins=True)) for offset in range(0, 40, k)]
    hits = [hit for page in pages for hit in page.hits]
    assert [hit.id for hit in hits] == expected
    assert [hit.rank for hit in hits] == list(range(1, len(expected) + 1))
    assert [hit.id for hit in hits if hit.pinned] == first
    scores = {hit.id: hit.score for hit in plain.hits}
    assert [hit.score for hit in hits] == pytest.approx([scores.get(hit.id, 0.0) for hit in hits], abs=1e-6)
    counted = pinned.search(replace(request, facets=("year",), pins=True))
    relevant = {hit.id for hit in pinned.search(replace(request, sort="year", boosts=(), diversity=0.0)).hits}
    assert counted.total.value == len(relevant | set(first))
    assert sum(each.count for each in counted.facets["year"]) == counted.total.value
    assert counted.confidence == plain.confidence


def test_the_words_of_the_query_decide(pinned: Searcher) -> None:
    for query in ("trees AND squirrels?", "Acorns"):
        assert [hit.id for hit in pinned.search(SearchRequest(query, k=2)).hits] == ["d07", "d00"]
    for query in ("squirrels and trees", "trees and squirrels in autumn"):
        assert not any(hit.pinned for hit in pinned.search(SearchRequest(query)).hits)


@pytest.mark.parametrize(
    "options",
    [
        {"sort": "year"},
        {"group_by": GroupBy.NONE},
        {"collapse": "year"},
        {"collapse_near": 0.9},
        {"like": ("d03",)},
        {"query": "*"},
    ],
)
def test_other_orders_have_no_pins(pinned: Searcher, options: dict[str, object]) -> None:
    request = replace(REQUEST, **options)  # type: ignore[arg-type]
    assert pinned.search(replace(request, pins=True)).hits == pinned.search(request).hits


def test_a_document_without_a_word_of_the_query_is_shown(pinned: Searcher) -> None:
    hit = pinned.search(SearchRequest("sweet flowers", mode=Mode.LEXICAL, k=2, explain=True, highlight=True)).hits[0]
    assert (hit.id, hit.score, hit.pinned, len(hit.passages)) == ("d10", 0.0, True, 1)
    bare = pinned.search(SearchRequest("acorns", k=3, detail=Detail.IDS)).hits
    assert [each.pinned for each in bare] == [True, True, False]


def test_excluded_documents_stay_out(pinned: Searcher) -> None:
    request = SearchRequest("acorns -comets", k=3, syntax="operators")  # type: ignore[arg-type]
    assert not any(hit.pinned for hit in pinned.search(request).hits)  # another query


def test_lines_are_read_and_written() -> None:
    rules = (PinRule(("größe",), ("d1", "d2")), PinRule(("a", "b"), ("d1",)))
    assert parse_pins([*map(pin_line, rules), ""]) == rules


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[]", 'line 1: .*; write {"queries"'),
        ('{"queries": ["a"]}', "line 1: 'documents'"),
        ('{"queries": [], "documents": ["d"]}', "line 1: a pin has 0 queries; give 1 to 64"),
        ('{"queries": ["a"], "documents": [" "]}', "documents of a pin: ' '; give texts of 1 to 1,000 characters"),
        ('{"queries": ["a"], "documents": [3]}', "documents of a pin: 3; give texts"),
    ],
)
def test_wrong_lines_are_named(line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_pins([line])
