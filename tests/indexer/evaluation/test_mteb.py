"""`mteb.evaluate` runs on the whole pipeline."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from indexer.evaluation.mteb import AttendexSearch
from indexer.evaluation.mteb_texts import document_record, query_text
from retrieval.errors import InputError
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.runs import Qrels, make_run
from retrieval.types import Mode, SearchRequest

if find_spec("mteb") is None:
    pytest.skip("needs the package mteb", allow_module_level=True)

GAPS = [{"id": "e1", "title": "", "text": ""}, {"id": "e2", "title": " ", "text": "\n"}]
CORPUS = [
    {"id": "d1", "title": "Aspirin", "text": "Aspirin lowers the risk of stroke."},
    {"id": "d2", "title": "Wings", "text": "A wing in the slipstream of a propeller."},
    {"id": "d3", "title": "", "text": "Cats sleep for most of the day."},
    {"id": "d4", "title": "Dogs", "text": "Dogs sleep at night and bark by day."},
]
QUERIES = [
    {"id": "q1", "text": "preventing a stroke"},
    {"id": "q2", "text": "an aeroplane's propeller"},
    {"id": "q3", "text": "animals that bark"},
]
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 1}, "q3": {"d4": 1, "d3": 0}}


CONVERSATIONS = [
    {"id": "q1", "text": ["I had a stroke.", "what lowers the risk?"]},
    {"id": "q2", "text": ["a propeller", "and what is in its slipstream"]},
    {"id": "q3", "text": ["an animal", "one that barks"]},
]
TURNS = [
    {
        "id": each["id"],
        "text": [
            {"role": "user", "content": each["text"][0]},
            {"role": "assistant", "content": "Tell me more."},
            {"role": "user", "content": each["text"][1]},
        ],
    }
    for each in CONVERSATIONS
]
INSTRUCTED = [{**each, "instruction": "Find a statement of one sentence."} for each in QUERIES]


def local_task(
    queries: list[dict[str, Any]] = QUERIES, top_ranked: dict[str, list[str]] | None = None, kind: str = "Retrieval"
) -> Any:
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class LocalRetrieval(AbsTaskRetrieval):
        """Four documents and three queries."""

        metadata = TaskMetadata(
            name="LocalRetrieval",
            description="Four documents and three queries.",
            reference=None,
            dataset={"path": "local", "revision": "1"},
            type=kind,
            category="t2t",
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            data = {
                "corpus": Dataset.from_list([*GAPS, *CORPUS]),
                "queries": Dataset.from_list(queries),
                "relevant_docs": {query: dict(judged) for query, judged in QRELS.items()},
                "top_ranked": top_ranked,
            }
            self.dataset = {"default": {"test": data}}
            self.data_loaded = True

    return LocalRetrieval()


@pytest.fixture
def search(tmp_path: Path) -> Any:
    made = AttendexSearch(tmp_path, request=SearchRequest("", mode=Mode.DENSE))
    yield made
    made.close()


def test_mteb_scores_the_pipeline(search: AttendexSearch, tmp_path: Path) -> None:
    import mteb  # here: it takes seconds, and every process of the tests reads this module

    assert isinstance(search, mteb.models.models_protocols.SearchProtocol)
    assert not isinstance(search, mteb.models.models_protocols.CrossEncoderProtocol)
    results = mteb.evaluate(search, local_task(), cache=None, prediction_folder=tmp_path / "predictions")
    (scores,) = results.task_results[0].scores["test"]
    predictions = search.search(QUERIES, top_k=10)
    ours = evaluate(make_run("r", predictions), Qrels("q", QRELS), "nDCG@10 R@10 P@1").aggregates
    assert scores["ndcg_at_10"] == pytest.approx(ours["nDCG@10"], abs=1e-5)
    assert scores["recall_at_10"] == pytest.approx(ours["R@10"], abs=1e-5)
    assert scores["precision_at_1"] == pytest.approx(ours["P@1"], abs=1e-5)
    assert scores["main_score"] > 0.8


@pytest.mark.parametrize("queries", [INSTRUCTED, CONVERSATIONS, TURNS], ids=["instructed", "texts", "turns"])
@pytest.mark.filterwarnings("ignore:Conversations are a list of strings")
def test_queries_are_read_as_mteb_reads_them(search: AttendexSearch, queries: list[dict[str, Any]]) -> None:
    import mteb
    from datasets import Dataset
    from mteb._create_dataloaders import _retrieval_texts

    texts = _retrieval_texts(Dataset.from_list(queries), mteb.types.PromptType.query)
    assert [query_text(each) for each in queries] == list(texts)
    results = mteb.evaluate(search, local_task(queries), cache=None)
    (scores,) = results.task_results[0].scores["test"]
    assert scores["main_score"] > 0.8


def test_a_reranking_task_ranks_its_candidates(search: AttendexSearch, tmp_path: Path) -> None:
    import mteb

    candidates = {"q1": ["d2", "d1", "e1"], "q2": ["d3"], "q3": ["d4", "d3"]}
    task = local_task(top_ranked=candidates, kind="Reranking")
    results = mteb.evaluate(search, task, cache=None, prediction_folder=tmp_path / "predictions")
    (scores,) = results.task_results[0].scores["test"]
    assert scores["recall_at_10"] == pytest.approx(2 / 3, abs=1e-5)  # the one of q2 is no candidate
    [file] = (tmp_path / "predictions").rglob("*_predictions.json")
    predicted = json.loads(file.read_text())["default"]["test"]
    assert {query: set(found) for query, found in predicted.items()} == {
        "q1": {"d1", "d2"},
        "q2": {"d3"},
        "q3": {"d3", "d4"},
    }


def test_turns_without_role_or_content() -> None:
    turns = [{"role": "user", "content": "a rose"}, {"role": "assistant", "content": None}, {"content": "in a garden"}]
    row = {"id": "q", "text": turns, "instruction": "Find it."}
    assert query_text(row) == "Find it. user: a rose; in a garden"
    assert query_text({"id": "q", "text": [], "instruction": "Find it."}) == ""
    assert query_text({"id": "q", "text": "*", "instruction": None}) == ""
    assert len(query_text({"id": "q", "text": "word " * 9_000})) == 20_000
    with pytest.raises(InputError, match="no texts"):
        query_text({"id": "q", "image": b""})
    assert document_record({"id": 1, "body": "text"}) == {"id": "1", "title": "", "text": "text"}
    with pytest.raises(InputError, match="no texts"):
        document_record({"id": 1, "image": b""})


def test_more_candidates_than_a_filter_names(search: AttendexSearch) -> None:
    class Named:
        name = "long ids"

    corpus = [{"id": f"{number:0>900}", "text": f"Text {number} about cats"} for number in range(200)]
    search.index(corpus, task_metadata=Named(), hf_split="test", hf_subset="default")
    found = search.search(
        [{"id": "q", "text": "cats"}], top_k=150, top_ranked={"q": [each["id"] for each in corpus[:180]]}
    )
    whole = search.search([{"id": "q", "text": "cats"}], top_k=200)
    allowed = {each["id"] for each in corpus[:180]}
    assert list(found["q"]) == [each for each in whole["q"] if each in allowed][:150]


def test_reranking_keeps_to_the_candidates(search: AttendexSearch) -> None:
    class Named:
        name = "a task/with a name"

    search.index(CORPUS, task_metadata=Named(), hf_split="test", hf_subset="default", encode_kwargs={}, num_proc=None)
    found = search.search(QUERIES, top_k=10, top_ranked={"q1": ["d2", "d3"], "q2": ["d2"], "q3": []})
    assert set(found["q1"]) == {"d2", "d3"}
    assert set(found["q2"]) == {"d2"}
    assert found["q3"] == {}


def test_rows_without_text_are_left_out(search: AttendexSearch) -> None:
    class Named:
        name = "gaps"

    gaps = [
        {"id": "e1", "text": ""},
        {"id": "e2", "title": None, "text": None},
        {"id": "e3", "title": " ", "text": "\n"},
    ]
    index = {"task_metadata": Named(), "hf_split": "test", "hf_subset": "default"}
    search.index([*gaps, *CORPUS, {"id": "t1", "title": "Only a title about barking"}], **index)
    found = search.search([*QUERIES, {"id": "q4", "text": ""}, {"id": "q5", "text": None}], top_k=10)
    assert {document for documents in found.values() for document in documents} == {"d1", "d2", "d3", "d4", "t1"}
    assert (found["q4"], found["q5"]) == ({}, {})


def test_what_mteb_is_told_of_the_model(search: AttendexSearch) -> None:
    meta = search.mteb_model_meta
    assert meta.name == "attendex/all-MiniLM-L6-v2"
    assert meta.embed_dim == 384
    assert len(str(meta.revision)) == 64
