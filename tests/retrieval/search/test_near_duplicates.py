"""Near duplicates: equal to a walk through the whole ranking, on every page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.errors import BadQuery
from retrieval.results import Hit
from retrieval.search import near_duplicates
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import GroupBy, Matching, Mode, SearchRequest
from tests.retrieval.search.conftest import documents

REQUEST = SearchRequest("trees and squirrels", k=100)


@pytest.fixture(scope="module")
def copies(library: Searcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    """Open documents and near copies of some of them."""
    path = tmp_path_factory.mktemp("copies") / "copies"
    originals = documents()
    copied = [replace(each, id=f"{each.id}-copy", text=each.text.replace("The", "Their")) for each in originals[::3]]
    create_collection(path, library.encoder)
    apply_changes(path, library.encoder, [CollectionChange(upserts=(*originals, *copied))])
    with open_searcher(path, encoder=library.encoder) as opened:
        yield opened


def joined(searcher: Searcher, hits: tuple[Hit, ...], near: float) -> dict[tuple[str, int], list[Hit]]:
    """Return the hits that stay, each with those that join it: brute force."""
    vectors: dict[tuple[str, int], np.ndarray] = {}
    groups: dict[tuple[str, int], list[Hit]] = {}
    for hit in hits:
        best = hit.passages[0]
        document = searcher.reader.document_row(hit.id)
        row = int(np.flatnonzero(searcher.reader.document_of == document)[best.number - 1])
        vector = searcher.reader.vectors.rows(np.array([row]))[0].astype(np.float64)
        vector /= np.linalg.norm(vector)
        leader = next((key for key in groups if vectors[key] @ vector >= near - 1e-6), None)
        if leader is None:
            vectors[hit.id, row], groups[hit.id, row] = vector, []
        else:
            groups[leader].append(hit)
    return groups


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.sampled_from(["trees and squirrels", "python lists", "*"]),
    mode=st.sampled_from([Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]),
    near=st.sampled_from([0.6, 0.9, 0.97, 1.0]),
    sort=st.sampled_from(["", "year"]),
    group_by=st.sampled_from(list(GroupBy)),
    matching=st.sampled_from(list(Matching)),
    count=st.booleans(),
    k=st.integers(1, 9),
)
def test_hits_and_counts_equal_brute_force(
    copies: Searcher,
    query: str,
    mode: Mode,
    near: float,
    sort: str,
    group_by: GroupBy,
    matching: Matching,
    count: bool,
    k: int,
) -> None:
    sort = sort if group_by is GroupBy.DOCUMENT else ""
    request = replace(REQUEST, query=query, mode=mode, sort=sort, group_by=group_by, matching=matching, count=count)
    whole = copies.search(request)
    in_match_set = {(hit.id, hit.rank) for hit in whole.hits[: whole.total.value]}
    groups = joined(copies, whole.hits, near)
    pages = [
        copies.search(replace(request, collapse_near=near, k=k, offset=offset))
        for offset in range(0, len(groups) + k, k)
    ]
    hits = [hit for page in pages for hit in page.hits]
    assert [hit.id for hit in hits] == [id_ for id_, _ in groups]
    more = [sum((each.id, each.rank) in in_match_set for each in others) for others in groups.values()]
    assert [(hit.collapsed.value, hit.collapsed.more) for hit in hits if hit.collapsed] == [(None, n) for n in more]
    assert {page.total.value for page in pages} == {whole.total.value - sum(more)}


def test_hits_beyond_the_candidates_follow(copies: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "NEAR_DEPTH", 10)
    whole = copies.search(REQUEST).hits
    first = [id_ for id_, _ in joined(copies, whole[:10], 0.97)]
    assert len(first) < 10
    found = copies.search(replace(REQUEST, collapse_near=0.97)).hits
    assert [hit.id for hit in found] == [*first, *(hit.id for hit in whole[10:])]
    assert all(hit.collapsed is None for hit in found[len(first) :])


def test_diversity_orders_the_hits_that_are_left(copies: Searcher) -> None:
    left = copies.search(replace(REQUEST, collapse_near=0.97)).hits
    diverse = copies.search(replace(REQUEST, collapse_near=0.97, diversity=0.5)).hits
    assert {(hit.id, hit.collapsed) for hit in diverse} == {(hit.id, hit.collapsed) for hit in left}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"collapse_near": 0.3}, "collapse near is 0.3; give a cosine from 0.5 to 1"),
        ({"collapse_near": float("nan")}, "collapse near is nan"),
        ({"collapse_near": 0.9, "collapse": "year"}, "collapses by 'year' and by near duplicates; give one of both"),
    ],
)
def test_contradictions_are_refused(copies: Searcher, options: dict[str, object], says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        copies.search(replace(REQUEST, **options))  # type: ignore[arg-type]
