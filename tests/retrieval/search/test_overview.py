"""The fields and the map of a real small collection."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.search.overview import overview, principal_components, project
from retrieval.search.searcher import Searcher


def test_the_overview_counts_fields(small: Searcher) -> None:
    fields = {each.name: each for each in overview(small.reader)}
    assert [(each.value, each.count) for each in fields["kind"].values] == [("paper", 2), ("trial", 1)]
    assert [(each.value, each.count) for each in fields["tags"].values] == [("b", 2), ("a", 1)]
    assert fields["tags"].documents == 2  # an empty list is no value
    assert (fields["year"].least, fields["year"].most, fields["year"].documents) == (1953, 2003, 2)


def test_the_map_keeps_to_its_frame(small: Searcher) -> None:
    found = project(small.reader)
    assert len(found.rows) == 3
    assert (found.x.min(), found.x.max(), found.y.min(), found.y.max()) == (0, 1, 0, 1)
    assert sum(found.explained) == pytest.approx(1, abs=1e-6)  # three points lie in a plane


def test_principal_components_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.normal(size=(200, 5)) * [5, 1, 3, 1, 1]).astype(np.float32)
    places, explained = principal_components(vectors)
    centred = vectors - vectors.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(centred @ directions[:2].T), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(explained, (singular**2 / (singular**2).sum())[:2], rtol=1e-4)


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_to_map(number: int) -> None:
    places, explained = principal_components(np.ones((number, 4), np.float32))
    assert places.shape == (number, 2)
    assert explained == (0.0, 0.0)
