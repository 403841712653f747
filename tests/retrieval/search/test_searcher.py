"""Searches of a small collection against the plain definition of each answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.building.pipeline import BuildSettings, build_collection
from retrieval.errors import BadQuery, DocumentNotFound, EncoderMismatch
from retrieval.index.collection.document_store import passage_text
from retrieval.index.storage.settings import ChunkSettings
from retrieval.search.encoder_check import check_canaries
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Included, Mode, SearchRequest

TOPICS = {
    "rose": "Roses are thorny shrubs. Their flowers smell sweet. Gardeners prune them in late winter.",
    "oak": "Oaks are large trees. They bear acorns, which squirrels bury. Their wood makes good barrels.",
    "python": "Python is a programming language. Lists hold items in order. Functions are made with def.",
    "bread": "Bread is baked from flour, water and yeast. The dough rests before it is baked. Crust forms in heat.",
    "comet": "Comets are bodies of ice and dust. Near the sun they grow a tail. Halley returns every 76 years.",
    "b-twin": "The same words stand in two documents.",
    "a-twin": "The same words stand in two documents.",
}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    folder, into = tmp_path_factory.mktemp("topics"), tmp_path_factory.mktemp("into") / "c"
    for name, text in TOPICS.items():
        (folder / f"{name}.txt").write_text(text)
    build_collection([folder], into, BuildSettings(chunking=ChunkSettings("passages", max_tokens=16, overlap_tokens=4)))
    with open_searcher(into) as opened:
        yield opened


def dense(query: str, **options: object) -> SearchRequest:
    return replace(SearchRequest(query, mode=Mode.DENSE), **options)


def test_a_hit_has_the_text_of_its_document_only_if_asked(searcher: Searcher) -> None:
    request = dense("acorns", k=len(TOPICS))
    lean = searcher.search(request).hits
    full = searcher.search(replace(request, include=(Included.TEXT,))).hits
    assert {hit.text for hit in lean} == {""}
    assert [hit.text for hit in full] == [searcher.document(hit.id).text for hit in full]
    assert [replace(hit, text="") for hit in full] == list(lean)
    with pytest.raises(BadQuery, match="include is 'vectors'; it is text"):
        searcher.search(replace(request, include=("vectors",)))


def test_a_document_scores_as_its_best_passage_does(searcher: Searcher) -> None:
    query = "which animals hide the seeds of trees"
    vector = searcher.encoder.encode_queries([query])[0]
    hits = searcher.search(dense(query, k=len(TOPICS), include=(Included.TEXT,))).hits
    assert {hit.id for hit in hits} == {f"{name}.txt" for name in TOPICS}
    for hit in hits:
        for passage in hit.passages:
            assert passage.text == hit.text[passage.start : passage.end]
            vectors = searcher.encoder.encode_passages([passage_text(hit.title, "", passage.text)])
            assert passage.score == pytest.approx(float(vectors[0] @ vector), abs=2e-3)  # kept as float16
        assert hit.score == hit.passages[0].score == max(each.score for each in hit.passages)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert hits[0].id == "oak.txt"


@pytest.mark.parametrize("count", [1, 2])
def test_each_document_shows_its_best_passages_best_first(searcher: Searcher, count: int) -> None:
    every = searcher.search(dense("flowers and barrels", k=len(TOPICS), passages_per_document=100)).hits
    few = searcher.search(dense("flowers and barrels", k=len(TOPICS), passages_per_document=count)).hits
    assert max(len(hit.passages) for hit in every) > 1
    for hit, whole in zip(few, every, strict=True):
        ordered = sorted(whole.passages, key=lambda each: (-each.score, each.start))
        assert list(whole.passages) == ordered
        assert list(hit.passages) == ordered[:count]


def test_equal_scores_are_ordered_by_id(searcher: Searcher) -> None:
    ids = [hit.id for hit in searcher.search(dense("the same words in two documents", k=2)).hits]
    assert ids == ["a-twin.txt", "b-twin.txt"]
    assert searcher.search(dense("the same words in two documents", k=1)).hits[0].id == "a-twin.txt"


def test_pages_put_together_are_the_whole_ranking(searcher: Searcher) -> None:
    whole = searcher.search(dense("flowers", k=7)).hits
    pages = [searcher.search(dense("flowers", k=2, offset=offset)).hits for offset in (0, 2, 4, 6)]
    assert [hit for page in pages for hit in page] == list(whole)


def test_many_queries_are_answered_as_each_alone(searcher: Searcher) -> None:
    requests = [dense("ice in space", k=3), dense("code", k=3), dense("a bakery's oven", k=3)]
    together = searcher.search_many(requests)
    for request, result in zip(requests, together, strict=True):
        alone = searcher.search(request)
        assert [hit.id for hit in alone.hits] == [hit.id for hit in result.hits]
        assert np.allclose([hit.score for hit in alone.hits], [hit.score for hit in result.hits], atol=2e-3)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (SearchRequest(""), "empty"),
        (SearchRequest(" \t\n"), "empty"),
        (SearchRequest("x" * 100_000), "100,000 characters"),
        (SearchRequest("x", k=0), "k is 0"),
        (SearchRequest("x", k=1_000_000), "1,000,000"),
        (SearchRequest("x", offset=-1), "offset is -1"),
        (SearchRequest("x", offset=9_999, k=2), "10,001"),
        (SearchRequest("x", weight=1.5), "weight is 1.5"),
        (SearchRequest("x", weight=float("nan")), "weight is nan"),
        (SearchRequest("x", fusion="sum"), "'sum'"),
        (SearchRequest("x", passages_per_document=0), "passages_per_document"),
    ],
)
def test_what_cannot_be_answered_is_named(searcher: Searcher, request_: SearchRequest, words: str) -> None:
    with pytest.raises(BadQuery, match=words):
        searcher.search(request_)


def test_the_time_of_explanations_is_counted(searcher: Searcher) -> None:
    started = time.perf_counter()
    spent = searcher.search(SearchRequest("oak", explain=True)).timings_ms
    around = (time.perf_counter() - started) * 1000
    assert spent.encode + spent.retrieve + spent.fetch < spent.total <= around


def test_documents_by_id(searcher: Searcher) -> None:
    assert searcher.document("oak.txt").text == TOPICS["oak"]
    with pytest.raises(DocumentNotFound, match="elm"):
        searcher.document("elm.txt")


def test_an_encoder_that_gives_other_vectors_is_found_by_the_canaries(searcher: Searcher) -> None:
    canaries = searcher.reader.manifest.settings.canaries
    check_canaries("c", canaries.texts, canaries.vectors, searcher.encoder)
    with pytest.raises(EncoderMismatch, match="cosine"):
        check_canaries("c", canaries.texts, np.roll(canaries.vectors, 1, axis=1), searcher.encoder)


def test_a_collection_that_is_not_there(tmp_path: Path) -> None:
    from retrieval.errors import NotACollection

    with pytest.raises(NotACollection, match="attendex index"):
        open_searcher(tmp_path)
