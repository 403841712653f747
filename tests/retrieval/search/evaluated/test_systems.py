"""Systems that a word on the command line names."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.bm25_options import Bm25Options
from retrieval.boosts import Boost
from retrieval.errors import InputError, NotFound
from retrieval.metrics.run_queries import RunProvenance, describe_settings
from retrieval.search.evaluated.systems import deep, open_system, open_texts, parse_system
from retrieval.search.fusion_methods import PARAMETERS
from retrieval.types import EncoderFingerprint, Mode, SearchRequest


@pytest.mark.parametrize(
    ("word", "location", "request_"),
    [
        ("papers", "papers", SearchRequest("")),
        ("a/b/papers:dense", "a/b/papers", SearchRequest("", mode=Mode.DENSE)),
        ("papers:hybrid,weight=0.7", "papers", SearchRequest("", mode=Mode.HYBRID, weight=0.7)),
        ("papers:weight=0,exact=true", "papers", SearchRequest("", weight=0.0, exact=True)),
        ("papers:fusion=rrf,rrf_k=10", "papers", SearchRequest("", fusion="rrf", rrf_k=10)),
        ("papers:hybrid,synonyms=off", "papers", SearchRequest("", mode=Mode.HYBRID, synonyms=False)),
        (
            "papers:lexical,k1=0.9,b=0.4",
            "papers",
            SearchRequest("", mode=Mode.LEXICAL, bm25=Bm25Options(k1=0.9, b=0.4)),
        ),
        ("papers:filter=year >= 2020", "papers", SearchRequest("", filter="year >= 2020")),
        (
            'papers:dense,filter=name IN ["a", "b/c"],exact=true',
            "papers",
            SearchRequest("", mode=Mode.DENSE, filter='name IN ["a", "b/c"]', exact=True),
        ),
        (
            'papers:boosts=[{"filter": "year > 2000", "weight": 2}, {"field": "n", "weight": 1.1}],exact=true',
            "papers",
            SearchRequest("", boosts=(Boost(2, "year > 2000"), Boost(1.1, field="n")), exact=True),
        ),
        ("http://host:8080/papers", "http://host:8080/papers", SearchRequest("")),
        ("https://host/papers:lexical", "https://host/papers", SearchRequest("", mode=Mode.LEXICAL)),
    ],
)
def test_words_are_read(word: str, location: str, request_: SearchRequest) -> None:
    spec = parse_system(word)
    assert (spec.word, spec.location, spec.request) == (word, location, request_)


def test_what_is_there_is_taken_as_it_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "a:dense"
    odd.write_text("")
    spec = parse_system(str(odd))
    assert spec.is_run
    assert spec.request.mode is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("papers:dense,depth=3", "depth and rerank_weight need a reranker; add rerank=NAME"),
        ("papers:weight=much", "'much' is not a float, which weight needs"),
        ("papers:exact=maybe", "'maybe' is not a bool, which exact needs"),
        ("papers:lexcial", "there is no mode 'lexcial'; modes: dense, lexical, sparse, hybrid"),
        ("papers:hybridweight=0.3", "there is no setting 'hybridweight'"),
        (
            "papers:k2=0.9",
            f"no setting 'k2'; the settings are syntax, typos, synonyms, pins, filter, fusion, {', '.join(PARAMETERS)}",
        ),
        ("papers:syntax=lucene", "'lucene' is not one of plain, operators, which syntax needs"),
        ("papers:hybrid,weight=0.5,k2=0.9", "there is no setting 'k2'"),
    ],
)
def test_settings_that_do_not_fit_are_named(word: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_system(word)


def test_a_name_that_no_file_can_have_is_not_there() -> None:
    spec = parse_system("x" * 300)
    assert not spec.is_run
    with pytest.raises(NotFound, match="neither a run file nor a collection"), open_system(spec):
        pass


@pytest.mark.parametrize("name", ["http://host/papers", "run.trec"])
def test_texts_are_read_from_a_collection_here(tmp_path: Path, name: str) -> None:
    (tmp_path / "run.trec").write_text("q Q0 d 1 1 t")
    word = name if name.startswith("http") else str(tmp_path / name)
    with pytest.raises(InputError, match="has no texts to read"), open_texts(parse_system(word)):
        pass


def test_what_decides_no_ranking_is_not_in_the_stamp() -> None:
    request = deep(SearchRequest("a query", mode=Mode.HYBRID, weight=0.3, highlight=True), 1000)
    assert describe_settings(request) == "weight=0.3"
    assert describe_settings(SearchRequest("", bm25=Bm25Options(b=0.4))) == "b=0.4"
    boosted = SearchRequest("", boosts=(Boost(2, "year > 2000"),))
    assert describe_settings(boosted) == 'boosts=[{"weight": 2, "filter": "year > 2000"}]'
    encoder = EncoderFingerprint("model", "0123456789abcdef", "t", "mean", True, "", "", 256, 384)
    stamp = RunProvenance("my papers", 7, 10, "hybrid", encoder, describe_settings(request))
    assert stamp.tag == "attendex/my_papers/g7/hybrid/0123456789ab/weight=0.3"
