"""Searches ordered by several fields equal a sort of all matches, in every mode."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retrieval.results import Hit
from retrieval.search.ranking import ordered_by_field
from retrieval.search.searcher import Searcher
from retrieval.types import Matching, Mode, SearchRequest


def in_order(hits: tuple[Hit, ...], sort: str) -> list[str]:
    """Return ids by stable sorts: score and id first, then the last key, then the one before it."""
    ordered = sorted(hits, key=lambda hit: (-hit.score, hit.id))
    for key in reversed(sort.split(",")):
        name, descending = key.removeprefix("-"), key.startswith("-")
        values = sorted({hit.metadata[name] for hit in hits if name in hit.metadata}, reverse=descending)
        ordered.sort(key=lambda hit, name=name, values=values: [*values, None].index(hit.metadata.get(name)))  # type: ignore[misc]
    return [hit.id for hit in ordered]


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize("sort", ["year,-date", "-author,year,-date"])
def test_hits_are_ordered_by_each_field(library: Searcher, mode: Mode, sort: str) -> None:
    request = SearchRequest("roses and oaks", k=40, mode=mode, matching=Matching.ALL)
    expected = in_order(library.search(request).hits, sort)
    pages = [library.search(replace(request, k=9, offset=offset, sort=sort)).hits for offset in range(0, 45, 9)]
    assert [hit.id for page in pages for hit in page] == expected


@pytest.mark.parametrize("sort", ["year,-author", "-author,date"])
def test_lists_of_documents_have_the_same_order(library: Searcher, sort: str) -> None:
    everything = library.search(SearchRequest("*", k=40)).hits
    found = library.search(SearchRequest("*", k=40, sort=sort)).hits
    assert [hit.id for hit in found] == in_order(everything, sort)
    rows = ordered_by_field(library.reader, library.reader.live_documents.nonzero()[0], sort)
    by_fields = [[hit.metadata.get(key.removeprefix("-")) for key in sort.split(",")] for hit in found]
    documents = library.reader.documents(rows)
    assert [[each.metadata.get(key.removeprefix("-")) for key in sort.split(",")] for each in documents] == by_fields
