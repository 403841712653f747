"""Late interaction as a reranker and as an explanation, against its definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.building.collection_lifecycle import new_settings
from indexer.building.document_changes import CollectionChange, apply_changes
from indexer.building.token_encoding import TokenEncoders
from indexer.maintenance.background_merge import merge_collection
from indexer.writing.writer import Writer
from retrieval.encoder.late_interaction import load_late_interaction
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError
from retrieval.index.collection.document_store import passage_text
from retrieval.index.storage.settings import ChunkSettings, LexicalSettings, VectorSettings
from retrieval.results import Hit, SearchResult
from retrieval.search.rerankers import RerankerFolders
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import RerankOptions, SearchRequest
from tests.retrieval.encoder.late_models import EXPANSION, save_late_model
from tests.retrieval.search.conftest import documents

QUERY = "which shrubs do gardeners prune in winter"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    skips = {"skiplist_words": [".", ","]}
    prompts = {"query": "search: ", "document": "text: "}
    folder = tmp_path_factory.mktemp("late")
    return str(save_late_model(folder, query_expansion=EXPANSION, skips=skips, prompts=prompts))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[Searcher]:
    """Open the documents of `library` in two segments, with token vectors in 4 bits."""
    path = tmp_path_factory.mktemp("stored") / "stored"
    encoder, token_encoders = load_encoder(), TokenEncoders()
    settings = new_settings(
        encoder, chunking=ChunkSettings(), lexical=LexicalSettings(), vectors=VectorSettings(), schema=None
    )
    with Writer(path, create=replace(settings, tokens=token_encoders.settings(model, 4))) as writer:
        writer.commit()
    for part in (documents()[:25], documents()[25:]):
        change = CollectionChange(upserts=tuple(part))
        apply_changes(path, encoder, [change], token_encoders=token_encoders)
    with open_searcher(path, encoder=encoder) as opened:
        yield opened


def search(searcher: Searcher, model: str, **options: object) -> SearchResult:
    request = SearchRequest(QUERY, rerank=RerankOptions(model, 15, 0.5))
    return searcher.search(replace(request, **options))  # type: ignore[arg-type]


def scores_of(hits: tuple[Hit, ...]) -> dict[str, float | None]:
    return {hit.id: hit.scores["rerank"] for hit in hits}


def expected(hits: tuple[Hit, ...], model: str) -> dict[str, float]:
    """Return the scores of hits by the definition, from the vectors of their passages."""
    encoder = load_late_interaction(Path(model), precision="f32")
    texts = [passage_text(hit.title, "", hit.passages[0].text) for hit in hits]
    query = encoder.encode_query(QUERY)
    return {
        hit.id: sum(max(float(q @ d) for d in vectors) for q in query)
        for hit, vectors in zip(hits, encoder.encode_passages(texts), strict=True)
    }


def test_scores_without_stored_vectors_are_those_of_the_texts(library: Searcher, model: str) -> None:
    hits = search(library, model).hits
    assert scores_of(hits) == pytest.approx(expected(hits, model), abs=0.1)  # bfloat16, 20 tokens


def test_stored_vectors_give_nearly_the_scores_of_the_texts(stored: Searcher, model: str) -> None:
    hits = search(stored, model).hits
    assert scores_of(hits) == pytest.approx(expected(hits, model), rel=0.05)
    assert len(hits) == 10


def test_filters_pages_and_merges_do_not_change_a_score(stored: Searcher, model: str) -> None:
    whole = search(stored, model, k=15).hits
    pages = [search(stored, model, k=5, offset=start).hits for start in (0, 5, 10)]
    assert [(hit.id, hit.score) for page in pages for hit in page] == [(hit.id, hit.score) for hit in whole]
    filtered = search(stored, model, filter="year >= 2003", k=15).hits
    common = {hit.id for hit in whole} & {hit.id for hit in filtered}
    assert len(common) > 5
    assert {name: scores_of(filtered)[name] for name in common} == {name: scores_of(whole)[name] for name in common}
    merge_collection(stored.reader.path, fully=True)
    with open_searcher(stored.reader.path, encoder=stored.encoder) as merged:
        assert len(merged.reader.segments) == 1
        found = search(merged, model, k=15).hits
    assert [(hit.id, hit.scores["rerank"]) for hit in found] == [(hit.id, hit.scores["rerank"]) for hit in whole]


@pytest.mark.parametrize("collection", ["library", "stored"])
def test_the_words_of_a_score_add_up_to_it(collection: str, model: str, request: pytest.FixtureRequest) -> None:
    searcher = request.getfixturevalue(collection)
    for hit in search(searcher, model, explain=True, k=4).hits:
        assert hit.explanation is not None
        assert hit.explanation.rerank is not None
        words = hit.explanation.rerank.words
        assert words is not None
        assert (words.exact, words.score) == (True, hit.scores["rerank"])
        assert np.sum(words.pairs) == pytest.approx(hit.scores["rerank"], abs=0.02 if collection == "library" else 1e-4)
        assert sum(part.score for part in words.passage) == pytest.approx(np.sum(words.pairs), abs=1e-4)
        text = hit.passages[0].text
        spelled = [part for part in words.passage if part.place == "text"]
        assert all(text[part.start : part.end] == part.word for part in spelled)
        assert [part.word for part in words.query if part.place == "text"] == QUERY.split()
        assert all(part.word not in (".", ",") for part in spelled)


def test_a_short_budget_shortens_the_depth(stored: Searcher, model: str) -> None:
    search(stored, model)  # measures the speed
    request = SearchRequest(QUERY, rerank=RerankOptions(model, 15))
    result = stored.search(request, rerank_ms=0)
    assert result.degraded == ("rerank",)
    assert set(scores_of(result.hits).values()) == {None}
    assert stored.search(request, rerank_ms=1e9).degraded == ()


def test_shares_keep_the_order_of_scores(model: str) -> None:
    reranker = RerankerFolders().get(model)
    texts = ["Roses are thorny shrubs.", "Gardeners prune shrubs in winter.", "Comets"]
    scores = reranker.score(QUERY, texts)
    shares = reranker.shares(QUERY, scores)
    np.testing.assert_allclose(shares, np.maximum(scores, 0) / 20, atol=1e-6)  # 20: the tokens of an expanded query


def test_an_unknown_model_is_named(stored: Searcher) -> None:
    with pytest.raises(EncoderError, match=r"no cross-encoder: config\.json is missing"):
        search(stored, "no-such-model")
