"""Modes, filters, fusion, sorting and facets against brute force on every passage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.errors import BadQuery, FilterError
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.storage.manifest import CosineBackground
from retrieval.results import Hit
from retrieval.search.retrievers import RETRIEVERS, DenseRetriever, RetrieverQuery, RetrieverType
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Bitmap, Document, Matching, Mode, Ranking, Rows, Scores, SearchRequest, Syntax

FILTERS: dict[str, Any] = {
    "": lambda _: True,
    "year >= 2003": lambda fields: fields.get("year", -1) >= 2003,
    "tags = even AND NOT tags = roses": lambda fields: "even" in fields["tags"] and "roses" not in fields["tags"],
    'author EXISTS OR tags IN ["bread"]': lambda fields: "author" in fields or "bread" in fields["tags"],
    'author = "Author 1" AND year = 2001': lambda fields: fields.get("author") == "Author 1" and fields["year"] == 2001,
    "year > 3000": lambda _: False,
}
QUERIES = [
    "which animals bury the seeds of trees",
    "str.rstrip",
    "the of and in",
    "flowers that smell sweet in winter, and the tail of Halley",
    "baking",
    "text number 7",
]


MODES = [mode for mode in Mode if mode is not Mode.SPARSE]  # of a collection without a sparse index


def live(library: Searcher) -> dict[int, Document]:
    rows = np.flatnonzero(library.reader.live_documents)
    return dict(zip(rows.tolist(), library.reader.documents(rows), strict=True))


class DocumentNumberRetriever:
    """A third retriever: the score is the document's row modulo 5; 0 does not match."""

    name: ClassVar[str] = "number"
    matches_all: ClassVar[bool] = False
    min_candidates: ClassVar[int] = 2

    @property
    def score_range(self) -> tuple[float, float]:
        return 0.0, self.upper_bound(0)

    def __init__(self, query: RetrieverQuery) -> None:
        self._scores = (query.reader.document_of % 5).astype(np.float32)
        self._allowed = query.allowed_rows

    def rank(self, k: int, *, exact: bool = False) -> Ranking:  # noqa: ARG002
        rows = np.flatnonzero(self.matches())
        return Ranking.top(rows, self._scores[rows], k)

    def score(self, rows: Rows) -> Scores:
        return self._scores[rows]

    def matches(self) -> Bitmap:
        return np.asarray(self._allowed & (self._scores > 0))

    def upper_bound(self, k: int) -> float:
        scores = np.append(self.rank(max(k, 1)).scores, 0.0)
        return float(scores[max(k, 1) - 1]) if len(scores) >= k else 0.0


def brute_force(
    library: Searcher, request: SearchRequest, retrievers: Sequence[RetrieverType] = RETRIEVERS
) -> list[tuple[float, str]]:
    """(score, id) of every matching document, in the order of the answer."""
    reader = library.reader
    words = reader.lexical
    assert words is not None
    everything = np.arange(reader.rows)
    fields = {row: document.metadata for row, document in live(library).items()}
    allowed = np.array(
        [row in fields and FILTERS[request.filter](fields[row]) for row in reader.document_of.tolist()], dtype=bool
    )
    query = library.encoder.encode_queries([request.query])[0]
    dense = reader.vectors.score(query, everything).astype(float)
    lexical = words.score(ParsedQuery(request.query), everything).astype(float)
    known = {"dense": dense, "lexical": lexical, "number": (reader.document_of % 5).astype(float)}
    if reader.sparse is not None and library.sparse_encoder is not None:
        weights = library.sparse_encoder.weigh_queries([request.query])[0]
        known["sparse"] = reader.sparse.query(weights).score(everything).astype(float)
    if request.mode is Mode.HYBRID:
        parts = {each.name: known[each.name] for each in retrievers if each.name in known}
        scores, matching = fused(parts, allowed, request, reader.manifest.background)
        if request.fusion == "convex" and request.weight not in (0.0, 1.0):
            best = sorted(np.flatnonzero(matching), key=lambda row: (-np.float32(scores[row]), row))[:2]
            moved = query + 0.4 * reader.vectors.rows(np.array(best)).mean(axis=0) if best else query
            parts["dense"] = reader.vectors.score(moved / np.linalg.norm(moved), everything).astype(float)
            scores, matching = fused(parts, allowed, request, reader.manifest.background)
    else:
        scores = known[request.mode or "dense"]
        matching = allowed if request.mode is Mode.DENSE else allowed & (scores > 0)
    best: dict[str, float] = {}
    names = {row: document.id for row, document in live(library).items()}
    for row in np.flatnonzero(matching).tolist():
        name = names[int(reader.document_of[row])]
        best[name] = max(best.get(name, -np.inf), float(np.float32(scores[row])))
    return sorted(((score, name) for name, score in best.items()), key=lambda pair: (-pair[0], pair[1]))


def fused(
    scores: dict[str, np.ndarray], allowed: np.ndarray, request: SearchRequest, background: CosineBackground | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the fused score of every row, and which rows match, by definition."""
    assert background is not None
    convex = request.fusion == "convex"
    weight = (0.6 if convex else 0.5) if request.weight is None else request.weight
    shares = {name: weight if name == "dense" else (1 - weight) / (len(scores) - 1) for name in scores}
    if convex and "sparse" in scores:
        part = 0.4 if request.sparse_weight is None else request.sparse_weight
        shares |= {"sparse": (1 - weight) * part, "lexical": (1 - weight) * (1 - part)}
    total, matching = np.zeros(len(allowed)), np.zeros(len(allowed), bool)
    for name, values in scores.items():
        share = shares[name]
        matches = allowed & ((values > 0) | (name == "dense"))
        if convex and name == "dense":
            total += share * (values - background.mean) / (6 * background.deviation)
        elif convex:
            total += share * values / (values[allowed].max(initial=0.0) or 1.0)
        else:
            for row in np.flatnonzero(matches):
                total[row] += len(scores) * share / (request.rrf_k + 1 + np.sum(values[allowed] > values[row]))
        if share > 0:
            matching |= matches
    return total, matching


REQUESTS = st.builds(
    SearchRequest,
    query=st.sampled_from(QUERIES),
    k=st.integers(1, 45),
    offset=st.sampled_from([0, 0, 3, 20]),
    mode=st.sampled_from(MODES),
    filter=st.sampled_from(sorted(FILTERS)),
    fusion=st.sampled_from(["convex", "rrf"]),
    weight=st.sampled_from([None, 0.0, 0.3, 1.0]),
    rrf_k=st.sampled_from([1, 60]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=REQUESTS)
def test_hits_are_those_of_brute_force(library: Searcher, request: SearchRequest) -> None:
    result = library.search(request)
    expected = brute_force(library, request)[request.offset : request.offset + request.k]
    assert [hit.score for hit in result.hits] == pytest.approx([score for score, _ in expected], abs=2e-6)
    for hit, (score, name) in zip(result.hits, expected, strict=True):
        assert hit.id == name or any(abs(score - other) < 2e-6 for other, twin in expected if twin == hit.id)
    assert [hit.rank for hit in result.hits] == list(range(request.offset + 1, request.offset + 1 + len(expected)))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    request=REQUESTS,
    mode=st.sampled_from([Mode.SPARSE, Mode.HYBRID, Mode.HYBRID]),
    sparse_weight=st.sampled_from([None, 0.0, 0.3, 1.0]),
)
def test_a_sparse_index_answers_as_brute_force(
    sparse_library: Searcher, request: SearchRequest, mode: Mode, sparse_weight: float | None
) -> None:
    request = replace(request, mode=mode, sparse_weight=sparse_weight)
    result = sparse_library.search(request)
    expected = brute_force(sparse_library, request)[request.offset : request.offset + request.k]
    assert [hit.score for hit in result.hits] == pytest.approx([score for score, _ in expected], rel=2e-6, abs=2e-6)
    for hit, (score, name) in zip(result.hits, expected, strict=True):
        near = max(1.0, abs(score)) * 2e-6
        assert hit.id == name or any(abs(score - other) < near for other, twin in expected if twin == hit.id)


def test_examples_rank_in_hybrid_mode_of_three_and_not_in_sparse_mode(sparse_library: Searcher) -> None:
    assert sparse_library.search(SearchRequest("", like=("d01",), mode=Mode.HYBRID)).hits
    with pytest.raises(BadQuery, match="mode sparse"):
        sparse_library.search(SearchRequest("roses", like=("d01",), mode=Mode.SPARSE))


def test_a_sparse_index_obeys_operators_and_deletions(sparse_library: Searcher) -> None:
    request = SearchRequest(
        "the flowers of winter, bread and trees -roses", k=40, mode=Mode.SPARSE, syntax=Syntax.OPERATORS
    )
    hits = sparse_library.search(request).hits
    assert hits
    assert not any("Roses" in hit.passages[0].text or hit.id == "gone" for hit in hits)
    by_year = replace(request, query="the flowers of winter", sort="year", facets=("tags",), matching=Matching.ALL)
    assert len(sparse_library.search(by_year).hits) == sparse_library.search(by_year).total.value


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=REQUESTS, lexical=st.booleans())
def test_a_third_retriever_is_one_class_and_one_entry(library: Searcher, request: SearchRequest, lexical: bool) -> None:
    retrievers = (*(RETRIEVERS if lexical else (DenseRetriever,)), DocumentNumberRetriever)
    request = replace(request, mode=Mode.HYBRID)
    result = Searcher(library.reader, library.encoder, retrievers=retrievers).search(request)
    expected = brute_force(library, request, retrievers)[request.offset : request.offset + request.k]
    assert [hit.score for hit in result.hits] == pytest.approx([score for score, _ in expected], abs=2e-6)
    for hit, (score, name) in zip(result.hits, expected, strict=True):
        assert hit.id == name or any(abs(score - other) < 2e-6 for other, twin in expected if twin == hit.id)
        assert list(hit.scores) == ["dense", "lexical", "number", "fused"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("expression", sorted(FILTERS))
def test_facets_count_all_matches(library: Searcher, mode: Mode, expression: str) -> None:
    request = SearchRequest(
        "baking flowers", k=1, mode=mode, filter=expression, facets=("tags", "year"), matching=Matching.ALL
    )
    names = {name for _, name in brute_force(library, request)}
    fields = [document.metadata for document in live(library).values() if document.id in names]
    facets = library.search(request).facets
    assert {each.value: each.count for each in facets["tags"]} == Counter(
        tag for each in fields for tag in each["tags"]
    )
    assert {each.value: each.count for each in facets["year"]} == Counter(each["year"] for each in fields)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sort", ["year", "-year", "author", "-date"])
def test_sorting(library: Searcher, mode: Mode, sort: str) -> None:
    request = SearchRequest("roses and oaks", k=9, mode=mode, sort=sort, matching=Matching.ALL)
    scores = {name: score for score, name in brute_force(library, request)}
    name, descending = sort.removeprefix("-"), sort.startswith("-")

    def key(document: Document) -> tuple[Any, ...]:
        return (-round(scores[document.id], 5), document.id)

    matching = [document for document in live(library).values() if document.id in scores]
    present = sorted((each for each in matching if name in each.metadata), key=key)
    present.sort(key=lambda each: each.metadata[name], reverse=descending)
    if descending:  # a reversed stable sort would turn ties around too
        values = sorted({each.metadata[name] for each in present}, reverse=True)
        present = [each for value in values for each in present if each.metadata[name] == value]
        present.sort(key=lambda each: (values.index(each.metadata[name]), *key(each)))
    absent = sorted((each for each in matching if name not in each.metadata), key=key)
    pages = [library.search(replace(request, offset=offset)).hits for offset in range(0, 45, 9)]
    assert [hit.id for page in pages for hit in page] == [each.id for each in [*present, *absent]]


@pytest.mark.parametrize("mode", MODES)
def test_min_score(library: Searcher, mode: Mode) -> None:
    request = SearchRequest("roses and oaks", k=45, mode=mode, facets=("tags",))
    middle = brute_force(library, request)[7][0]
    result = library.search(replace(request, min_score=middle))
    kept = [hit.id for hit in library.search(request).hits if hit.score >= middle]
    assert [hit.id for hit in result.hits] == kept
    assert sum(each.count for each in result.facets["tags"] if each.value in ("even", "odd")) == len(kept)
    assert library.search(replace(request, min_score=1e6)).hits == ()


def test_scores_of_both_retrievers_are_shown(library: Searcher) -> None:
    result = library.search(SearchRequest("squirrels", k=40))
    assert (result.mode, result.weight, result.weight_reason) == (Mode.HYBRID, 0.6, "the default of 0.6")
    low, high = result.score_ranges["dense"]
    best = max(hit.scores["lexical"] or 0 for hit in result.hits)
    for hit in result.hits:
        assert hit.scores["dense"] is not None
        assert hit.scores["lexical"] is not None
        assert hit.score == hit.scores["fused"] == hit.passages[0].score
        meaning = (hit.scores["dense"] - low) / (high - low)
        assert hit.score == pytest.approx(0.6 * meaning + 0.4 * hit.scores["lexical"] / best, abs=1e-6)
    (first, *_) = library.search(SearchRequest("squirrels", mode=Mode.LEXICAL)).hits
    assert (first.scores["dense"], first.scores["fused"], first.scores["lexical"]) == (None, None, first.score)


def test_phrases_and_exclusions_hold_for_both_retrievers(library: Searcher) -> None:
    def texts(hits: tuple[Hit, ...]) -> list[str]:
        return [passage.text + hit.title for hit in hits for passage in hit.passages]

    for mode in (Mode.LEXICAL, Mode.HYBRID):
        obeyed = SearchRequest('trees "bear acorns" -"number 16"', k=40, mode=mode, syntax=Syntax.OPERATORS)
        found = library.search(obeyed).hits
        assert found
        assert all("bear acorns" in text for text in texts(found))
        assert all("number 16" not in text for text in texts(found))
        without = library.search(replace(obeyed, query="flowers -roses")).hits
        assert not any("Roses" in text for text in texts(without))


@pytest.mark.parametrize("mode", [Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize("query", ["crumbs -marmalade", 'crumbs -"bitter marmalade"'])
def test_an_excluded_word_anywhere_leaves_the_document_out(
    library: Searcher, tmp_path: Path, mode: Mode, query: str
) -> None:
    long = "Crumbs of toast fell on the floor. " * 60
    documents = (
        Document("with", f"{long} Bitter marmalade stood beside it. {long}"),
        Document("without", f"{long} Bitter coffee stood beside it. {long}"),
    )
    create_collection(tmp_path / "table", library.encoder)
    apply_changes(tmp_path / "table", library.encoder, [CollectionChange(upserts=documents)])
    with open_searcher(tmp_path / "table", encoder=library.encoder) as table:
        assert table.reader.rows > 4  # several passages a document
        assert {hit.id for hit in table.search(SearchRequest("crumbs", mode=mode)).hits} == {"with", "without"}
        obeyed = SearchRequest(query, mode=mode, syntax=Syntax.OPERATORS, passages_per_document=9)
        assert [hit.id for hit in table.search(obeyed).hits] == ["without"]
        (hit,) = table.search(replace(obeyed, query='crumbs "bitter marmalade"')).hits
        assert all("Bitter marmalade" in passage.text for passage in hit.passages)
        by_words = SearchRequest("marmalade", mode=mode, weight=0.0, passages_per_document=9)
        for fusion in ("convex", "rrf"):  # passages without a word of the query do not match
            (hit,) = table.search(replace(by_words, fusion=fusion)).hits
            assert all("marmalade" in passage.text and passage.score > 0 for passage in hit.passages)


def test_what_is_dead_is_not_found(library: Searcher) -> None:
    for mode in MODES:
        hits = library.search(
            SearchRequest("roses that were deleted and that nobody should find", k=100, mode=mode)
        ).hits
        assert len(hits) == 40 or mode is Mode.LEXICAL
        assert not any("no search" in hit.passages[0].text or hit.id == "gone" for hit in hits)


def test_text_that_the_encoder_cannot_read_is_left_to_words(library: Searcher) -> None:
    result = library.search(SearchRequest("дубы и белки oaks"))
    assert result.weight is not None
    assert 0 < result.weight < 0.3
    assert "lowered: the encoder cannot read" in result.weight_reason
    assert library.search(SearchRequest("谁可以成为个体工商户")).hits == ()


def test_chosen_fields_come_back(library: Searcher) -> None:
    (hit,) = library.search(SearchRequest("bread", k=1, fields=("year",))).hits
    assert set(hit.metadata) == {"year"}
    assert library.search(SearchRequest("bread", k=1, fields=())).hits[0].metadata == {}


def test_highlights(library: Searcher) -> None:
    (hit,) = library.search(SearchRequest("gardener sweet-smelling", k=1, highlight=True, mode=Mode.LEXICAL)).hits
    passage = hit.passages[0]
    assert {passage.text[start:end] for start, end in passage.highlights} == {"smell", "sweet", "Gardeners"}
    (hit,) = library.search(SearchRequest("animals that store seeds", k=1, highlight=True, mode=Mode.DENSE)).hits
    ((start, end),) = hit.passages[0].highlights
    assert "squirrels" in hit.passages[0].text[start:end]
    assert library.search(SearchRequest("bread", k=1)).hits[0].passages[0].highlights == ()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", ["\u202e\u200frose", "the " * 3000, "😀 roses", "β", "€ 5", "C++"])
def test_odd_queries_have_an_answer(library: Searcher, mode: Mode, query: str) -> None:
    assert len(library.search(SearchRequest(query, mode=mode)).hits) <= 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "query", ["\x00\x01\x07", "😀😀", "👨\u200d👩", "\u202e\u202d\u200f", "'" * 500, "?!", "-", "\u0301", "\ufffd"]
)
def test_queries_that_say_nothing_find_nothing(library: Searcher, mode: Mode, query: str) -> None:
    result = library.search(SearchRequest(query, mode=mode, weight=0.9 if mode is Mode.HYBRID else None))
    assert result.hits == ()
    assert result.weight_reason == ("the encoder knows no token of the query" if mode is Mode.HYBRID else "")


def test_modes_may_be_plain_names(library: Searcher) -> None:
    for mode in MODES:
        assert library.search(SearchRequest("roses", mode=str(mode))).mode is mode  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "words"}, BadQuery, "dense, lexical, sparse, hybrid"),
        ({"query": '"' * 10_000, "syntax": Syntax.OPERATORS}, BadQuery, "only operators"),
        ({"query": "-roses", "syntax": "operators"}, BadQuery, "only operators"),
        ({"syntax": "lucene"}, BadQuery, "plain, operators"),
        ({"query": "roses \ud800"}, BadQuery, "surrogate"),
        ({"filter": "year >"}, FilterError, "column 7"),
        ({"filter": "yeer > 3"}, FilterError, "did you mean 'year'"),
        ({"filter": 'year > "abc"'}, FilterError, "compared with a number"),
        ({"facets": ("text",)}, FilterError, "facets: unknown field 'text'"),
        ({"facets": ("year",) * 20}, BadQuery, "at most 16"),
        ({"sort": "-yaer"}, FilterError, "did you mean 'year'"),
        ({"sort": "tags"}, FilterError, "contains lists"),
        ({"fields": ("autor",)}, FilterError, "did you mean 'author'"),
        ({"weight": 1.5}, BadQuery, "from 0 to 1"),
        ({"weight": float("nan")}, BadQuery, "from 0 to 1"),
        ({"min_score": float("inf")}, BadQuery, "finite"),
        ({"fusion": "sum"}, BadQuery, "'convex' or 'rrf'"),
    ],
)
def test_what_cannot_be_answered(
    library: Searcher, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        library.search(SearchRequest(**{"query": "roses", **options}))
    assert words in str(caught.value)
