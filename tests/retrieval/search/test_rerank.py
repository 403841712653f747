"""Reranked searches against the plain definition of their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.errors import BadQuery
from retrieval.index.collection.document_store import passage_text
from retrieval.metrics.runs import Topic
from retrieval.results import Hit, SearchResult
from retrieval.search.evaluated.systems import measure_system, parse_system
from retrieval.search.rerank import mix_scores
from retrieval.search.rerankers import TimedReranker
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, RerankOptions, Scores, SearchRequest
from tests.retrieval.encoder.cross_encoders import save_cross_encoder

QUERY = "which shrubs do gardeners prune in winter"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_cross_encoder(tmp_path_factory.mktemp("models") / "small"))


@pytest.fixture
def searcher(library: Searcher) -> Searcher:
    return library


def search(searcher: Searcher, model: str, *, depth: int = 20, weight: float = 0.5, **options: object) -> SearchResult:
    request = SearchRequest(QUERY, rerank=RerankOptions(model, depth, weight))
    return searcher.search(replace(request, **options))


def first_stage(searcher: Searcher, **options: object) -> tuple[Hit, ...]:
    return searcher.search(replace(SearchRequest(QUERY, k=40), **options)).hits


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
def test_scores_mix_both_stages_over_the_candidates(searcher: Searcher, model: str, mode: Mode) -> None:
    first = first_stage(searcher, mode=mode)[:10]
    texts = [passage_text(hit.title, "", hit.passages[0].text) for hit in first]
    logits = load_cross_encoder(Path(model)).score(QUERY, texts)
    stage = np.array([hit.score for hit in first])
    low, scale = stage.min(), stage.std() / logits.std()
    mixed = 0.7 * stage + 0.3 * (low + scale * (logits - logits.min()))
    expected = {hit.id: score for hit, score in zip(first, mixed, strict=True)}
    result = search(searcher, model, depth=10, weight=0.3, mode=mode)
    assert {hit.id: hit.score for hit in result.hits} == pytest.approx(expected, abs=1e-3)
    assert {hit.id: hit.scores["rerank"] for hit in result.hits} == pytest.approx(
        {hit.id: logit for hit, logit in zip(first, logits.tolist(), strict=True)}, abs=0.05
    )
    keys = [(-hit.score, hit.id) for hit in result.hits]
    assert keys == sorted(keys)
    assert result.degraded == ()


def test_a_weight_of_zero_keeps_the_ranking_and_one_takes_that_of_the_model(searcher: Searcher, model: str) -> None:
    first = first_stage(searcher)
    kept = search(searcher, model, weight=0, k=40).hits
    assert [(hit.id, hit.score) for hit in kept] == [(hit.id, hit.score) for hit in first]
    alone = search(searcher, model, weight=1, k=20).hits
    logits = [hit.scores["rerank"] or 0.0 for hit in alone]
    assert logits == sorted(logits, reverse=True)
    assert {hit.id for hit in alone} == {hit.id for hit in first[:20]}


def test_documents_beyond_the_depth_follow_unchanged(searcher: Searcher, model: str) -> None:
    first, found = first_stage(searcher), search(searcher, model, depth=7, k=40).hits
    assert [(hit.id, hit.score, hit.rank) for hit in found[7:]] == [(hit.id, hit.score, hit.rank) for hit in first[7:]]
    assert [hit.scores["rerank"] for hit in found[7:]] == [None] * 33
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("size", [1, 3, 10])
def test_pages_put_together_are_the_whole_ranking(searcher: Searcher, model: str, size: int) -> None:
    def rank(hits: Sequence[Hit]) -> list[tuple[object, ...]]:
        return [(hit.rank, hit.id, pytest.approx(hit.score, abs=1e-6)) for hit in hits]

    whole = search(searcher, model, depth=15, k=30).hits
    pages = [search(searcher, model, depth=15, k=size, offset=start).hits for start in range(0, 30, size)]
    assert rank([hit for page in pages for hit in page][:30]) == rank(whole)


def test_filters_and_thresholds_choose_the_candidates(searcher: Searcher, model: str) -> None:
    result = search(searcher, model, filter="year >= 2003", k=40, depth=40)
    allowed = first_stage(searcher, filter="year >= 2003")
    assert {hit.id for hit in result.hits} == {hit.id for hit in allowed}
    least = allowed[4].score
    assert {hit.id for hit in search(searcher, model, filter="year >= 2003", min_score=least, k=40).hits} == {
        hit.id for hit in allowed if hit.score >= least
    }
    assert search(searcher, model, filter="year > 2100").hits == ()


def test_the_explanation_adds_up_to_the_score(searcher: Searcher, model: str) -> None:
    result = search(searcher, model, depth=4, weight=0.4, k=6, explain=True)
    for hit in result.hits[:4]:
        assert hit.explanation is not None
        assert (part := hit.explanation.rerank) is not None
        assert (1 - part.weight) * part.first + part.weight * part.rescaled == pytest.approx(hit.score, abs=1e-6)
        assert (part.model, part.score, part.first) == (model, hit.scores["rerank"], pytest.approx(hit.scores["fused"]))
    assert [hit.explanation and hit.explanation.rerank for hit in result.hits[4:]] == [None, None]


def test_a_short_budget_shortens_the_depth(searcher: Searcher, model: str) -> None:
    request = SearchRequest(QUERY, k=40, rerank=RerankOptions(model))
    result = searcher.search(request, rerank_ms=0)
    assert result.degraded == ("rerank",)
    assert [(hit.id, hit.score) for hit in result.hits] == [(hit.id, hit.score) for hit in first_stage(searcher)]
    assert searcher.search(request, rerank_ms=1e9).degraded == ()
    assert searcher.search(SearchRequest(QUERY), rerank_ms=0).degraded == ()


class Lengths:
    """A reranker that scores by length and takes a millisecond of the clock for each character."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        self.seconds += sum(len(query) + len(text) for text in texts) / 1000
        return np.array([len(text) for text in texts], np.float32)


def test_the_measured_speed_decides_what_a_budget_pays() -> None:
    lengths = Lengths()
    reranker = TimedReranker("lengths", lengths, clock=lambda: lengths.seconds)
    texts = ["x" * 396] * 10  # 400 ms each, with the query
    assert reranker.affordable("abcd", texts, math.inf) == 10
    assert reranker.affordable("abcd", texts, 1_000) == 2
    assert reranker.affordable("abcd", texts, 100) == 0
    assert reranker.score("abcd", texts).tolist() == [396.0] * 10


def test_equal_scores_of_one_stage_leave_the_choice_to_the_other() -> None:
    equal, rising = np.full(3, 0.5, np.float32), np.array([1, 2, 3], np.float32)
    assert np.argsort(-mix_scores(equal, rising, 0.5).mixed).tolist() == [2, 1, 0]
    assert mix_scores(rising[::-1].copy(), equal, 0.5).mixed.tolist() == [2.0, 1.5, 1.0]
    assert mix_scores(equal[:1], rising[:1], 0.5).mixed.tolist() == [0.5]
    assert len(mix_scores(equal[:0], equal[:0], 0.5).mixed) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rerank": RerankOptions("m", depth=101)}, "depth of reranking is 101.*1 to 100"),
        ({"rerank": RerankOptions("m", depth=0)}, "depth of reranking is 0"),
        ({"rerank": RerankOptions("m", weight=1.5)}, "weight of reranking is 1.5.*0 to 1"),
        ({"rerank": RerankOptions("m", weight=math.nan)}, "weight of reranking is nan"),
        ({"rerank": RerankOptions("m"), "sort": "year"}, "give sort or rerank"),
        ({"rerank": RerankOptions()}, "the reranker has no name"),
    ],
)
def test_wrong_options_are_refused(searcher: Searcher, changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadQuery, match=said):
        searcher.search(replace(SearchRequest(QUERY), **changes))


def test_evaluations_rerank(searcher: Searcher, model: str) -> None:
    spec = parse_system(f"{searcher.reader.path}:hybrid,rerank={model},depth=5,rerank_weight=0.3")
    assert spec.request == SearchRequest("", mode=Mode.HYBRID, rerank=RerankOptions(model, 5, 0.3))
    measured = measure_system(spec, [Topic("1", QUERY)], 10)
    found = search(searcher, model, depth=5, weight=0.3, mode=Mode.HYBRID).hits
    assert measured.run.rankings["1"].ids == tuple(hit.id for hit in found)
    assert measured.provenance is not None
    assert measured.provenance.settings == f"rerank={model},depth=5,rerank_weight=0.3"
