"""Facets of searches: ranges, extremes, prefixes and disjunctive counts, against brute force in every mode."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.errors import AttendexError
from retrieval.search.searcher import Searcher
from retrieval.types import Matching, Mode, SearchRequest

MODES = [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]
CONDITIONS = {  # by field
    "tags": ["tags = roses", "(tags = roses OR tags = oaks)", "tags IN [bread, odd]", "NOT tags = even"],
    "year": ["year >= 2002", "(year > 2001 AND year < 2005)", "year IN [2000, 2003]"],
    "author": ['author = "Author 1"', "author EXISTS", 'author STARTS WITH "Author"'],
    "": ['(author = "Author 2" OR year < 2004)'],  # on several fields, so never left out
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.sampled_from(["roses and oaks", "baking bread in winter", "*"]),
    mode=st.sampled_from(MODES),
    matching=st.sampled_from(list(Matching)),
    chosen=st.lists(st.sampled_from(sorted(CONDITIONS)), unique=True).flatmap(
        lambda fields: st.tuples(*(st.tuples(st.just(each), st.sampled_from(CONDITIONS[each])) for each in fields))
    ),
)
def test_a_disjunctive_facet_counts_without_its_own_conditions(
    library: Searcher, query: str, mode: Mode, matching: Matching, chosen: tuple[tuple[str, str], ...]
) -> None:
    facets = ("tags", "year", "author", "year [2002, 2004]")
    request = SearchRequest(query, k=1, mode=mode, matching=matching, facets=facets)
    filtered = replace(request, filter=" AND ".join(text for _, text in chosen))
    found = library.search(replace(filtered, disjunctive=("tags", "year")))
    plain = library.search(filtered)
    assert found.total == plain.total
    assert found.facets["author"] == plain.facets["author"]
    for field in ("tags", "year"):
        others = " AND ".join(text for name, text in chosen if name != field)
        expected = library.search(replace(request, filter=others))
        assert found.facets[field] == expected.facets[field]
        assert found.facet_stats.get(field) == expected.facet_stats.get(field)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filter_", ["", "tags = even"])
def test_ranges_and_extremes_count_the_match_set(library: Searcher, mode: Mode, filter_: str) -> None:
    request = SearchRequest(
        "roses and oaks", k=40, mode=mode, filter=filter_, sort="year", facets=("year [2002, 2005]",)
    )
    result = library.search(request)
    years = [hit.metadata["year"] for hit in result.hits]
    stats = result.facet_stats["year"]
    assert (stats.min, stats.max) == (min(years), max(years))
    assert [(each.start, each.end) for each in stats.ranges] == [(None, 2002), (2002, 2005), (2005, None)]
    expected = Counter((year >= 2002) + (year >= 2005) for year in years)
    assert [each.count for each in stats.ranges] == [expected[place] for place in range(3)]
    assert "year" not in result.facets


@pytest.mark.parametrize("mode", MODES)
def test_values_of_facets_by_prefix(library: Searcher, mode: Mode) -> None:
    request = SearchRequest("roses and oaks", mode=mode, facets=("tags", "author"))
    whole = library.search(request).facets
    found = library.search(replace(request, facet_prefix="O")).facets
    assert found["tags"] == tuple(each for each in whole["tags"] if str(each.value).startswith("o"))
    assert found["author"] == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"facets": ("year",), "disjunctive": ("tags",)}, "disjunctive names 'tags', which is no facet"),
        ({"facets": ("year [2000]", "year [2001]")}, "two have ranges of 'year'"),
        ({"facet_prefix": "a"}, "there is no facet"),
        ({"facets": ("tags",), "facet_prefix": "\ud800"}, "half of a surrogate pair"),
        ({"facets": ("year [\ud800]",)}, "half of a surrogate pair"),
        ({"facets": ("tags", "year"), "facet_prefix": "a"}, "'year' is a number field"),
        ({"facets": ("yaer",)}, "did you mean 'year'?"),
    ],
)
def test_what_cannot_be_counted(library: Searcher, changes: dict[str, tuple[str, ...]], words: str) -> None:
    with pytest.raises(AttendexError) as caught:
        library.search(replace(SearchRequest("roses"), **changes))  # type: ignore[arg-type]
    assert words in str(caught.value)
