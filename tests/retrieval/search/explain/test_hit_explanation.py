"""Explanations of a real small collection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from indexer.building.pipeline import BuildSettings, build_collection
from retrieval.errors import BadQuery, DocumentNotFound
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Mode, SearchRequest, Syntax


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
def test_the_parts_of_every_hit_add_up(small: Searcher, mode: Mode) -> None:
    for query in ("does aspirin prevent strokes", "propeller wing", "cats at night"):
        result = small.search(SearchRequest(query, mode=mode, explain=True))
        assert result.hits
        for hit in result.hits:
            why = hit.explanation
            assert why is not None
            if mode is not Mode.LEXICAL:
                assert why.dense is not None
                assert np.array(why.dense.pairs).sum() == pytest.approx(hit.scores["dense"], abs=1e-4)
                assert sum(word.score for word in why.dense.passage) == pytest.approx(hit.scores["dense"], abs=1e-4)
            if mode is not Mode.DENSE:
                assert why.lexical is not None
                assert sum(term.score for term in why.lexical.terms) == pytest.approx(
                    hit.scores["lexical"] or 0, abs=1e-4
                )


def test_stop_words_are_named_and_have_no_share(small: Searcher) -> None:
    why = small.explain("don't cats sleep at the night?", "cats").lexical
    assert why is not None
    assert [term.term for term in why.terms] == ["cat", "sleep", "night"]
    assert why.stop_words == ("don't", "at", "the")
    quoted = small.explain('cats "at night"', "cats", syntax=Syntax.OPERATORS).lexical
    assert quoted is not None
    assert {term.term for term in quoted.terms} == {"cat", "at", "night"}
    assert quoted.stop_words == ()


def test_what_a_search_refuses_is_not_explained(small: Searcher, tmp_path: Path) -> None:
    with pytest.raises(BadQuery, match="only operators"):
        small.explain("-cats", "cats", Mode.HYBRID, syntax=Syntax.OPERATORS)
    (tmp_path / "documents.jsonl").write_text(json.dumps({"id": "a", "text": "Cats sleep."}))
    build_collection([tmp_path / "documents.jsonl"], tmp_path / "bare", BuildSettings(lexical=None))
    with (
        open_searcher(tmp_path / "bare", encoder=small.encoder) as bare,
        pytest.raises(BadQuery, match="no lexical index"),
    ):
        bare.explain("cats", "a", Mode.LEXICAL)


def test_words_of_terms_stand_in_the_passage(small: Searcher) -> None:
    why = small.explain("strokes", "aspirin", Mode.LEXICAL)
    assert why.dense is None
    assert why.lexical is not None
    (term,) = why.lexical.terms
    text = small.document("aspirin").text[why.start : why.end]
    assert [text[start:end] for start, end in term.words] == ["stroke"]


def test_a_document_that_is_not_there(small: Searcher) -> None:
    with pytest.raises(DocumentNotFound, match="nobody"):
        small.explain("q", "nobody", Mode.DENSE)
