"""The confidence of searches over HTTP, on the wire and in the query log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service.client import Client
from tests.retrieval.search.conftest import documents
from tests.service.conftest import Serve, Served, eventually

SEARCH = "/v1/collections/garden/search"


@pytest.fixture(scope="module")
def served(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with a query log; its collection `garden` is large enough to tell what is close."""
    root = tmp_path_factory.mktemp("confidence")
    (root / "served").mkdir()
    with serve(root / "served", **{"query_log.folder": root / "log"}) as served, Client(served.url) as client:
        client.create("garden")
        new = [{"id": each.id, "text": each.text, "metadata": {"year": each.metadata["year"]}} for each in documents()]
        client.add("garden", new)
        yield served


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("query", "options", "confidence"),
    [
        ("roses that smell sweet", {}, "normal"),
        ("number 7", {}, "normal"),  # words of the text
        ("asdfghjkl qwertz", {}, "low"),
        ("asdfghjkl qwertz", {"mode": "dense"}, "low"),
        ("asdfghjkl qwertz", {"mode": "lexical"}, "normal"),  # no hits; without a vector, nothing is judged
        ("roses that smell sweet", {"filter": "year > 3000"}, "low"),
    ],
)
def test_a_search_says_that_nothing_is_close(
    served: Served, method: str, query: str, options: dict[str, Any], confidence: str
) -> None:
    if method == "GET":
        answer = served.http.get(SEARCH, params={"q": query, "log": False, **options})
    else:
        answer = served.http.post(SEARCH, json={"query": query, "log": False, **options})
    assert answer.status_code == 200, answer.text
    assert answer.json()["confidence"] == confidence


def test_the_query_log_lists_queries_with_nothing_close(served: Served) -> None:
    with Client(served.url) as client:
        for query in ("roses that smell sweet", "asdfghjkl qwertz", "asdfghjkl  QWERTZ"):
            client.search("garden", query)
        eventually(lambda: client.queries("garden").searches == 3)
        (query,) = client.queries("garden", problem="low_confidence").queries
        assert (query.query, query.low_confidence) == ("asdfghjkl  QWERTZ", 2)
        assert client.queries("garden").zero_hits == 0
