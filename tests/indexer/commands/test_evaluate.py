"""`attendex evaluate` on a real collection: output, files, known items, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.evaluation.known_item import draw_items, extract_query
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import read_manifest
from retrieval.metrics.files import read_run
from retrieval.types import Document
from service.cli import app

TEXTS = {
    "aspirin": ("Aspirin", "Aspirin lowers the risk of stroke in adults. It is taken once a day with some water."),
    "wing": ("Wings", "A wing in the slipstream of a propeller lifts more. The lift was measured in a tunnel."),
    "cat": ("Cats", "Cats sleep for most of the day and hunt at night. Their eyes see well in the dark."),
    "heat": ("Heat", "Heat flows from the boundary layer into the cooled plate. The plate is made of copper."),
    "bread": ("Bread", "Bread rises because yeast turns sugar into gas. Salt slows the yeast down a little."),
}
QUERIES = {
    "q1": ("preventing a stroke with medicine", "health"),
    "q2": ("sleeping habits of cats", "animals"),
    "q3": ("why does dough rise", "food"),
    "q4": ("nobody judged this", "food"),
}
QRELS = {"q1": "aspirin", "q2": "cat", "q3": "bread", "q9": "wing"}


def write_beir(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": name, "title": title, "text": text} for name, (title, text) in TEXTS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    queries = [{"_id": name, "text": text, "metadata": {"kind": kind}} for name, (text, kind) in QUERIES.items()]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in QRELS.items())]
    (folder / "qrels/test.tsv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_beir(tmp_path_factory.mktemp("beir") / "small")


@pytest.fixture(scope="module")
def collection(beir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the command itself; tests must not change it."""
    into = tmp_path_factory.mktemp("collections") / "small"
    result = CliRunner().invoke(app, ["evaluate", "--beir", str(beir), "--into", str(into), "--json"])
    assert result.exit_code == 0, result.output
    return into


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    return result.exit_code, result.output


def answer(*arguments: object) -> dict[str, object]:
    code, output = run(*arguments, "--json")
    assert code == 0, output
    return json.loads(output)  # type: ignore[no-any-return]


def test_json_says_what_was_measured(beir: Path, collection: Path) -> None:
    found = answer(collection, "--beir", beir, "--mode", "dense")
    assert found["measures"] == {"nDCG@10": 1.0, "R@100": 1.0, "RR@10": 1.0, "AP": 1.0}
    assert (found["queries"], found["documents"], found["collection"], found["mode"]) == (3, 5, "small", "dense")
    assert (found["encoder"], found["generation"]) == ("all-MiniLM-L6-v2", 1)
    assert found["fingerprint"]["weights_sha256"] == read_manifest(collection).encoder.weights_sha256  # type: ignore[index]
    assert found["coverage"]["not_asked"] == 1  # type: ignore[index]  # q9 is judged and has no text
    assert found["coverage"]["unjudged"] == 1  # type: ignore[index]  # q4 has a text and no judgment
    assert found["seconds"] > 0  # type: ignore[operator]


def test_a_collection_that_is_there_is_not_made_again(beir: Path, collection: Path) -> None:
    found = answer("--beir", beir, "--into", collection)
    assert found["queries"] == 3


def test_the_table_states_its_denominator(beir: Path, collection: Path) -> None:
    code, output = run(collection, "--queries", beir / "queries.jsonl", "--qrels", beir / "qrels/test.tsv")
    assert code == 0
    assert "averaged over 3 queries" in output
    assert "1 judged queries were not asked" in output
    assert "nDCG@10" in output
    assert "1.0000" in output


@pytest.mark.parametrize("ending", ["trec", "trec.gz", "json"])
def test_a_run_that_is_written_gives_the_same_figures(
    beir: Path, collection: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"run.{ending}"
    asked = answer(collection, "--beir", beir, "--run-out", path, "--measures", "nDCG@10 AP NumRet")
    again = answer(
        path, "--queries", beir / "queries.jsonl", "--qrels", beir / "qrels/test.tsv", "--measures", "nDCG@10 AP NumRet"
    )
    assert again["measures"] == asked["measures"]
    if ending != "json":
        stamp = read_run(path).name
        assert stamp.startswith("attendex/small/g1/")
        assert read_manifest(collection).encoder.weights_sha256[:12] in stamp


def test_gates_decide_the_exit_code(beir: Path, collection: Path) -> None:
    assert run(collection, "--beir", beir, "--min", "nDCG@10=0.9", "--min", "Success@1=1")[0] == 0
    code, output = run(collection, "--beir", beir, "--min", "P@5=0.5")
    assert code == 1
    assert "P@5 0.2000 is below 0.5" in output


def test_slices_and_values_of_each_query(beir: Path, collection: Path, tmp_path: Path) -> None:
    found = answer(
        collection, "--beir", beir, "--slice", "kind", "--slice", "length", "--per-query", tmp_path / "v.tsv"
    )
    assert {label: each["queries"] for label, each in found["slices"]["kind"].items()} == {
        "health": 1,
        "animals": 1,
        "food": 1,
    }  # type: ignore[index]
    header, *rows = (tmp_path / "v.tsv").read_text().splitlines()
    assert header.split("\t") == ["query-id", "nDCG@10", "R@100", "RR@10", "AP"]
    assert [row.split("\t")[:2] for row in rows] == [["q1", "1.0"], ["q2", "1.0"], ["q3", "1.0"]]


@pytest.mark.parametrize("part", ["sentence", "title"])
def test_known_items_are_found_and_the_collection_is_untouched(collection: Path, part: str) -> None:
    before = {path: path.read_bytes() for path in collection.rglob("*") if path.is_file() and path.name != "lock"}
    found = answer(collection, "--known-item", 4, "--known-from", part, "--mode", "dense")
    assert found["queries"] == 4
    assert found["generation"] == 1
    assert found["measures"]["Success@10"] == 1.0  # type: ignore[index]
    low, high = found["intervals"]["Success@10"]  # type: ignore[index]
    assert 0.4 < low < high <= 1.0
    assert "do not show how well real questions are answered" in str(found["caution"])
    assert before == {
        path: path.read_bytes() for path in collection.rglob("*") if path.is_file() and path.name != "lock"
    }
    assert [each.name for each in collection.parent.iterdir()] == ["small"]


def test_what_is_asked_was_taken_out(collection: Path) -> None:
    with open_index_reader(collection) as reader:
        items = draw_items(reader, 100, "sentence", seed=3)
        assert len(items) == 5  # all that there are
        assert items == draw_items(reader, 100, "sentence", seed=3)
    for item in items:
        assert item.query not in item.document.text
        assert item.query in TEXTS[item.document.id][1]
        assert item.document.text.strip()


def test_documents_without_a_second_sentence_give_no_item() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    assert extract_query(Document("a", "One sentence that is all there is."), "sentence", rng) is None
    assert extract_query(Document("a", "Text."), "title", rng) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--beir", "{beir}"], "neither a run file nor a collection"),
        (["{beir}", "--beir", "{beir}"], "collection"),
        (["{collection}", "--beir", "{beir}", "--split", "dev"], "splits there: test"),
        (["{collection}", "--qrels", "{beir}/qrels/test.tsv"], "needs queries"),
        (["{collection}:sideways", "--beir", "{beir}"], "sideways"),
        (["{collection}:dense,breadth=3", "--beir", "{beir}"], "there is no setting 'breadth'"),
        (["{collection}", "--beir", "{beir}", "--measures", "nDGC"], "there is no measure 'nDGC'"),
        (["{collection}", "--beir", "{beir}", "--min", "nDCG@10"], "write measure=minimum"),
        (["{collection}", "--beir", "{beir}", "--slice", "age"], "no field 'age'"),
        (["--url", "http://127.0.0.1:9", "--collection", "x", "--beir", "{beir}"], "is the service up"),
        (["{collection}", "--known-item", "3", "--known-from", "abstract"], "choose sentence or title"),
    ],
)
def test_bad_input_is_named(beir: Path, collection: Path, arguments: list[str], message: str) -> None:
    code, output = run(*(each.format(beir=beir, collection=collection) for each in arguments))
    assert code == 1
    assert message in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{collection}"], "give one of --qrels"),
        (["{collection}", "--beir", "{beir}", "--dataset", "x"], "give one of --qrels"),
        (["{collection}", "--beir", "{beir}", "--mode", "sideways"], "'sideways' is none of"),
        (["--url", "http://127.0.0.1:9", "--beir", "{beir}"], "which collection"),
        (["--into", "{collection}", "--qrels", "{beir}/qrels/test.tsv"], "--into needs it"),
        (["--beir", "{beir}"], "name one: DIR"),
        (["{collection}", "--into", "{collection}", "--beir", "{beir}"], "name one: DIR"),
    ],
)
def test_wrong_usage_is_exit_2(beir: Path, collection: Path, arguments: list[str], message: str) -> None:
    code, output = run(*(each.format(beir=beir, collection=collection) for each in arguments))
    assert code == 2
    assert message in " ".join(output.split())


def invoke(*arguments: object, keys: str = "") -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=keys)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_questions_to_figures(beir: Path, collection: Path, tmp_path: Path) -> None:
    queries, pool, qrels = beir / "queries.jsonl", tmp_path / "pool.tsv", tmp_path / "qrels.txt"
    asked = ["--queries", queries, "--depth", "2", "--out", pool]
    output = invoke("pool", f"{collection}:dense", *asked, "--runs", f"{collection}:lexical")
    assert "documents to judge for 4 queries" in output
    assert "Aspirin lowers the risk of stroke" in pool.read_text()
    invoke("judge", pool, "--out", qrels, keys="3" + "0" * 99)
    found = answer(
        collection, "--queries", queries, "--qrels", qrels, "--measures", "nDCG@2 Judged@2", "--mode", "dense"
    )
    assert found["queries"] == 4
    assert found["measures"]["Judged@2"] == 1.0  # type: ignore[index]
    again = invoke("pool", f"{collection}:dense", *asked, "--qrels", qrels)
    assert "wrote 0 documents to judge" in again


def test_a_report_names_the_collection_and_shows_titles(beir: Path, collection: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    invoke("report", f"{collection}:dense", f"{collection}:lexical", "--beir", beir, "--html", page)
    text = page.read_text()
    assert "small:lexical" in text
    assert read_manifest(collection).encoder.weights_sha256 in text
    assert "aspirin [1] Aspirin" in text
    assert "preventing a stroke with medicine" in text
