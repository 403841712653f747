"""Contexts: within the limit, never empty, and citations that lead to the text."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import BadQuery
from retrieval.results import Hit, PassageHit, SearchResult, Timings
from retrieval.search.answers.context import Context, ContextLimit, Unit, counter
from retrieval.search.answers.packing import find_context, pack_context
from retrieval.search.searcher import Searcher
from retrieval.types import Detail, Included, Mode, SearchRequest
from tests.retrieval.search.conftest import SUBJECTS

REQUEST = SearchRequest("squirrels bury acorns", k=50)


class MarkTokenizer:
    """Every word and every sign is a token."""

    max_tokens = 8

    def spans(self, text: str) -> np.ndarray:
        found = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
        return np.array(found, np.int32).reshape(-1, 2)


def result(*hits: Hit) -> SearchResult:
    ranked = tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1))
    return SearchResult("q", "c", 1, Mode.DENSE, ranked, Timings(0, 0, 0, 0))


def hit(document: str, text: str, start: int = 0, end: int | None = None, location: str = "", title: str = "") -> Hit:
    end = len(text) if end is None else end
    passage = PassageHit(text[start:end], start, end, 1.0, location)
    return Hit(0, document, 1.0, title, "", {"path": f"{document}.txt"}, (passage,))


def packed(*hits: Hit, limit: int = 100, unit: Unit = Unit.TOKENS) -> Context:
    return pack_context(SearchRequest("q"), ContextLimit(limit, unit), result(*hits), MarkTokenizer())


def check(context: Context, limit: int, count: Callable[[str], int], text_of: dict[str, str]) -> None:
    """Check the limit, the text and every citation of a context."""
    assert context.tokens == count(context.text) <= limit
    assert context.text.strip()
    assert [each.id for each in context.citations] == list(range(1, len(context.citations) + 1))
    for each in context.citations:
        assert text_of[each.document][each.start : each.end] == each.text
        assert context.text[each.offset : each.offset + len(each.text)] == each.text
    for before, after in pairwise(context.citations):
        assert before.document != after.document or before.end < after.start or not before.text
    documents = [each.document for each in context.citations]
    assert documents == sorted(documents, key=documents.index)  # those of one document stand together


def test_passages_that_overlap_are_joined_in_the_order_of_the_document() -> None:
    text = "One two three. Four five six. Seven eight nine. Ten eleven."
    later, earlier = hit("a", text, 15, 47, "p. 2", "Numbers"), hit("a", text, 0, 29, "p. 1", "Numbers")
    context = packed(later, hit("b", "Another text."), earlier)
    assert context.text == "[1] Numbers, p. 1\nOne two three. Four five six. Seven eight nine.\n\n[2] b\nAnother text."
    first = context.citations[0]
    assert (first.document, first.start, first.end, first.page, first.source) == ("a", 0, 47, 1, "a.txt")
    assert [(each.start, each.end) for each in first.passages] == [(15, 47), (0, 29)]


def test_parts_of_a_document_that_do_not_touch_are_citations_of_their_own() -> None:
    text = "One two three. Four five six. Seven eight nine."
    context = packed(hit("a", text, 30, 47), hit("a", text, 0, 14))
    assert [(each.start, each.end) for each in context.citations] == [(0, 14), (30, 47)]


def test_sentences_that_the_context_has_are_not_repeated() -> None:
    shared = "This report is confidential and must not be copied."
    first, second = f"{shared} Profits rose by a tenth.", f"{shared.upper()} Losses fell by a third."
    context = packed(hit("a", first), hit("b", second), hit("c", first))
    assert [each.document for each in context.citations] == ["a", "b"]
    assert context.citations[1].text == "Losses fell by a third."


def test_the_text_that_does_not_fit_is_cut_at_a_sentence() -> None:
    context = packed(hit("a", "One two three. Four five six."), hit("b", "Seven eight. Nine ten eleven."), limit=20)
    assert context.text == "[1] a\nOne two three. Four five six.\n\n[2] b\nSeven eight."
    assert (context.truncated, context.next_offset) == (True, 2)


def test_lines_that_name_documents_count() -> None:
    title = "A rather long title of a document"
    assert packed(hit("a", "One two. Three four.", title=title), limit=40).text.startswith(f"[1] {title}\n")
    assert packed(hit("a", "One two. Three four.", title=title), limit=16).text == "[1]\nOne two. Three four."


TEXT = st.text("ab cd. \n!", max_size=60)
SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8)


@given(st.tuples(TEXT, TEXT, TEXT), SPANS, st.integers(16, 60), st.sampled_from(list(Unit)))
def test_any_passages_of_any_texts(
    texts: tuple[str, str, str], spans: list[tuple[int, int, int]], limit: int, unit: Unit
) -> None:
    hits = [
        hit(f"document {which}", texts[which], min(start, len(texts[which])), min(start + length, len(texts[which])))
        for which, start, length in spans
    ]
    context = packed(*hits, limit=limit, unit=unit)
    text_of = {f"document {number}": text for number, text in enumerate(texts)}
    check(context, limit, counter(unit, MarkTokenizer()), text_of)


def random_request(draw: random.Random, words: list[str]) -> SearchRequest:
    """Return a search with random words and options."""
    options = draw.choice(
        (
            {},
            {"mode": Mode.DENSE},
            {"mode": Mode.LEXICAL},
            {"filter": "year >= 2002"},
            {"diversity": 0.5},
            {"neighbours": 1},
            {"collapse_near": 0.95},
            {"sort": "-year", "passages_per_document": 3},
            {"highlight": True, "k": 5},
        )
    )
    query = " ".join(draw.choice(words) for _ in range(draw.randint(1, 8)))
    return SearchRequest(query, **{"k": 50, **options})


@pytest.mark.parametrize("queries", [40, pytest.param(1_000, marks=pytest.mark.slow)])
def test_random_queries(library: Searcher, queries: int) -> None:
    draw = random.Random(queries)
    words = [*" ".join(SUBJECTS.values()).split(), "zeppelin", "2003", "?"]
    text_of = {each.id: each.text for each in library.reader.documents(np.arange(library.reader.manifest.documents))}
    for number in range(queries):
        request, unit = random_request(draw, words), draw.choice(list(Unit))
        limit = 2_000 if number % 2 else draw.randint(16, 500)
        context = find_context(library, request, ContextLimit(limit, unit))
        if library.search(request).hits:
            check(context, limit, counter(unit, library.encoder.tokenizer), text_of)
        else:
            assert (context.text, context.citations) == ("", ())


def test_options_of_the_search_show_in_the_context(library: Searcher) -> None:
    request = replace(REQUEST, explain=True, highlight=True, k=10, fields=("year",), facets=("tags",))
    context = find_context(library, request)
    first = context.citations[0]
    assert first.passages[0].explanation is not None
    assert "acorns" in {first.text[start:end] for start, end in first.highlights}
    assert set(first.metadata) == {"year"}
    assert context.search.facets["tags"]
    by_document = find_context(library, replace(REQUEST, passages_per_document=1), by_document=True)
    documents = [each.document for each in by_document.citations]
    assert len(set(documents)) == len(documents)


def test_wrong_limits_are_refused(library: Searcher) -> None:
    for limit in (ContextLimit(15), ContextLimit(100_001), ContextLimit(100, "letters")):  # type: ignore[arg-type]
        with pytest.raises(BadQuery, match=r"max_tokens is|unit is"):
            find_context(library, REQUEST, limit)
    for request in (replace(REQUEST, detail=Detail.IDS), replace(REQUEST, include=(Included.TEXT,))):
        with pytest.raises(BadQuery, match="has passages"):
            find_context(library, request)
