"""`attendex search` on a small collection."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.types import Document
from service.cli import app


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("papers") / "papers"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    texts = {
        "wing": ("Wings [in] a slipstream", "The lift of a wing in a slipstream was measured.", 1958.0),
        "heat": ("Heat transfer", "Heat conduction in composite slabs. The wing is hot.", 1960.0),
        "flow": ("Boundary layers", "Laminar flow over a flat plate.", 1961.0),
    }
    documents = (Document(name, text, title, {"year": year}) for name, (title, text, year) in texts.items())
    apply_changes(path, encoder, [CollectionChange(upserts=tuple(documents))])
    return path


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["search", *(str(each) for each in arguments)])
    return result.exit_code, result.output


def test_all_documents_in_the_order_of_a_field(papers: Path) -> None:
    code, output = invoke(papers, "*", "--sort", "-year", "--json")
    assert (code, [hit["id"] for hit in json.loads(output)["hits"]]) == (0, ["flow", "heat", "wing"])


def test_errors_in_words_are_corrected_and_told(papers: Path) -> None:
    code, output = invoke(papers, "slipsteam", "--mode", "lexical")
    assert code == 0
    assert "searched for slipstream instead of slipsteam" in output
    assert "no documents matched" in invoke(papers, "slipsteam", "--mode", "lexical", "--no-typos")[1]


def test_boosts_raise_documents(papers: Path) -> None:
    boost = '{"filter": "year > 1960", "weight": 3}'
    code, output = invoke(papers, "*", "--boost", boost, "--boost", '{"filter": "year < 1960", "weight": 2}', "--json")
    assert (code, [hit["id"] for hit in json.loads(output)["hits"]]) == (0, ["flow", "wing", "heat"])
    assert "is not JSON" in invoke(papers, "*", "--boost", "year > 1960")[1]


def test_documents_like_another(papers: Path) -> None:
    code, output = invoke(papers, "*", "--like", "heat", "--json")
    assert (code, {hit["id"] for hit in json.loads(output)["hits"]}) == (0, {"wing", "flow"})


def test_hybrid_is_the_default_and_says_its_weight(papers: Path) -> None:
    code, output = invoke(papers, "wing", "-k", 2)
    assert code == 0
    assert "Wings [in] a slipstream" in output
    assert "hybrid, weight 0.7 (the default of 0.7)" in " ".join(output.split())


def test_every_option_reaches_the_search(papers: Path) -> None:
    options = [
        "--mode",
        "lexical",
        "--filter",
        "year<1961",
        "--facet",
        "year",
        "--sort",
        "-year",
        "--field",
        "year",
        "--highlight",
        "--json",
    ]
    code, output = invoke(papers, '"the wing" -laminar', "--syntax", "operators", *options)
    assert code == 0
    answer = json.loads(output)
    assert [hit["id"] for hit in answer["hits"]] == ["heat"]
    assert answer["hits"][0]["passages"][0]["highlights"] == [[36, 39], [40, 44]]
    assert answer["facets"] == {"year": [{"value": 1960, "count": 1}]}
    assert '"value": 1960,' in output  # as people write a year
    rrf = ["--fusion", "rrf", "--rrf-k", 1, "--weight", 1, "--min-score", 0.9, "--exact", "--json"]
    answer = json.loads(invoke(papers, "hot wing", *rrf)[1])
    assert (answer["mode"], answer["weight"], answer["weight_reason"]) == ("hybrid", 1.0, "as requested")
    assert [hit["score"] for hit in answer["hits"]] == [1.0]


def test_facets_are_shown(papers: Path) -> None:
    assert "year  1958 1, 1960 1, 1961 1" in invoke(papers, "wing", "--facet", "year")[1]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--mode", "words"], 2, "none of dense, lexical, sparse, hybrid"),
        (["--filter", "year >"], 1, "column 7: expected a value"),
        (["--sort", "yeer"], 1, "did you mean 'year'"),
        (["--weight", "2"], 1, "from 0 to 1"),
        (["-k", "0"], 1, "k is 0; ask for at least 1"),
        (["-k", "1000000"], 1, "at most 10,000 hits"),
        (["-k", "ten"], 2, "valid integer"),
    ],
)
def test_what_cannot_be_answered(papers: Path, options: list[str], code: int, words: str) -> None:
    status, output = invoke(papers, "wing", *options)
    assert status == code
    assert words in output


def test_a_vector_from_a_file(papers: Path, tmp_path: Path) -> None:
    vector = load_encoder(DEFAULT).encode_queries(["hot slabs"])[0].tolist()
    (tmp_path / "vector.json").write_text(json.dumps(vector))
    code, output = invoke(papers, "*", "--vector", tmp_path / "vector.json", "--json")
    assert (code, json.loads(output)["hits"][0]["id"]) == (0, "heat")
    for wrong, says in (("[1, 2]", "384"), ('["a"]', "list of numbers"), ("{", "JSON")):
        (tmp_path / "vector.json").write_text(wrong)
        code, output = invoke(papers, "*", "--vector", tmp_path / "vector.json")
        assert code != 0
        assert says in output


def test_suggestions(papers: Path) -> None:
    found = CliRunner().invoke(app, ["suggest", str(papers), "boundary la", "--json"])
    assert json.loads(found.stdout)["titles"] == [{"id": "flow", "title": "Boundary layers"}]
    assert "layers" in CliRunner().invoke(app, ["suggest", str(papers), "lay"]).stdout
    assert "begins so" in CliRunner().invoke(app, ["suggest", str(papers), "zzzz"]).stdout


def test_several_collections(papers: Path, tmp_path: Path) -> None:
    other = shutil.copytree(papers, tmp_path / "other")
    code, output = invoke(papers, "slipstream", "--mode", "lexical", "--with", other, "--json")
    hits = json.loads(output)["hits"]
    assert (code, [(hit["collection"], hit["id"]) for hit in hits]) == (0, [("papers", "wing"), ("other", "wing")])
    shown = invoke(papers, "slipstream", "--mode", "lexical", "--with", other)[1]
    assert "other  wing" in shown
