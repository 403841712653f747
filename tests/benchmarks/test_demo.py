"""The demo's collection and its questions fit each other, on whichever Python runs this."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.demo import ray_demo
from benchmarks.demo.__main__ import QUESTIONS, main
from benchmarks.demo.stdlib import DocumentedName, standard_library, write_documents


@pytest.fixture(scope="module")
def entries() -> dict[str, DocumentedName]:
    return {entry.id: entry for entry in standard_library()}


@pytest.fixture(scope="module")
def qrels() -> list[tuple[str, str, int]]:
    header, *lines = (QUESTIONS / "qrels.tsv").read_text().splitlines()
    assert header == "query-id\tcorpus-id\tscore"
    return [(query, document, int(grade)) for query, document, grade in (line.split("\t") for line in lines)]


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    lines = (QUESTIONS / "queries.jsonl").read_text().splitlines()
    return {each["_id"]: each["text"] for each in map(json.loads, lines)}


def test_ids_are_where_the_manual_has_them(entries: dict[str, DocumentedName]) -> None:
    expected = {
        "str.rstrip": "method",
        "itertools.pairwise": "class",
        "os.path.join": "function",
        "asyncio.sleep": "function",
        "random.choice": "function",
        "collections.OrderedDict.move_to_end": "method",
        "json": "module",
        "KeyError": "exception",
        "int.real": "property",
    }
    assert {name: entries[name].kind for name in expected} == expected


def test_a_document_has_signature_text_and_module(entries: dict[str, DocumentedName]) -> None:
    entry = entries["str.rstrip"]
    assert entry.title == "str.rstrip(self, chars=None, /)"
    assert entry.text.startswith("Return a copy of the string with trailing whitespace removed.")
    assert entry.module == "builtins"


def test_an_object_with_two_names_counts_once(entries: dict[str, DocumentedName]) -> None:
    assert not {"asyncio.tasks.sleep", "random.Random.choice", "posixpath.join", "bisect.bisect_right"} & entries.keys()


def test_nothing_that_acts_on_import_is_there(entries: dict[str, DocumentedName]) -> None:
    modules = {entry.module.partition(".")[0] for entry in entries.values()}
    assert not modules & {"antigravity", "this", "idlelib", "test", "turtledemo"}
    assert len(entries) > 5_000


def test_no_memory_address_gets_in(entries: dict[str, DocumentedName]) -> None:
    assert not [entry.id for entry in entries.values() if re.search(r"0x[0-9a-f]{6,}", entry.title)]


def test_every_process_writes_the_same_file(tmp_path: Path) -> None:
    program = "import sys, pathlib, benchmarks.demo.stdlib as s; s.write_documents(pathlib.Path(sys.argv[1]))"
    root = Path(__file__).resolve().parents[2]
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True, cwd=root)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert write_documents(tmp_path / "c") == len((tmp_path / "c").read_text().splitlines())


def test_every_answer_exists(entries: dict[str, DocumentedName], qrels: list[tuple[str, str, int]]) -> None:
    assert [document for _, document, _ in qrels if document not in entries] == []


def test_every_question_has_a_full_answer(queries: dict[str, str], qrels: list[tuple[str, str, int]]) -> None:
    assert len(queries) >= 100
    assert {query for query, _, grade in qrels if grade == 2} == queries.keys()
    assert {grade for _, _, grade in qrels} == {1, 2}


def test_no_question_or_judgment_stands_twice(queries: dict[str, str], qrels: list[tuple[str, str, int]]) -> None:
    assert len(set(queries.values())) == len(queries)
    assert max(Counter((query, document) for query, document, _ in qrels).values()) == 1


@pytest.mark.parametrize(("run", "target"), [(main, "demo"), (ray_demo.main, "demo-ray")])
def test_a_taken_port_is_named_before_any_work(
    run: Callable[[Sequence[str]], int], target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["--port", str(port), "--folder", str(tmp_path / "demo")]) == 1
    message = capsys.readouterr().err
    assert f"port {port}" in message
    assert f"make {target} PORT={port + 1}" in message
    assert not (tmp_path / "demo").exists()
