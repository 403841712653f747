"""Plans of requests on a collection of three documents: aspirin (2003), wing (1953) and cats (no year)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retrieval.errors import BadQuery, FilterError
from retrieval.search.fusion import ConvexFusion, ReciprocalRankFusion, SingleRanker
from retrieval.search.plan import Plan, default_mode, make_plan, open_ranker, query_text, text_to_encode
from retrieval.search.readability import Readability
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, Prefix, SearchRequest, Syntax

REQUEST = SearchRequest('"the slipstream" wing -cats', syntax=Syntax.OPERATORS)


def plan_of(small: Searcher, request: SearchRequest) -> Plan:
    return make_plan(request, small.reader, Readability(small.encoder.tokenizer))


def allowed_ids(small: Searcher, plan: Plan) -> list[str] | None:
    return None if plan.allowed is None else small.reader.ids(small.reader.document_of[plan.allowed])


def test_the_default_is_hybrid_with_a_lexical_index(small: Searcher) -> None:
    plan = plan_of(small, REQUEST)
    assert default_mode(small.reader) is plan.mode is Mode.HYBRID
    assert [each.name for each in plan.retrievers] == ["dense", "lexical"]
    assert plan.weight is not None
    assert (plan.weight.value, plan.weight.reason) == (0.7, "the default of 0.7")
    assert plan.allowed is None


@pytest.mark.parametrize(
    ("mode", "retrievers", "text"),
    [
        (Mode.DENSE, ["dense"], '"the slipstream" wing -cats'),
        (Mode.LEXICAL, ["lexical"], "the slipstream wing"),
        (Mode.HYBRID, ["dense", "lexical"], "the slipstream wing"),
    ],
)
def test_each_mode_has_its_retrievers_and_text(small: Searcher, mode: Mode, retrievers: list[str], text: str) -> None:
    plan = plan_of(small, replace(REQUEST, mode=mode))
    assert [each.name for each in plan.retrievers] == retrievers
    assert plan.text == query_text(REQUEST, mode, small.reader) == text
    assert (plan.weight is None) == (mode is not Mode.HYBRID)
    encoded = text_to_encode(replace(REQUEST, mode=mode), small.reader)
    assert encoded == ("" if mode is Mode.LEXICAL else text)


def test_a_prefix_needs_a_mode_with_words_also_by_default(small: Searcher) -> None:
    with pytest.raises(BadQuery, match="which mode dense does not compare"):
        query_text(replace(REQUEST, prefix=Prefix.LAST), Mode.DENSE, small.reader)


@pytest.mark.parametrize(
    ("expression", "ids"),
    [("", None), ("year >= 1990", ["aspirin"]), ("NOT year EXISTS", ["cats"]), ("year > 3000", [])],
)
def test_a_filter_leaves_rows(small: Searcher, expression: str, ids: list[str] | None) -> None:
    assert allowed_ids(small, plan_of(small, replace(REQUEST, filter=expression))) == ids


@pytest.mark.parametrize(
    ("options", "value", "reason"),
    [
        ({}, 0.7, "the default of 0.7"),
        ({"fusion": "rrf"}, 0.5, "the default of 0.5"),
        ({"weight": 0.2}, 0.2, "as requested"),
        ({"query": "户"}, 0.0, "the encoder knows no token of the query"),
    ],
)
def test_the_weight_of_fusion(small: Searcher, options: dict[str, object], value: float, reason: str) -> None:
    weight = plan_of(small, replace(REQUEST, **options)).weight
    assert weight is not None
    assert (weight.value, weight.reason) == (value, reason)


def test_a_dense_query_without_a_known_token_matches_nothing(small: Searcher) -> None:
    assert allowed_ids(small, plan_of(small, SearchRequest("户", mode=Mode.DENSE))) == []


@pytest.mark.parametrize(
    ("options", "ranker"),
    [
        ({"mode": Mode.DENSE}, SingleRanker),
        ({"mode": Mode.LEXICAL}, SingleRanker),
        ({"fusion": "convex"}, ConvexFusion),
        ({"fusion": "rrf"}, ReciprocalRankFusion),
    ],
)
def test_a_plan_opens_its_ranker(small: Searcher, options: dict[str, object], ranker: type) -> None:
    plan = plan_of(small, replace(REQUEST, **options))
    vector = None if plan.mode is Mode.LEXICAL else small.encoder.encode_queries([plan.text])[0]
    opened, feedback = open_ranker(plan, small.reader, vector)
    assert feedback is None  # by default only with a calibrated collection
    assert type(opened) is ranker
    ids = [small.reader.ids(small.reader.document_of[[row]])[0] for row in opened.rank(3).rows]
    assert ids == (["wing", "cats", "aspirin"] if plan.mode is Mode.DENSE else ["wing"])  # the phrase leaves one


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"query": "-cats"}, BadQuery, "only operators"),
        ({"sort": "yeer"}, FilterError, "did you mean 'year'"),
        ({"fields": ("knd",)}, FilterError, "did you mean 'kind'"),
        ({"facets": ("text",)}, FilterError, "unknown field 'text'"),
        ({"filter": "year >"}, FilterError, "expected a value"),
    ],
)
def test_a_request_that_does_not_fit_the_collection(
    small: Searcher, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan_of(small, replace(REQUEST, **options))
