"""The native routes over real HTTP."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import re
from typing import Any

import pytest
from pydantic import BaseModel

from retrieval import explanations, facets, results, types
from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS
from service.client.answers import collections, search
from service.client.answers import explanations as wire_explanations
from service.client.answers import facets as wire_facets
from service.client.answers.collapse import CollapsedAnswer
from service.client.answers.collections import CollectionDetails
from service.client.answers.problems import ProblemAnswer
from service.client.answers.search import SearchAnswer
from service.schemas.search import SearchBody
from tests.service.conftest import DOCUMENTS, Served

SEARCH = "/v1/collections/small/search"


def problem(response: Any, status: int, code: str) -> ProblemAnswer:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = ProblemAnswer.model_validate(response.json(), extra="forbid")
    assert (found.status, found.code) == (status, code)
    assert found.request_id == response.headers["x-request-id"]
    return found


def test_post_and_get_give_the_same_ranked_answer(small: Served) -> None:
    body = {"query": "risk of stroke", "k": 2, "mode": "dense"}
    posted = SearchAnswer.model_validate(small.http.post(SEARCH, json=body).json(), extra="forbid")
    got = SearchAnswer.model_validate(
        small.http.get(SEARCH, params={"q": "risk of stroke", "k": 2, "mode": "dense"}).json()
    )
    assert posted.hits == got.hits
    assert [hit.rank for hit in posted.hits] == [1, 2]
    assert posted.hits[0].id == "aspirin"
    assert posted.hits[0].score >= posted.hits[1].score
    best = posted.hits[0].passages[0]
    assert best.text == DOCUMENTS[0]["text"][best.start : best.end]
    assert posted.timings_ms.total >= posted.timings_ms.encode > 0


def test_a_page_goes_on_where_the_one_before_ended(small: Served) -> None:
    whole = small.http.post(SEARCH, json={"query": "animals", "k": 4}).json()["hits"]
    rest = small.http.post(SEARCH, json={"query": "animals", "k": 2, "offset": 2}).json()["hits"]
    assert [hit["id"] for hit in whole[2:]] == [hit["id"] for hit in rest]
    assert [hit["rank"] for hit in rest] == [3, 4]


def test_a_batch_answers_in_order_and_like_single_searches(small: Served) -> None:
    queries = [f"question {number} about {word}" for number, word in enumerate(["cats", "heat", "wings", "pills"] * 6)]
    answers = small.http.post(f"{SEARCH}/batch", json={"searches": [{"query": each} for each in queries]}).json()
    assert [each["query"] for each in answers["results"]] == queries
    for each in answers["results"][:4]:
        alone = small.http.post(SEARCH, json={"query": each["query"]}).json()
        assert [hit["id"] for hit in alone["hits"]] == [hit["id"] for hit in each["hits"]]
        for one, other in zip(alone["hits"], each["hits"], strict=True):
            assert math.isclose(one["score"], other["score"], abs_tol=2e-3)


def test_collections_and_their_details(small: Served) -> None:
    listed = small.http.get("/v1/collections").json()["collections"]
    assert [(each["name"], each["documents"], each["generation"]) for each in listed] == [("small", 5, 1)]
    details = CollectionDetails.model_validate(small.http.get("/v1/collections/small").json(), extra="forbid")
    assert details.fields["year"] == "number"
    assert details.fingerprint.dimension == 384
    assert details.size_bytes > 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each["id"])
def test_a_document_comes_back_as_it_was_given(small: Served, document: dict[str, Any]) -> None:
    found = small.http.get(f"/v1/collections/small/documents/{document['id']}").json()
    assert (found["id"], found["title"], found["text"]) == (document["id"], document["title"], document["text"])
    assert found["metadata"]["year"] == document["year"]
    page = small.http.get("/v1/collections/small/documents", params={"id": document["id"]}).json()
    assert page == {"documents": [found], "total": 1, "next": None}


@pytest.mark.parametrize("parameters", [{"id": "none"}, {"id": ""}, {"id": "wing", "filter": "year = 2003"}])
def test_a_page_without_the_document_asked_for_is_empty(small: Served, parameters: dict[str, str]) -> None:
    found = small.http.get("/v1/collections/small/documents", params=parameters).json()
    assert found == {"documents": [], "total": 0, "next": None}


def test_documents_are_listed_in_the_order_of_a_field(small: Served) -> None:
    pages = [
        small.http.get("/v1/collections/small/documents", params={"sort": "-year", "offset": offset, "limit": 2}).json()
        for offset in (0, 2, 4)
    ]
    years = [each["metadata"]["year"] for page in pages for each in page["documents"]]
    assert years == sorted((each["year"] for each in DOCUMENTS), reverse=True)


def test_an_answer_is_as_lean_as_asked_for(small: Served) -> None:
    body = {"query": "risk of stroke", "k": 3, "max_tokens": 4, "group_by": "none"}
    found = SearchAnswer.model_validate(small.http.post(SEARCH, json=body).json(), extra="forbid")
    assert (len(found.hits), found.truncated, found.next_offset) == (1, True, 1)
    assert found.hits[0].passages[0].tokens == 4
    by_url = small.http.get(SEARCH, params={"q": "risk of stroke", "k": 2, "detail": "ids"}).json()
    assert [each["passages"] for each in by_url["hits"]] == [[], []]


def test_the_first_hits_differ_as_much_as_asked_for(small: Served) -> None:
    body = {"query": "risk of stroke", "mode": "dense"}
    plain = small.http.post(SEARCH, json=body).json()["hits"]
    posted = small.http.post(SEARCH, json={**body, "diversity": 1}).json()["hits"]
    got = small.http.get(SEARCH, params={"q": body["query"], "mode": "dense", "diversity": 1}).json()["hits"]
    ids = [[hit["id"] for hit in hits] for hits in (plain, posted, got)]
    assert ids[1] == ids[2]
    assert (ids[1][0], sorted(ids[1])) == (ids[0][0], sorted(ids[0]))
    refused = small.http.post(SEARCH, json={**body, "diversity": 0.5, "sort": "year"})
    assert (refused.status_code, "give one of both" in refused.text) == (400, True)
    assert small.http.post(SEARCH, json={**body, "diversity": 2}).status_code == 422


def test_documents_with_one_value_are_one_hit(small: Served) -> None:
    [known] = (
        small.http.get(SEARCH, params={"q": "*", "count": True, "facets": "year", "k": 1}).json()["facets"].values()
    )
    body = {"query": "*", "collapse": "year"}
    posted = SearchAnswer.model_validate(small.http.post(SEARCH, json=body).json(), extra="forbid")
    assert {hit.collapsed.value: hit.collapsed.more + 1 for hit in posted.hits if hit.collapsed} == {
        each["value"]: each["count"] for each in known
    }
    assert posted.total.value == len(posted.hits)
    unknown = small.http.get(SEARCH, params={"q": "*", "collapse": "yaer"})
    assert (unknown.status_code, "did you mean 'year'" in unknown.text) == (400, True)


def test_a_search_may_choose_the_parameters_of_bm25(small: Served) -> None:
    body: dict[str, Any] = {"query": "heat boundary", "mode": "lexical"}

    def scores(**options: object) -> list[float]:
        return [hit["score"] for hit in small.http.post(SEARCH, json={**body, **options}).json()["hits"]]

    assert scores(bm25={}) == scores(bm25={"k1": 1.5, "b": 0.75, "short": 45}) == scores()
    assert scores(bm25={"k1": 0}) != scores()
    for wrong, status, says in (
        ({"bm25": {"b": 2}}, 422, "less than or equal to 1"),
        ({"bm25": {"k2": 2}}, 422, "the names here are k1, b, short"),
        ({"bm25": {"b": 1}, "mode": "dense"}, 400, "mode dense does not use BM25"),
    ):
        refused = small.http.post(SEARCH, json={**body, **wrong})
        assert (refused.status_code, says in refused.text) == (status, True), refused.text


def test_documents_are_boosted(small: Served) -> None:
    body: dict[str, Any] = {"query": "*", "explain": True}
    boosts = [{"field": "year", "curve": "log1p", "weight": 2}, {"filter": "year < 2000", "weight": 0.5}]
    posted = SearchAnswer.model_validate(
        small.http.post(SEARCH, json={**body, "boosts": boosts}).json(), extra="forbid"
    )
    for hit in posted.hits:
        assert hit.explanation is not None
        assert hit.explanation.boosts is not None
        assert hit.score == pytest.approx(hit.explanation.boosts.factor)
        assert [part.condition for part in hit.explanation.boosts.boosts] == ["log1p(year)", "year < 2000"]
    for wrong, status, says in (
        ({"boosts": [{"filter": "year < 2000", "weigth": 2}]}, 422, "did you mean weight"),
        ({"boosts": [{"weight": 2}]}, 400, "boosts[0]: give either filter"),
        ({"boosts": boosts, "sort": "year"}, 400, "give sort or boosts"),
        ({"boosts": [boosts[0]] * 17}, 422, "at most 16"),
    ):
        refused = small.http.post(SEARCH, json={**body, **wrong})
        assert (refused.status_code, says in refused.text) == (status, True), refused.text


def test_near_duplicates_are_one_hit(small: Served) -> None:
    body = {"query": "aspirin", "collapse": {"near": 0.5}, "mode": "dense"}
    posted = SearchAnswer.model_validate(small.http.post(SEARCH, json=body).json(), extra="forbid")
    assert posted.hits[0].collapsed == CollapsedAnswer(value=None, more=0)
    by_url = small.http.get(SEARCH, params={"q": "aspirin", "mode": "dense", "collapse_near": 0.5}).json()
    assert [each["id"] for each in by_url["hits"]] == [hit.id for hit in posted.hits]
    assert small.http.post(SEARCH, json={**body, "collapse": {"near": 0.2}}).status_code == 422
    unknown = small.http.post(SEARCH, json={**body, "collapse": {"naer": 0.9}})
    assert (unknown.status_code, "naer" in unknown.text) == (422, True)
    both = small.http.get(SEARCH, params={"q": "*", "collapse": "year", "collapse_near": 0.97})
    assert (both.status_code, "give one of both" in both.text) == (400, True)


def test_a_cursor_pages_through_one_generation(small: Served) -> None:
    path = "/v1/collections/small/documents"
    first = small.http.get(path, params={"limit": 2, "sort": "year"}).json()
    second = small.http.get(path, params={"limit": 2, "sort": "year", "after": first["next"]}).json()
    whole = small.http.get(path, params={"sort": "year"}).json()
    assert [*first["documents"], *second["documents"]] == whole["documents"][:4]
    assert whole["next"] is None
    generation, _, position = first["next"].partition(".")
    stale = small.http.get(path, params={"after": f"{int(generation) + 1}.{position}"})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_cursor")
    for wrong, says in (({"after": "x"}, "after is 'x'"), ({"after": first["next"], "offset": 1}, "give one of both")):
        refused = small.http.get(path, params=wrong)
        assert (refused.status_code, says in refused.text) == (400, True)


def test_unknown_words_are_matched_to_the_nearest(small: Served) -> None:
    body = {"query": "asprin", "mode": "lexical", "explain": True}
    found = SearchAnswer.model_validate(small.http.post(SEARCH, json=body).json(), extra="forbid")
    assert [hit.id for hit in found.hits] == ["aspirin"]
    assert [(each.word, each.text, each.reason) for each in found.replacements] == [("asprin", "aspirin", "typo")]
    off = small.http.get(SEARCH, params={"q": "asprin", "mode": "lexical", "typos": False}).json()
    assert (off["hits"], off["replacements"]) == ([], [])
    explained = small.http.post("/v1/collections/small/explain", json={"query": "asprin", "id": "aspirin"}).json()
    assert explained["lexical"]["replacements"][0]["text"] == "aspirin"
    typed = small.http.get(SEARCH, params={"q": "propel", "mode": "lexical", "prefix": "last"}).json()
    assert [hit["id"] for hit in typed["hits"]] == ["wing"]


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_documents_like_another_are_found(small: Served, mode: str) -> None:
    posted = small.http.post(SEARCH, json={"like": ["cat/1"], "mode": mode, "filter": "year > 1960"}).json()
    got = small.http.get(
        "/v1/collections/small/documents/cat/1/similar", params={"mode": mode, "filter": "year > 1960"}
    )
    assert [hit["id"] for hit in got.json()["hits"]] == [hit["id"] for hit in posted["hits"]]
    assert not {"cat/1", "wing"} & {hit["id"] for hit in posted["hits"]}


def test_examples_and_vectors_join_the_query(small: Served) -> None:
    [vector] = [each["embedding"] for each in small.http.post("/v1/embeddings", json=EMBEDDING).json()["data"]]
    found = small.http.post(SEARCH, json={"vector": vector, "unlike": ["heat"], "explain": True}).json()
    assert found["hits"][0]["id"] == "cat/1"
    assert {each["source"] for each in found["hits"][0]["explanation"]["examples"]} == {"vector", "unlike"}


EMBEDDING = {"model": "default", "input": "how do cats sleep", "input_type": "query"}


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"like": ["none"]}, 404, "document_not_found", "'none'"),
        ({"vector": [1, 2, 3]}, 400, "bad_query", "vector has 3 numbers"),
        ({"unlike": ["heat"]}, 422, "invalid_request", "give query, like or vector"),
        ({"query": "", "unlike": ["heat"]}, 400, "bad_query", "something to start from"),
        ({"query": "x", "lik": ["heat"]}, 422, "invalid_request", "did you mean like?"),
    ],
)
def test_unusable_examples_are_refused(small: Served, body: dict[str, Any], status: int, code: str, says: str) -> None:
    assert says in problem(small.http.post(SEARCH, json=body), status, code).detail


def test_words_and_titles_complete_a_query(small: Served) -> None:
    found = small.http.get("/v1/collections/small/suggest", params={"q": "wi"}).json()
    assert found == {"words": ["wing"], "titles": [{"id": "wing", "title": "Wings"}]} or "wings" in found["words"]
    problem(small.http.get("/v1/collections/small/suggest", params={"q": "a", "k": 21}), 422, "invalid_request")
    problem(small.http.get("/v1/collections/none/suggest", params={"q": "a"}), 404, "collection_not_found")


@pytest.mark.parametrize(
    ("path", "parameter", "says"),
    [
        ("search", "q=cat&ofset=3", "did you mean offset?"),
        ("documents", "ofset=3", "did you mean offset?"),
        ("suggest", "q=a&query=b", "the names here are q, k"),
        ("documents", "page=3", "the names here are id, filter, sort, offset, after, limit"),
    ],
)
def test_unknown_parameters_name_the_nearest(small: Served, path: str, parameter: str, says: str) -> None:
    found = problem(small.http.get(f"/v1/collections/small/{path}?{parameter}"), 422, "invalid_request")
    assert says in found.detail


def test_documents_cannot_be_ordered_by_an_unknown_field(small: Served) -> None:
    found = problem(small.http.get("/v1/collections/small/documents?sort=yaer"), 400, "bad_filter")
    assert "did you mean 'year'?" in found.detail


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"query": "x" * 100_000}, 422, "invalid_request", "20000"),
        ({"query": "cat", "k": 0}, 422, "invalid_request", "k"),
        ({"query": "cat", "k": 1_000_000}, 422, "invalid_request", "10000"),
        ({"query": "cat", "k": 1_001}, 400, "bad_query", "1,000"),
        ({"query": "cat", "k": 10, "offset": 9_999}, 400, "bad_query", "10,000"),
        ({"query": "cat", "mode": "magic"}, 422, "invalid_request", "mode"),
        ({"query": "cat", "topk": 3}, 422, "invalid_request", "topk"),
        ({"query": "cat", "facet": ["year"]}, 422, "invalid_request", "did you mean facets?"),
        (
            {"query": "cat", "rerank": {"dept": 3}},
            422,
            "invalid_request",
            "rerank/dept: is no known name; did you mean",
        ),
        ({"query": "cat", "zzzzzz": 3, "k": 0}, 422, "invalid_request", "the names here are"),
        ({"query": "cat", "filter": "year >"}, 400, "bad_filter", ""),
        ({"query": "\ud800"}, 400, "bad_json", "surrogate"),
        ({"query": "cat", "facets": [f"f{n}" for n in range(50)]}, 400, "bad_query", "facets"),
        ({}, 422, "invalid_request", "query"),
        ([], 422, "invalid_request", ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_searched_is_refused_and_explained(
    small: Served, body: Any, status: int, code: str, says: str
) -> None:
    found = problem(small.http.post(SEARCH, content=json_bytes(body), headers=JSON), status, code)
    assert says in found.detail
    if status == 422:
        assert found.errors


JSON = {"content-type": "application/json"}


def json_bytes(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


def test_framework_errors_are_problems_too(small: Served) -> None:
    problem(small.http.get("/nothing/here"), 404, "not_found")
    problem(small.http.delete(SEARCH), 405, "method_not_allowed")
    problem(small.http.post(SEARCH, content=b"{", headers=JSON), 400, "bad_json")
    problem(small.http.post(SEARCH, content=b"[" * 100_000, headers=JSON), 400, "bad_json")
    problem(small.http.post(SEARCH, content=b"\xff\xfe", headers=JSON), 400, "bad_json")
    unlabelled = problem(small.http.post(SEARCH, content=b'{"query": "cat"}'), 422, "invalid_request")
    assert "content-type: application/json" in unlabelled.detail
    problem(small.http.get("/v1/collections/none"), 404, "collection_not_found")
    problem(small.http.get("/v1/collections/small/documents/none"), 404, "document_not_found")
    problem(small.http.get("/v1/collections/small/documents/..%2f..%2fetc%2fpasswd"), 404, "document_not_found")
    problem(small.http.get("/v1/collections/..%2fsmall"), 404, "not_found")
    problem(small.http.get("/v1/collections/"), 404, "not_found")  # no way to be led to another address


HALF_A_PAIR = b'"\\ud800"'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", b'{"model": "default", "input": %b}'),
        ("/embed", b'{"inputs": %b}'),
        ("/embed_all", b'{"inputs": %b}'),
        ("/tokenize", b'{"inputs": %b}'),
        ("/similarity", b'{"inputs": {"source_sentence": "a", "sentences": [%b]}}'),
        ("/rerank", b'{"query": "a", "texts": [%b]}'),
        ("/v2/rerank", b'{"query": "a", "documents": [%b], "model": "default"}'),
        ("/v1/collections/small/documents", b'{"documents": [{"id": "a", "text": %b}]}'),
        ("/v1/collections/small/documents", b'{"documents": [{"id": "a", "text": "b", "metadata": {"c": [%b]}}]}'),
    ],
)
def test_half_a_character_is_refused_wherever_it_stands(small: Served, path: str, body: bytes) -> None:
    found = small.http.post(path, content=body % HALF_A_PAIR, headers=JSON)
    assert found.status_code in (400, 422)
    assert "surrogate" in found.text


def test_head_answers_like_get_without_a_body(small: Served) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/", "/v1/collections", "/static/search.js"):
        asked = small.http.head(path)
        assert (asked.status_code, asked.content) == (200, b"")
    assert small.http.head("/v1/collections/none").status_code == 404


def test_probes_need_nothing(small: Served) -> None:
    assert small.http.get("/livez").json() == {"status": "ok"}
    for path in ("/readyz", "/healthz"):
        assert small.http.get(path).json() == {"status": "ready", "failed": [], "warnings": []}


def test_a_request_id_is_given_back_or_made(small: Served) -> None:
    assert small.http.get("/livez", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = small.http.get("/livez", headers={"x-request-id": "not a word\t<b>"}).headers["x-request-id"]
    assert made.isalnum()


def test_the_openapi_document_describes_every_error_and_gives_examples(small: Served) -> None:
    document = small.http.get("/openapi.json").json()
    search_post = document["paths"]["/v1/collections/{name}/search"]["post"]
    assert {"200", "400", "401", "404", "413", "422", "429", "503"} <= set(search_post["responses"])
    assert list(search_post["responses"]["422"]["content"]) == ["application/problem+json"]
    assert document["components"]["schemas"]["SearchBody"]["examples"]
    assert document["components"]["schemas"]["SearchAnswer"]["examples"]
    SearchAnswer.model_validate(document["components"]["schemas"]["SearchAnswer"]["examples"][0], extra="forbid")
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_body_has_an_example(small: Served) -> None:
    document = small.http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            for each in schema.get("anyOf", [schema] if schema else []):
                assert document["components"]["schemas"][each["$ref"].rpartition("/")[2]]["examples"], path


MIRRORS: list[tuple[type[BaseModel], type]] = [
    (collections.EncoderAnswer, types.EncoderFingerprint),
    (search.SearchAnswer, results.SearchResult),
    (search.HitAnswer, results.Hit),
    (search.PassageAnswer, results.PassageHit),
    (search.TimingsAnswer, results.Timings),
    (wire_facets.FacetAnswer, facets.FacetCount),
    (wire_facets.RangeAnswer, facets.RangeCount),
    (wire_facets.FacetStatsAnswer, facets.FacetStats),
    (SearchBody, types.SearchRequest),
    (wire_explanations.ExplanationAnswer, explanations.Explanation),
    (wire_explanations.DenseExplanationAnswer, explanations.DenseExplanation),
    (wire_explanations.LexicalExplanationAnswer, explanations.LexicalExplanation),
    (wire_explanations.ReplacementAnswer, explanations.Replacement),
    (wire_explanations.ExamplePartAnswer, explanations.ExamplePart),
    (wire_explanations.TermPartAnswer, explanations.TermPart),
    (wire_explanations.WordPartAnswer, explanations.WordPart),
    (wire_explanations.ScoredSpanAnswer, explanations.Span),
]


NOT_ON_THE_WIRE = {"collapse_near", "now"}  # a part of `collapse` there; the time of the request
OF_THE_SERVICE = {"log", "query_id", "min_generation"}  # its query log, and the generations that it serves


@pytest.mark.parametrize(("wire", "record"), MIRRORS, ids=lambda each: each.__name__)
def test_wire_types_have_the_fields_of_the_records(wire: type[BaseModel], record: type) -> None:
    known = {field.name for field in dataclasses.fields(record)}
    assert set(wire.model_fields) - OF_THE_SERVICE == known - NOT_ON_THE_WIRE


def test_page_has_the_weight_of_the_fusion_table(small: Served) -> None:
    page = small.http.get("/").text
    found = re.search(r'data-weight="([^"]*)"', page)
    assert found is not None
    weight = FUSIONS[DEFAULT_FUSION].parameters[0]
    expected = {"low": weight.low, "high": weight.high, "default": weight.default, "choices": list(weight.tuned)}
    assert json.loads(html.unescape(found[1])) == expected


def test_fusion_is_that_of_the_table() -> None:
    fields = SearchBody.model_json_schema()["properties"]
    assert fields["fusion"]["enum"] == list(FUSIONS)
    assert (fields["rrf_k"]["default"], fields["rrf_k"]["minimum"], fields["rrf_k"]["maximum"]) == (60, 1, 10_000)
    number = fields["weight"]["anyOf"][0]
    assert (number["minimum"], number["maximum"], fields["weight"]["default"]) == (0, 1, None)


@pytest.mark.parametrize("query", ["", " \n", "*"])
def test_a_blank_query_lists_all_documents(small: Served, query: str) -> None:
    found = small.http.post("/v1/collections/small/search", json={"query": query, "k": 100}).json()
    assert found["total"] == {"value": len(found["hits"]), "relation": "exact"}
    same = small.http.get("/v1/collections/small/search", params={"q": query, "k": 100}).json()
    assert [hit["id"] for hit in same["hits"]] == [hit["id"] for hit in found["hits"]]
    assert len(found["hits"]) == small.http.get("/v1/collections/small").json()["documents"]
