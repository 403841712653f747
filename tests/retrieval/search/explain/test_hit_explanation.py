"""Explanations, overview, map and judged measures of a real small collection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.building.pipeline import BuildSettings, build_collection
from indexer.writing.writer import Writer
from retrieval.errors import BadQuery, DocumentNotFound
from retrieval.index.collection.judgments import JUDGMENTS, judge, read_judgments
from retrieval.metrics.files import trec_qrels_lines
from retrieval.search.evaluated.judged_modes import measured, qrels_of, query_id, topics_lines
from retrieval.search.overview import overview
from retrieval.search.projection import principal, project
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Mode, SearchRequest

DOCUMENTS = [
    ("aspirin", "Aspirin lowers the risk of stroke in adults.", {"year": 2003, "kind": "trial", "tags": ["a", "b"]}),
    ("wing", "A wing in the slipstream of a propeller lifts more.", {"year": 1953, "kind": "paper", "tags": ["b"]}),
    ("cats", "Cats sleep for most of the day and hunt at night.", {"kind": "paper", "tags": []}),
]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reasons")
    lines = [json.dumps({"id": id_, "text": text, "metadata": metadata}) for id_, text, metadata in DOCUMENTS]
    (root / "documents.jsonl").write_text("\n".join(lines))
    build_collection([root / "documents.jsonl"], root / "small")
    return root / "small"


@pytest.fixture(scope="module")
def searcher(collection: Path) -> Iterator[Searcher]:
    with open_searcher(collection) as opened:
        yield opened


@pytest.mark.parametrize("mode", Mode)
def test_the_parts_of_every_hit_add_up(searcher: Searcher, mode: Mode) -> None:
    for query in ("does aspirin prevent strokes", "propeller wing", "cats at night"):
        result = searcher.search(SearchRequest(query, mode=mode, explain=True))
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


def test_what_a_search_refuses_is_not_explained(searcher: Searcher, tmp_path: Path) -> None:
    with pytest.raises(BadQuery, match="only operators"):
        searcher.explain("-cats", "cats", Mode.HYBRID)
    (tmp_path / "documents.jsonl").write_text(json.dumps({"id": "a", "text": "Cats sleep."}))
    build_collection([tmp_path / "documents.jsonl"], tmp_path / "bare", BuildSettings(lexical=None))
    with (
        open_searcher(tmp_path / "bare", encoder=searcher.encoder) as bare,
        pytest.raises(BadQuery, match="no lexical index"),
    ):
        bare.explain("cats", "a", Mode.LEXICAL)


def test_words_of_terms_stand_in_the_passage(searcher: Searcher) -> None:
    why = searcher.explain("strokes", "aspirin", Mode.LEXICAL)
    assert why.dense is None
    assert why.lexical is not None
    (term,) = why.lexical.terms
    text = searcher.document("aspirin").text[why.start : why.end]
    assert [text[start:end] for start, end in term.words] == ["stroke"]


def test_a_document_that_is_not_there(searcher: Searcher) -> None:
    with pytest.raises(DocumentNotFound, match="nobody"):
        searcher.explain("q", "nobody", Mode.DENSE)


def test_the_overview_counts_fields(searcher: Searcher) -> None:
    fields = {each.name: each for each in overview(searcher.reader)}
    assert [(each.value, each.count) for each in fields["kind"].values] == [("paper", 2), ("trial", 1)]
    assert [(each.value, each.count) for each in fields["tags"].values] == [("b", 2), ("a", 1)]
    assert fields["tags"].documents == 2  # an empty list is no value
    assert (fields["year"].least, fields["year"].most, fields["year"].documents) == (1953, 2003, 2)


def test_the_map_keeps_to_its_frame(searcher: Searcher) -> None:
    found = project(searcher.reader)
    assert len(found.rows) == 3
    assert (found.x.min(), found.x.max(), found.y.min(), found.y.max()) == (0, 1, 0, 1)
    assert sum(found.explained) == pytest.approx(1, abs=1e-6)  # three points lie in a plane


def test_principal_components_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.normal(size=(200, 5)) * [5, 1, 3, 1, 1]).astype(np.float32)
    places, explained = principal(vectors)
    centred = vectors - vectors.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(places), np.abs(centred @ directions[:2].T), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(explained, (singular**2 / (singular**2).sum())[:2], rtol=1e-4)


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_to_map(number: int) -> None:
    places, explained = principal(np.ones((number, 4), np.float32))
    assert places.shape == (number, 2)
    assert explained == (0.0, 0.0)


def test_judgments_measure_the_modes(collection: Path, searcher: Searcher) -> None:
    judge(collection, "does aspirin prevent strokes", "aspirin", 3)
    judgments = judge(collection, "does aspirin prevent strokes", "cats", 0)
    found = measured(searcher.search_many, judgments, list(Mode))
    assert [each.mode for each in found] == list(Mode)
    assert all(each.measures["nDCG@10"] == 1 for each in found)
    identifier = query_id("does aspirin prevent strokes")
    assert list(trec_qrels_lines(qrels_of(judgments))) == [f"{identifier} 0 aspirin 3\n", f"{identifier} 0 cats 0\n"]
    assert list(topics_lines(judgments)) == [f'{{"_id": "{identifier}", "text": "does aspirin prevent strokes"}}\n']


def test_judgments_outlive_a_generation(collection: Path) -> None:
    judge(collection, "a query", "wing", 2)
    before = read_judgments(collection)
    with Writer(collection) as writer:
        writer.delete(["cats"])
        writer.commit()
    assert (collection / JUDGMENTS).exists()
    assert read_judgments(collection) == before
