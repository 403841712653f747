"""Searches by example, compared with a comparison of all passages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.errors import BadQuery, DocumentNotFound
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.search.examples import MAX_TERMS
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, RerankOptions, Scores, SearchRequest

MODES = [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]
IDS = [f"d{number:02}" for number in range(40)]
ids = st.lists(st.sampled_from(IDS), max_size=3, unique=True)


def document_vector(searcher: Searcher, id_: str) -> np.ndarray:
    reader = searcher.reader
    rows = np.flatnonzero(reader.document_of == reader.document_row(id_))
    return unit(reader.vectors.rows(rows).mean(axis=0))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def telling(searcher: Searcher, id_: str) -> list[str]:
    lexical, document = searcher.reader.lexical, searcher.document(id_)
    assert lexical is not None
    counts = Counter(lexical.ranking_terms(f"{document.title} {document.text}"))
    return sorted(counts, key=lambda term: (-counts[term] * lexical.idf(term), term))[:MAX_TERMS]


def expected(searcher: Searcher, request: SearchRequest, mode: Mode, weight: float) -> dict[str, float]:
    """Return the score of each document: the definition, over all passages."""
    reader, lexical = searcher.reader, searcher.reader.lexical
    assert lexical is not None
    everything = np.arange(reader.rows)
    parts = [searcher.encoder.encode_queries([request.query])[0]] if request.query else []
    parts += [unit(np.array(request.vector))] if request.vector else []
    parts += [sum(document_vector(searcher, each) for each in request.like) / len(request.like)] if request.like else []
    unlike = [document_vector(searcher, each) for each in request.unlike]
    vector = unit(sum(parts) - (0.5 * sum(unlike) / len(unlike) if unlike else 0))
    cosines = reader.vectors.rows(everything) @ vector
    avoided = {term for each in request.unlike for term in telling(searcher, each)}
    terms = dict.fromkeys(term for each in request.like for term in telling(searcher, each) if term not in avoided)
    words = lexical.score(ParsedQuery(request.query, typos=True, terms=tuple(terms)), everything)
    allowed = reader.live & ~np.isin(
        reader.document_of, list(map(reader.document_row, (*request.like, *request.unlike)))
    )
    if request.filter:
        allowed &= reader.matching_documents(request.filter)[reader.document_of]
    background = reader.manifest.background
    assert background is not None
    low = np.float64(background.mean)
    most = words[allowed].max(initial=0.0)
    scores: Scores = {
        Mode.DENSE: cosines,
        Mode.LEXICAL: words,
        Mode.HYBRID: weight * (cosines - low) / (6 * background.deviation) + (1 - weight) * words / (most or 1.0),
    }[mode]
    if mode is Mode.LEXICAL:
        allowed &= words > 0
    best: dict[str, float] = {}
    for row in np.flatnonzero(allowed).tolist():
        [id_] = reader.ids([reader.document_of[row]])
        best[id_] = max(best.get(id_, -np.inf), float(scores[row]))
    return best


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.sampled_from(["", "trees and flowers", "baking bread"]),
    like=ids,
    unlike=ids,
    number=st.sampled_from([None, 3, 17]),
    mode=st.sampled_from(MODES),
    filter_=st.sampled_from(["", "year > 2002"]),
)
def test_scores_are_those_of_the_definition(
    library: Searcher, query: str, like: list[str], unlike: list[str], number: int | None, mode: Mode, filter_: str
) -> None:
    unlike = [each for each in unlike if each not in like]
    number = None if mode is Mode.LEXICAL else number
    if not (query or like or number is not None):
        like = ["d07"]
        unlike = [each for each in unlike if each != "d07"]
    vector = None if number is None else tuple((3.0 * library.reader.vectors.rows(np.array([number]))[0]).tolist())
    request = SearchRequest(
        query, k=50, mode=mode, filter=filter_, like=tuple(like), unlike=tuple(unlike), vector=vector
    )
    request = replace(request, feedback=0.0)
    found = library.search(request)
    wanted = expected(library, request, mode, 1.0 if found.weight is None else found.weight)
    assert {hit.id for hit in found.hits} == wanted.keys()
    for hit in found.hits:
        assert hit.score == pytest.approx(wanted[hit.id], abs=2e-3 if mode is not Mode.LEXICAL else 1e-4)
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)


def test_similar_documents_are_of_the_same_subject(library: Searcher) -> None:
    [subject] = library.document("d07").metadata["tags"][:1]  # type: ignore[index]
    for mode in MODES:
        hits = library.search(SearchRequest("*", k=5, like=("d07",), mode=mode)).hits
        assert {hit.metadata["tags"][0] for hit in hits} == {subject}
        assert "d07" not in {hit.id for hit in hits}


def test_an_explanation_divides_the_cosine_among_the_examples(library: Searcher) -> None:
    request = SearchRequest("bread", k=3, like=("d01", "d02"), unlike=("d03",), mode=Mode.DENSE, explain=True)
    for hit in library.search(request).hits:
        assert hit.explanation is not None
        parts = hit.explanation.examples
        assert [(each.source, each.id) for each in parts] == [
            ("query", ""), ("like", "d01"), ("like", "d02"), ("unlike", "d03"),
        ]  # fmt: skip
        assert sum(each.score for each in parts) == pytest.approx(hit.scores["dense"], abs=1e-5)
        assert hit.explanation.dense is None


def test_a_vector_alone_ranks_by_meaning(library: Searcher) -> None:
    vector = tuple(library.encoder.encode_queries(["baking bread"])[0].tolist())
    by_vector = library.search(SearchRequest("", vector=vector))
    by_text = library.search(SearchRequest("baking bread", mode=Mode.DENSE))
    assert [hit.id for hit in by_vector.hits] == [hit.id for hit in by_text.hits]
    assert (by_vector.weight, by_vector.weight_reason) == (1.0, "the request has no words")


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (SearchRequest("x", vector=(1.0, 2.0)), "vector has 2 numbers; the encoder of library makes vectors of 384"),
        (SearchRequest("x", vector=(0.0,) * 384), "no direction"),
        (SearchRequest("x", vector=(float("inf"),) * 384), "no direction"),
        (SearchRequest("x", vector=(1.0,) * 384, mode=Mode.LEXICAL), "use mode dense or hybrid"),
        (SearchRequest("x", like=("d01",), mode=Mode.SPARSE), "use another mode"),
        (SearchRequest("*", unlike=("d01",)), "something to start from"),
        (SearchRequest("x", like=("d01",), unlike=("d01",)), "both name 'd01'"),
        (SearchRequest("x", like=tuple(IDS)), "at most 32"),
        (SearchRequest("", like=("d01",), rerank=RerankOptions("any")), "nothing to rerank"),
    ],
)
def test_unusable_examples_are_refused(library: Searcher, request_: SearchRequest, says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        library.search(request_)


def test_an_unknown_example_is_named(library: Searcher) -> None:
    with pytest.raises(DocumentNotFound, match="'d99'"):
        library.search(SearchRequest("", like=("d01", "d99")))
