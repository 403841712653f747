"""`attendex compare` and `attendex report` on run files."""

from __future__ import annotations

import html
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval.metrics.files import write_qrels, write_run
from retrieval.metrics.runs import Qrels, RetrievalRun, make_ranking
from service.cli import app

QUERIES = [f"q{i}" for i in range(30)]


def placed(place: int) -> RetrievalRun:
    """Make a run with the relevant document at one rank; a few queries differ."""
    rankings = {}
    for i, query in enumerate(QUERIES):
        ids = [f"x{j}" for j in range(place - 1 + (i % 3 == 0))] + ["good", "<b>&"]
        rankings[query] = make_ranking(ids, range(len(ids), 0, -1))
    return RetrievalRun("tag", rankings)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, place in (("best", 1), ("same", 1), ("worse", 4)):
        write_run(placed(place), tmp_path / f"{name}.run")
    write_qrels(Qrels("q", {query: {"good": 1} for query in QUERIES}), tmp_path / "qrels.txt")
    lines = ["id\ttext", *(f"{query}\twhat is <{query}> & why" for query in QUERIES)]
    (tmp_path / "queries.tsv").write_text("\n".join(lines))
    return tmp_path


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    return result.exit_code, result.output


def test_a_worse_system_is_called_worse_and_fails_the_gate(files: Path) -> None:
    arguments = ["compare", files / "best.run", files / "worse.run", "--qrels", files / "qrels.txt"]
    code, output = invoke(*arguments)
    assert code == 0
    assert "worse.run is worse than best.run: −0." in output
    assert "1 → 4" in output
    assert invoke(*arguments, "--fail-if-worse")[0] == 1
    turned = ["compare", files / "worse.run", files / "best.run", "--qrels", files / "qrels.txt", "--fail-if-worse"]
    assert invoke(*turned)[0] == 0


def test_every_pair_is_shown_as_a_matrix_of_systems(files: Path) -> None:
    """Row minus column, so a cell and its mirror have opposite signs; a star means a significant difference."""
    runs = [files / f"{name}.run" for name in ("best", "same", "worse")]
    code, output = invoke("compare", *runs, "--qrels", files / "qrels.txt", "--measures", "RR@10", "--every-pair")
    assert code == 0
    head, _, *rows = (line.split() for line in output.splitlines() if line.strip())
    assert head == ["RR@10,", "row", "minus", "column", "mean", "best.run", "same.run", "worse.run"]
    assert rows[0] == ["best.run", "0.8333", "0.000", "+0.600*"]
    assert rows[2] == ["worse.run", "0.2333", "−0.600*", "−0.600*"]
    assert "row minus column" not in invoke("compare", *runs, "--qrels", files / "qrels.txt")[1]


def test_json_holds_everything(files: Path) -> None:
    runs = [files / f"{name}.run" for name in ("best", "same", "worse")]
    code, output = invoke("compare", *runs, "--qrels", files / "qrels.txt", "--measures", "RR@10 AP", "--json")
    assert code == 0
    found = json.loads(output)
    assert (found["queries"], found["rounds"], found["seed"]) == (30, 10_000, 0)
    assert [each["name"] for each in found["systems"]] == ["best.run", "same.run", "worse.run"]
    same, worse = found["comparisons"]
    assert same["measures"]["RR@10"]["p"] == 1.0
    assert same["measures"]["RR@10"]["significant"] is False
    d = worse["measures"]["RR@10"]
    assert d["low"] < d["difference"] < d["high"] < 0
    assert (d["wins"], d["losses"], d["ties"]) == (0, 30, 0)
    assert d["p"] == pytest.approx(1 / 10_001)
    assert d["p_adjusted"] == pytest.approx(2 / 10_001)
    assert worse["changed"][0]["moved"][0]["document"] == "good"


def test_the_page_stands_alone_and_escapes_what_users_wrote(files: Path) -> None:
    page = files / "out/report.html"
    runs = [files / "best.run", files / "worse.run"]
    data = ["--qrels", files / "qrels.txt", "--queries", files / "queries.tsv"]
    assert invoke("report", *runs, *data, "--html", page)[0] == 0
    text = page.read_text()
    assert "worse.run is worse" in text
    assert text.count("<svg") == 5  # intervals, differences, precision-recall, nDCG and recall by cut-off
    assert "what is &lt;q0&gt; &amp; why" in text
    assert "<b>&" not in text
    assert "<script" not in text
    assert not re.search(r'(?:src|href)="(?!#)', text.replace("xlink:href", "href"))
    assert not re.search(r"#0102\d", text)  # every marker colour became a variable
    assert "prefers-color-scheme: dark" in text
    assert "attendex" in text


def test_the_command_of_a_report_can_be_pasted(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["report", str(files / "best.run"), "--qrels", str(files / "qrels.txt"), "--html", str(files / "a b.html")]
    monkeypatch.setattr(sys, "argv", ["attendex", *asked])
    assert invoke(*asked)[0] == 0
    text = html.unescape((files / "a b.html").read_text())
    assert f"attendex {shlex.join(asked)}" in text


def test_a_report_of_one_system_and_the_same_bytes_again(files: Path) -> None:
    pages = [files / "one.html", files / "two.html"]
    for page in pages:
        assert invoke("report", files / "best.run", "--qrels", files / "qrels.txt", "--html", page)[0] == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()


@pytest.mark.parametrize("systems", [["best.run"], ["best.run", "best.run"]])
def test_wrong_usage_is_exit_2(files: Path, systems: list[str]) -> None:
    assert invoke("compare", *(files / each for each in systems), "--qrels", files / "qrels.txt")[0] == 2
    assert invoke("compare", files / "best.run", files / "same.run")[0] == 2


@pytest.mark.parametrize(
    ("systems", "message"),
    [
        (["best.run", "none.run"], "neither a run file nor a collection"),
        (["best.run", "qrels.txt"], "as judgments (qrels) have"),
    ],
)
def test_bad_input_is_named(files: Path, systems: list[str], message: str) -> None:
    code, output = invoke("compare", *(files / each for each in systems), "--qrels", files / "qrels.txt")
    assert code == 1
    assert message in output
