"""`attendex adapt` on a tiny encoder: it learns what can be learnt, and returns the base otherwise."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.adapting.held_out import split_task
from indexer.adapting.nearest import with_nearest_passages
from indexer.adapting.pairs import TrainingPair, passages_of
from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.encoder.loading import load_encoder
from retrieval.index.collection.sharded_reader import open_reader
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import make_task
from retrieval.types import Document
from service.cli import app
from tests.retrieval.encoder.conftest import MakeFolder, default_folder, make_folder

__all__ = ["default_folder", "make_folder"]

SUBJECTS = {  # in a document: in a query
    **{"liver": "organ", "wing": "plane", "bread": "loaf", "comet": "star", "river": "stream", "violin": "fiddle"},
    **{
        "glacier": "ice",
        "senate": "council",
        "copper": "metal",
        "orchid": "flower",
        "harbour": "port",
        "poem": "verse",
    },
}
VERBS = {
    "stores": "keep",
    "lifts": "raise",
    "feeds": "nourish",
    "crosses": "pass",
    "carries": "haul",
    "plays": "perform",
}
PASSAGE = "The {} {}."
SETTINGS = [
    *("--pairs", "none", "--negatives", "0", "--batch", "24", "--threads", "1"),
    *("--epochs", "20", "--rate", "0.002", "--dropout", "0"),
]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, make_folder: MakeFolder) -> Path:
    """Make 72 documents; queries name their subjects and verbs in other words."""
    path = tmp_path_factory.mktemp("adapt") / "col"
    encoder = load_encoder(make_folder(), runtime="torch", precision="f32")
    create_collection(path, encoder)
    documents = [Document(f"{subject}-{verb}", PASSAGE.format(subject, verb)) for subject in SUBJECTS for verb in VERBS]
    apply_changes(path, encoder, [CollectionChange(tuple(documents))])
    return path


def judged(folder: Path, answer: Callable[[str, str], str]) -> list[str]:
    """Write three queries for each document, and their judgments; return the options that name the files."""
    queries, qrels = folder / "queries.jsonl", folder / "qrels.tsv"
    rows, lines = ["query-id\tcorpus-id\tscore"], []
    for subject in SUBJECTS:
        for verb in VERBS:
            for form in ("which {} {}", "{} and {}", "tell me of {} or {}"):
                name = f"q{len(lines)}"
                text = form.format(SUBJECTS[subject], VERBS[verb])
                lines.append(json.dumps({"_id": name, "text": text}))
                rows.append(f"{name}\t{answer(subject, verb)}\t1")
    queries.write_text("\n".join(lines), encoding="utf-8")
    qrels.write_text("\n".join(rows), encoding="utf-8")
    return ["--queries", str(queries), "--qrels", str(qrels)]


def adapted(collection: Path, out: Path, *options: str) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, ["adapt", str(collection), "--out", str(out), "--json", *options])
    assert result.exit_code in (0, 3), result.output + str(result.exception)
    return result.exit_code, json.loads(result.stdout)


def test_what_can_be_learnt_is_learnt(collection: Path, tmp_path: Path) -> None:
    options = judged(tmp_path, lambda subject, verb: f"{subject}-{verb}")
    out = tmp_path / "encoders" / "out"  # its parent does not exist
    code, report = adapted(collection, out, *options, *SETTINGS)
    assert (code, report["written"], report["encoder"]) == (0, True, str(out))
    assert report["share"] > 0  # type: ignore[operator]
    assert report["verdict"]["dense"]["differences"]["nDCG@10"]["difference"] > 0.1  # type: ignore[index]
    assert load_encoder(out, runtime="torch", precision="f32").dimension == 32
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "attendex adapt" in card
    assert "held-out nDCG@10" in card
    assert not list(out.parent.glob(".out*"))


def shuffled(folder: Path, seed: int) -> list[str]:
    """Judge a document drawn at random relevant to each query."""
    dice = random.Random(seed)
    names = [f"{subject}-{verb}" for subject in SUBJECTS for verb in VERBS]
    return judged(folder, lambda *_: dice.choice(names))


def test_judgments_drawn_at_random_return_the_base(collection: Path, tmp_path: Path) -> None:
    code, report = adapted(collection, tmp_path / "out", *shuffled(tmp_path, 3), *SETTINGS, "--epochs", "3")
    assert (code, report["written"]) == (3, False)
    assert not (tmp_path / "out").exists()
    assert report["encoder"] != str(tmp_path / "out")
    assert report["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_no_harmful_data_get_past_the_guard(collection: Path, tmp_path: Path, seed: int) -> None:
    """Judgments at random, one query for all documents, and queries of another language, in turn."""
    options = shuffled(tmp_path, seed)
    if seed % 3:
        path = tmp_path / "queries.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        texts = ["the same title for every document", "这是另一种语言的问题 {}"]
        changed = [line | {"text": texts[seed % 3 - 1].format(i)} for i, line in enumerate(lines)]
        path.write_text("\n".join(map(json.dumps, changed)), encoding="utf-8")
    code, report = adapted(collection, tmp_path / "out", *options, *SETTINGS, "--epochs", "5")
    assert (code, report["written"]) == (3, False)


@pytest.mark.parametrize("title", ["Title number {} of few", ""])
def test_thirty_documents_are_too_few(tmp_path: Path, make_folder: MakeFolder, title: str) -> None:
    encoder = load_encoder(make_folder(), runtime="torch", precision="f32")
    create_collection(tmp_path / "few", encoder)
    documents = tuple(Document(f"d{i}", f"Text {i} is short.", title.format(i)) for i in range(30))
    apply_changes(tmp_path / "few", encoder, [CollectionChange(documents)])
    code, report = adapted(tmp_path / "few", tmp_path / "out")
    assert (code, report["written"]) == (3, False)
    assert "training pairs; at least 64 are needed" in str(report["reason"])


@pytest.mark.parametrize(("count", "sizes"), [(120, (60, 24, 36)), (809, (566, 81, 162))])
def test_few_judged_queries_leave_enough_to_choose(count: int, sizes: tuple[int, ...]) -> None:
    """Equal texts come into one part, in any order of the queries."""
    topics = [Topic(f"q{i}", f"question {i}") for i in range(count)] + [Topic("same", "Question 0")]
    task = make_task("judged", topics, Qrels("judged", {topic.id: {"d": 1} for topic in topics}))
    held_out = split_task(task)
    assert held_out.train is not None
    parts = [{topic.text.lower() for topic in part.topics} for part in (held_out.train, *held_out.parts)]
    assert tuple(map(len, parts)) == sizes
    assert len(set.union(*parts)) == count
    again = split_task(replace(task, topics=task.topics[::-1]))
    assert {topic.text for topic in again.test.topics} == {topic.text for topic in held_out.test.topics}


def test_a_pair_has_the_passage_nearest_to_its_query(tmp_path: Path, make_folder: MakeFolder) -> None:
    encoder = load_encoder(make_folder(), runtime="torch", precision="f32")
    create_collection(tmp_path / "long", encoder)
    text = "".join(f"# Part {name}\n\nOf {name}: {40 * f'{name} '}\n\n" for name in ("copper", "barley", "amber"))
    document = Document("d", text)
    apply_changes(tmp_path / "long", encoder, [CollectionChange((document,))])
    with open_reader(tmp_path / "long") as reader:
        passages = passages_of(reader, "d")
        assert len(passages) > 2
        pairs = [TrainingPair("judged", each.text, passages[0], frozenset({"d"})) for each in passages]
        assert [pair.passage for pair in with_nearest_passages(pairs, reader, encoder)] == passages


def test_a_plan_tells_that_there_are_no_pairs(collection: Path, tmp_path: Path) -> None:
    code, plan = adapted(collection, tmp_path / "out", "--pairs", "none", "--plan")
    assert code == 3
    assert "0 training pairs" in str(plan["problem"])
    result = CliRunner().invoke(app, ["adapt", str(collection), "--out", str(tmp_path / "out"), "--pairs", "none"])
    assert "chosen share" not in result.stdout
    assert "0 training pairs" in " ".join(result.stdout.split())


def test_half_of_a_small_collection_trains(tmp_path: Path, make_folder: MakeFolder) -> None:
    encoder = load_encoder(make_folder(), runtime="torch", precision="f32")
    create_collection(tmp_path / "small", encoder)
    text = (
        "In the town of number {0}, copper was sold by a family of seven. It cost {0} coins in those days. "
        "The copper of the town is known to all its neighbours. Many years later it was measured again."
    )
    documents = tuple(Document(f"d{i}", text.format(i), f"Copper in town number {i}") for i in range(200))
    apply_changes(tmp_path / "small", encoder, [CollectionChange(documents)])
    code, plan = adapted(tmp_path / "small", tmp_path / "out", "--plan", "--threads", "1")
    assert code == 0, plan
    assert plan["pairs"]["title"] == 100  # type: ignore[index]
    assert plan["development_queries"] + plan["test_queries"] == 100  # type: ignore[operator]


def test_a_plan_counts_and_trains_nothing(collection: Path, tmp_path: Path) -> None:
    options = judged(tmp_path, lambda subject, verb: f"{subject}-{verb}")
    code, plan = adapted(collection, tmp_path / "out", *options, *SETTINGS, "--plan")
    assert code == 0
    held_out = plan["development_queries"] + plan["test_queries"]  # type: ignore[operator]
    assert plan["pairs"]["judged"] + held_out == 216  # type: ignore[index]
    assert plan["seconds"] > 0  # type: ignore[operator]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--pairs", "titles"], "there is no kind 'titles'"),
        (["--qrels", "missing.tsv"], "give both --queries and --qrels"),
        (["--base", "no/such/folder"], "no/such/folder"),
        (["--pairs", "none", "--pairs", "title"], "none contradicts title"),
        (["--dimension", "33"], "vectors of 32 numbers"),
    ],
)
def test_wrong_options_are_refused(collection: Path, tmp_path: Path, options: list[str], problem: str) -> None:
    result = CliRunner().invoke(app, ["adapt", str(collection), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code in (1, 2)
    assert problem in " ".join(result.output.split())
