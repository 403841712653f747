"""Text of documents, files and callers reaches the terminal and the log with `visible`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from retrieval.util.terminal import print_json
from retrieval.util.visible_text import visible
from service.cli import app
from service.observability.logs import JsonFormatter, TextFormatter

HOSTILE = "\x1b[31m\x1b]0;owned\x07 \x9b2J \u202egnp.\u202c \u2066\u200f :b: [bold]\r\u2028\nFORGED"
UNSAFE = {*map(chr, (*range(32), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F)), *map(chr, range(0x2028, 0x202F))}
UNSAFE |= {*map(chr, range(0x2066, 0x2070)), *map(chr, range(0xD800, 0xE000))}
NAME = HOSTILE.replace("/", "")


def run(*arguments: object, keys: str = "") -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=keys)


def check(result: Result, *codes: int) -> str:
    """Return the output, after a check that none of it acts on a terminal."""
    assert result.exit_code in (codes or (0,)), (result.output, result.exception)
    assert UNSAFE.isdisjoint(result.output.replace("\n", "")), result.output
    assert not any(line.startswith("FORGED") for line in result.output.splitlines()), result.output
    return result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    folder = root / NAME
    folder.mkdir()
    document = {"id": HOSTILE, "title": HOSTILE, "text": f"A wing. {HOSTILE}".replace("\nFORGED", ""), "topic": HOSTILE}
    plain = {"id": "plain", "title": "Wing", "text": "The lift of a wing.", "topic": "lift"}
    (folder / f"{NAME}.jsonl").write_text(json.dumps(document) + "\n" + json.dumps(plain) + "\n")
    (folder / f"{NAME}.pdf").write_bytes(b"%PDF-1.7 nothing")
    (root / "queries.jsonl").write_text(json.dumps({"_id": f"q{HOSTILE}".split()[0], "text": f"wing {HOSTILE}"}) + "\n")
    query = f"q{HOSTILE}".split()[0]
    (root / "qrels.txt").write_text(f"{query} 0 plain 1\n")
    for name in ("one", "two"):
        (root / f"{name}{NAME}.run").write_text(f"{query} Q0 plain 1 0.5 {HOSTILE.split()[0]}\n")
    return root


@pytest.fixture(scope="module")
def collection(data: Path) -> Path:
    path = data / f"papers{NAME}"
    check(run("index", data / NAME, "--into", path))
    return path


def test_commands_that_build_and_change(data: Path, collection: Path) -> None:
    copy = data / f"copy{NAME}"
    backup = data / f"backup{NAME}.tar.zst"
    for arguments in (
        ("add", collection, data / NAME),
        ("delete", collection, HOSTILE),
        ("delete", collection, "--filter", f'topic = "{HOSTILE}"'),
        ("rollback", collection, 1),
        ("log", collection),
        ("log", collection, "--json"),
        ("merge", collection),
        ("snapshot", collection, backup),
        ("restore", backup, copy),
        ("verify", collection),
        ("index", data / NAME, "--into", copy),
    ):
        check(run(*arguments), 0, 1)


@pytest.mark.parametrize("options", [(), ("--json",), ("--highlight",), ("--facet", "topic"), ("--mode", "dense")])
def test_search(collection: Path, options: tuple[str, ...]) -> None:
    shown = check(run("search", collection, "wing", *options))
    assert ":b:" in shown
    assert "[bold]" in shown


@pytest.mark.parametrize("command", ["explain", "info", "chunk"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_commands_that_show_a_document(command: str, options: tuple[str, ...], data: Path, collection: Path) -> None:
    arguments = {
        "explain": (collection, HOSTILE, HOSTILE),
        "info": (collection,),
        "chunk": (data / NAME, "--text"),
    }[command]
    check(run(command, *arguments, *options), 0, 1)


def test_commands_that_measure(data: Path, collection: Path) -> None:
    task = ("--queries", data / "queries.jsonl", "--qrels", data / "qrels.txt")
    one, two = (data / f"{name}{NAME}.run" for name in ("one", "two"))
    pool = data / f"pool{NAME}.tsv"
    for arguments in (
        ("evaluate", one, *task),
        ("evaluate", one, *task, "--json"),
        ("evaluate", collection, *task),
        ("compare", one, two, *task),
        ("report", one, *task, "--html", data / f"{NAME}.html"),
        ("pool", collection, "--queries", data / "queries.jsonl", "--out", pool),
        ("tune", collection, *task),
    ):
        check(run(*arguments), 0, 1)
    check(run("judge", pool, "--out", data / f"judged{NAME}", keys="xq"), 0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", HOSTILE, "wing"),
        ("search", "papers", "wing", "--mode", HOSTILE),
        ("search", "papers", "wing", f"--{HOSTILE}"),
        ("search", "papers", "wing", "-k", HOSTILE),
        (HOSTILE,),
        (f"--{HOSTILE}",),
        ("index", HOSTILE, "--into", HOSTILE),
        ("index", "x.jsonl", "--into", "y", "--chunking", HOSTILE),
        ("index", "x.jsonl", "--into", "y", "--schema", HOSTILE),
        ("compare", HOSTILE, HOSTILE),
        ("settings", "--set", HOSTILE),
        ("settings", "--set", f"host={HOSTILE}"),
        ("settings", "--config", HOSTILE),
        ("keys", "add", HOSTILE, HOSTILE),
        ("keys", "list", HOSTILE),
        ("serve", HOSTILE),
        ("quantize", HOSTILE, "--calibrate", HOSTILE, "--out", HOSTILE),
        ("reembed", HOSTILE, "--encoder", HOSTILE),
    ],
)
def test_words_of_a_wrong_call(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(run(*arguments), 0, 1, 2)


@pytest.fixture
def record() -> Iterator[logging.LogRecord]:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        found = (type(error), error, error.__traceback__)
        made = logging.LogRecord("x", logging.WARNING, "x.py", 1, "%s: failed", (HOSTILE,), found)
        made.fields = {"path": HOSTILE, "caller": [HOSTILE]}
        yield made


def test_log(record: logging.LogRecord) -> None:
    line = JsonFormatter().format(record)
    assert UNSAFE.isdisjoint(line)
    assert json.loads(line)["path"] == HOSTILE
    lines = TextFormatter().format(record).splitlines()
    assert UNSAFE.isdisjoint("".join(lines))
    assert all(line.startswith("  ") for line in lines[1:])


@given(st.text(st.characters(codec=None)))
def test_visible_text_is_one_line_and_a_json_document_keeps_its_value(text: str) -> None:
    assert UNSAFE.isdisjoint(visible(text))
    document = visible(json.dumps([text], ensure_ascii=False), lines=True)
    assert UNSAFE.isdisjoint(document)
    assert json.loads(document) == [text]


def test_printed_json_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"title": HOSTILE})
    printed = capsys.readouterr().out
    assert UNSAFE.isdisjoint(printed.replace("\n", ""))
    assert json.loads(printed) == {"title": HOSTILE}
